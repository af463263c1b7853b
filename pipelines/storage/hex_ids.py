"""Ids as numbers and bytes, without making Python strings of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_WIDTH = 32  # hex digits of an id
_TAKEN = 16
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_VALUES = np.full(256, 16, np.uint8)  # by byte; 16 of what is no digit
_VALUES[_DIGITS] = np.arange(16, dtype=np.uint8)


def leading_bits(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """First 16 hex digits of each id as uint64[n]. `ids` is string[n] of 32 lower-case digits, no nulls.

    Ids are hashes, so these are uniform. Raises ValueError for anything else.
    """
    value_NW = _values(ids)[:, :_TAKEN].astype(np.uint64)
    shift_W = np.arange(4 * (_TAKEN - 1), -1, -4).astype(np.uint64)
    bits: npt.NDArray[np.uint64] = np.bitwise_or.reduce(value_NW << shift_W, axis=1)
    return bits


def as_bytes(ids: pa.Array) -> pa.FixedSizeBinaryArray:
    """Each id as 16 bytes. Raises ValueError for what `leading_bits` does."""
    value_NW = _values(ids)
    pairs = np.ascontiguousarray(value_NW[:, ::2] << 4 | value_NW[:, 1::2])
    kind = pa.binary(_WIDTH // 2)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(ids), [None, pa.py_buffer(pairs)])


def as_digits(packed: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """Ids, string[n], of what `as_bytes` gave."""
    if len(packed) == 0:
        return pa.array([], pa.string())
    start = packed.offset * _WIDTH // 2
    data = np.frombuffer(packed.buffers()[1], np.uint8)[start : start + len(packed) * _WIDTH // 2]
    digits = _DIGITS[np.stack([data >> 4, data & 15], axis=1).reshape(-1)]
    ends = np.arange(len(packed) + 1, dtype=np.int32) * _WIDTH
    return pa.StringArray.from_buffers(len(packed), pa.py_buffer(ends), pa.py_buffer(digits))


def _values(ids: pa.Array) -> npt.NDArray[np.uint8]:
    """The values of all digits, uint8[n, 32]."""
    if len(ids) == 0:
        return np.zeros((0, _WIDTH), np.uint8)
    _, offsets, data = ids.buffers()
    ends = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if not ids.null_count and (np.diff(ends) == _WIDTH).all():
        values: npt.NDArray[np.uint8] = _VALUES[np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]]
        if (values < 16).all():
            return values.reshape(len(ids), _WIDTH)
    raise ValueError(f"expected ids of {_WIDTH} hex digits")
