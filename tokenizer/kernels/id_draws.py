"""`pipelines.randomness.draws` over Arrow's buffers: no Python object a document.

XXH3-64 (Collet, xxHash 0.8) for inputs of exactly 32 bytes, which every document id has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled

ID_BYTES = 32

# The first 32 bytes of XXH3's default secret, as little-endian words, and its multipliers.
_SECRET_0 = np.uint64(0xBE4BA423396CFEB8)
_SECRET_1 = np.uint64(0x1CAD21F72C81017C)
_SECRET_2 = np.uint64(0xDB979083E96DD4DE)
_SECRET_3 = np.uint64(0x1F67B3B7A4A44072)
_PRIME = np.uint64(0x9E3779B185EBCA87)
_AVALANCHE = np.uint64(0x165667919E3779F9)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@compiled
def _word(data: Any, at: int) -> Any:
    word = np.uint64(0)
    for i in range(8):
        word |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return word


@compiled
def _folded_product(a: Any, b: Any) -> Any:
    """The low and the high half of the 128-bit product, combined by exclusive or."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low = a_low * b_low
    middle = a_high * b_low + (low >> _HALF)
    other = a_low * b_high + (middle & _LOW)
    high = a_high * b_high + (middle >> _HALF) + (other >> _HALF)
    return (a * b) ^ high


@compiled
def id_draws(offsets: Any, data: Any, seed: Any) -> Any:
    """One draw an id, uint64[n]: XXH3-64 of data[offsets[i]:offsets[i + 1]], each of ID_BYTES, under `seed`.

    offsets int32[n + 1] or int64[n + 1], data uint8[...], seed uint64.
    """
    n = len(offsets) - 1
    out = np.empty(n, np.uint64)
    for i in range(n):
        at = offsets[i]
        h = np.uint64(ID_BYTES) * _PRIME
        h += _folded_product(_word(data, at) ^ (_SECRET_0 + seed), _word(data, at + 8) ^ (_SECRET_1 - seed))
        h += _folded_product(
            _word(data, at + 16) ^ (_SECRET_2 + seed), _word(data, at + 24) ^ (_SECRET_3 - seed)
        )
        h ^= h >> np.uint64(37)
        h *= _AVALANCHE
        out[i] = h ^ (h >> _HALF)
    return out
