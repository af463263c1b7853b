"""Ids as numbers: the first 64 bits of each, without making Python strings of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_WIDTH = 32  # hex digits of an id
_TAKEN = 16


def leading_bits(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """First 16 hex digits of each id as uint64[n]. `ids` is string[n] of 32 lower-case digits, no nulls.

    Ids are hashes, so these are uniform. Raises ValueError for anything else.
    """
    if len(ids) == 0:
        return np.zeros(0, np.uint64)
    _, offsets, data = ids.buffers()
    ends = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if ids.null_count or (np.diff(ends) != _WIDTH).any():
        raise ValueError(f"expected ids of {_WIDTH} hex digits")
    digit_NW = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(len(ids), _WIDTH)[:, :_TAKEN]
    letter = digit_NW >= ord("a")
    value_NW = np.where(letter, digit_NW - ord("a") + 10, digit_NW - ord("0")).astype(np.uint64)
    shift_W = np.arange(4 * (_TAKEN - 1), -1, -4).astype(np.uint64)
    bits: npt.NDArray[np.uint64] = np.bitwise_or.reduce(value_NW << shift_W, axis=1)
    return bits
