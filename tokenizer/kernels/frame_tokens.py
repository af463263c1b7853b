"""Puts control tokens around encoded parts: one pass that splits, checks and writes all tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.tokenizer.kernels.split_boundary_tokens import NO_ROOM, split_boundary_tokens


@compiled
def frame_tokens(
    ends: Any,
    tokens: Any,
    framed_D: Any,
    draw_D: Any,
    share_D: Any,
    marked: Any,
    row_V: Any,
    starts: Any,
    parts: Any,
    controls: Any,
    spm: bool,
    out: Any,
) -> Any:
    """Write each document's tokens into `out`.

    ends int64[p + 1]: token offsets of the p parts of text (three where framed_D bool[n], else one); tokens
    uint32[t]; draw_D uint64[n], share_D int64[n] (each document's `share`), marked, row_V, starts and parts:
    see `split_boundary_tokens`; controls int64[5]: bos, eos, fim_begin, fim_hole, fim_end, where bos or eos
    is -1 to leave it out; out uint16[m] or uint32[m].

    Returns offsets int64[n + 1], counts int32[n, 2] (combined tokens, and those split) and the end in `out`,
    or NO_ROOM or REFUSED instead of it.
    """
    bos, eos, begin, hole, end = controls
    n = len(framed_D)
    offsets = np.zeros(n + 1, np.int64)
    counts_D2 = np.zeros((n, 2), np.int32)
    order = np.empty(3, np.int64)  # parts in the order they are written
    mark = np.empty(3, np.int64)  # the control token before each
    at = 0
    p = 0
    for doc in range(n):
        pieces = 1
        order[0] = p
        mark[0] = -1
        if framed_D[doc]:
            pieces = 3
            if spm:
                order[0], order[1], order[2] = p + 2, p, p + 1
                mark[0], mark[1], mark[2] = hole, end, -1
            else:
                order[1], order[2] = p + 2, p + 1
                mark[1], mark[2] = hole, end
        if at + 5 > len(out):  # room for the control tokens; what follows sees to its own
            return offsets, counts_D2, NO_ROOM
        if bos >= 0:
            out[at] = bos
            at += 1
        if framed_D[doc]:
            out[at] = begin
            at += 1
        for k in range(pieces):
            if mark[k] >= 0:
                if at + 3 > len(out):
                    return offsets, counts_D2, NO_ROOM
                out[at] = mark[k]
                at += 1
            at = split_boundary_tokens(
                tokens,
                ends[order[k]],
                ends[order[k] + 1],
                ends[p],
                draw_D[doc],
                share_D[doc],
                marked,
                row_V,
                starts,
                parts,
                counts_D2[doc],
                out,
                at,
            )
            if at < 0:
                return offsets, counts_D2, at
        if eos >= 0:
            if at == len(out):
                return offsets, counts_D2, NO_ROOM
            out[at] = eos
            at += 1
        p += pieces
        offsets[doc + 1] = at
    return offsets, counts_D2, at
