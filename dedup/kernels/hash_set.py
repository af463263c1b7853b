"""Many 64-bit hashes, most of what is looked up among which is not there: one look decides nearly always."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, inlined
from corpusmill.pipelines.text.kernels.sorted_hashes import place_of

U64 = np.uint64
Hashes = npt.NDArray[np.uint64]
MOST_BITS = 24  # of buckets: 128 MB of bounds


class HashSet(NamedTuple):
    """K distinct hashes, ascending; about 20 bytes each in all.

    `sieve` uint64[.]: a bitmap of 16 to 32 bits a hash, of which each hash sets one. `bucket` int64[2^b + 1]:
    bounds of the hashes by their b leading bits, about one hash each; `shift` is 64 - b.
    """

    hashes: Hashes
    sieve: Hashes
    bucket: npt.NDArray[np.int64]
    shift: int


def hash_set(hashes: Hashes) -> HashSet:
    """The set of these hashes, which must be distinct and ascending."""
    bits = min(MOST_BITS, max(1, len(hashes).bit_length()))
    edges = np.arange(2**bits, dtype=np.uint64) << U64(64 - bits)
    bounds = np.append(np.searchsorted(hashes, edges), len(hashes)).astype(np.int64)
    return HashSet(hashes, _sieve_of(hashes), bounds, 64 - bits)


@compiled
def _sieve_of(hashes: Hashes) -> Hashes:
    bits = 1 << 12
    while bits < 16 * len(hashes) and bits < 1 << 33:
        bits <<= 1
    sieve = np.zeros(bits >> 6, np.uint64)
    mask = U64(bits - 1)
    for value in hashes:
        bit = value & mask
        sieve[bit >> U64(6)] |= U64(1) << (bit & U64(63))
    return sieve


@inlined
def may_hold(known: HashSet, value: np.uint64) -> bool:
    """False where the sieve rules a hash out."""
    bit = value & U64(len(known.sieve) * 64 - 1)
    return bool((known.sieve[bit >> U64(6)] >> (bit & U64(63))) & U64(1))


@inlined
def place_in(known: HashSet, value: np.uint64) -> int:
    """The place of a hash among the others, or -1."""
    here = np.int64(value >> U64(known.shift))
    return place_of(known.hashes, value, known.bucket[here], known.bucket[here + 1])
