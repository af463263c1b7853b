"""MurmurHash3, x64, 128 bits (Austin Appleby, 2011, public domain): two hashes of 64 bits in one pass.

For n different texts, the probability that any two of them have the same 128 bits is about n^2 / 2^129, as
for random numbers: 1.5e-19 for ten billion. It is no cryptographic hash: texts of one hash can be crafted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.memory import byte_at, eight_at
from corpusmill.pipelines.text.kernels.mixing import avalanche

U64 = np.uint64
C1, C2 = U64(0x87C37B91114253D5), U64(0x4CF5AD432745937F)
M1, M2 = U64(0x52DCE729), U64(0x38495AB5)
FIVE = U64(5)


@forced
def _rotated(bits: Any, left: int) -> Any:
    return (bits << U64(left)) | (bits >> U64(64 - left))


@forced
def _tail(place: int, size: int) -> Any:
    """The bytes at an address, fewer than eight, as one number, the first one lowest."""
    bits = U64(0)
    for k in range(size):
        bits |= U64(byte_at(place + k)) << U64(8 * k)
    return bits


@compiled
def murmur3_128(place: int, size: int) -> tuple[Any, Any]:
    """The two halves, uint64, of the hash of `size` bytes at an address, with seed 0."""
    h1, h2 = U64(0), U64(0)
    at, end = place, place + size
    while at + 16 <= end:
        h1 ^= _rotated(eight_at(at) * C1, 31) * C2
        h1 = (_rotated(h1, 27) + h2) * FIVE + M1
        h2 ^= _rotated(eight_at(at + 8) * C2, 33) * C1
        h2 = (_rotated(h2, 31) + h1) * FIVE + M2
        at += 16
    left = end - at
    if left > 8:
        h2 ^= _rotated(_tail(at + 8, left - 8) * C2, 33) * C1
    if left > 0:
        first = eight_at(at) if left >= 8 else _tail(at, left)
        h1 ^= _rotated(first * C1, 31) * C2
    h1 ^= U64(size)
    h2 ^= U64(size)
    h1 += h2
    h2 += h1
    h1, h2 = avalanche(h1), avalanche(h2)
    h1 += h2
    h2 += h1
    return h1, h2
