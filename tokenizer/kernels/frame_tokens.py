"""Puts control tokens around encoded parts: one pass that writes each document's final tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _copy(tokens: Any, start: int, end: int, out: Any, at: int) -> int:
    for i in range(start, end):
        out[at] = tokens[i]
        at += 1
    return at


@njit(cache=True, nogil=True)
def frame_tokens(ends: Any, tokens: Any, chosen: Any, controls: Any, spm: bool, out: Any) -> Any:
    """Write each document's tokens into `out`; returns offsets int64[n + 1].

    ends int64[parts + 1]: token offsets of the parts (three where chosen bool[n], else one); tokens
    uint32[t]; controls int64[5]: bos, eos, fim_begin, fim_hole, fim_end, where bos or eos is -1 to leave
    it out; out uint16[m] or uint32[m], large enough for all.
    """
    bos, eos, begin, hole, end = controls
    offsets = np.empty(len(chosen) + 1, np.int64)
    offsets[0] = 0
    at = 0
    part = 0
    for doc in range(len(chosen)):
        if bos >= 0:
            out[at] = bos
            at += 1
        if chosen[doc]:
            out[at] = begin
            at += 1
            if not spm:
                at = _copy(tokens, ends[part], ends[part + 1], out, at)
            out[at] = hole
            at = _copy(tokens, ends[part + 2], ends[part + 3], out, at + 1)
            out[at] = end
            at += 1
            if spm:
                at = _copy(tokens, ends[part], ends[part + 1], out, at)
            at = _copy(tokens, ends[part + 1], ends[part + 2], out, at)
            part += 3
        else:
            at = _copy(tokens, ends[part], ends[part + 1], out, at)
            part += 1
        if eos >= 0:
            out[at] = eos
            at += 1
        offsets[doc + 1] = at
    return offsets
