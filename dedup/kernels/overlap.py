"""How much of one text stands in another: shingle sets against an index of some documents' sets.

Legend: D indexed documents, G distinct shingles, P postings; N documents compared, S their shingles.

The overlap of two documents is the share of the smaller's shingles that the other has too: at least their
Jaccard index, and the containment of the smaller in the larger. Every document compared counts its shingles
in the postings of the index, so a pair costs the shingles it shares. A shingle that more than `COMMON`
indexed documents have is common: it has no postings, and only documents that may overlap are looked up for
it. So the work is linear in the shingles compared, times at most `COMMON`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer

COMMON, FILE = 256, "arrays.npz"
Ints = npt.NDArray[np.int64]
Values = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Index:
    """Shingle sets of D documents: `values[set_ends[d]:set_ends[d + 1]]`, sorted, and by shingle.
    `shingles` is sorted, `starts` int64[G + 1] are bounds of its documents in `postings` int32, and
    `common` bool."""

    set_ends: Ints
    values: Values
    levels: npt.NDArray[np.int8]
    shingles: Values
    starts: Ints
    postings: npt.NDArray[np.int32]
    common: npt.NDArray[np.bool_]

    def save(self, folder: Path) -> None:
        """Write the arrays into one file, FILE."""
        np.savez(folder / FILE, allow_pickle=False, **self.__dict__)

    @classmethod
    def load(cls, folder: Path) -> Index:
        """The arrays as `save` wrote them."""
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            return cls(*(arrays[name] for name in cls.__dataclass_fields__))


def build_index(set_ends: Ints, value_S: Values, level_D: npt.NDArray[np.int8]) -> Index:
    """The index of D sets (each sorted and distinct)."""
    owner_S = np.repeat(np.arange(len(level_D), dtype=np.int32), np.diff(set_ends))
    order = np.argsort(value_S, kind="stable")
    shingle_G, first = np.unique(value_S[order], return_index=True)
    size_G = np.diff(np.append(first, len(order)))
    common_G = size_G > COMMON
    kept = ~np.repeat(common_G, size_G)
    start_G = np.concatenate([[0], np.cumsum(np.where(common_G, 0, size_G))]).astype(np.int64)
    return Index(set_ends, value_S, level_D, shingle_G, start_G, owner_S[order][kept], common_G)


def buckets(shingle_G: Values) -> tuple[Ints, int]:
    """Bounds of the shingles by their leading bits, int64[2^b + 1], and the shift that leaves these bits."""
    bits = min(24, max(1, len(shingle_G).bit_length()))
    edges = np.arange(2**bits + 1, dtype=np.uint64) << np.uint64(32 - bits)
    return np.searchsorted(shingle_G.astype(np.uint64), edges).astype(np.int64), 32 - bits


@compiled
def find(shingle_G: Any, head_B: Any, shift: int, value: Any) -> Any:
    """The place of a shingle, or -1."""
    bucket = np.int64(value >> np.uint32(shift))
    low, high = head_B[bucket], head_B[bucket + 1]
    while low < high:
        middle = (low + high) >> 1
        if shingle_G[middle] < value:
            low = middle + 1
        else:
            high = middle
    if low < head_B[bucket + 1] and shingle_G[low] == value:
        return low
    return -1


@compiled
def shared(a: Any, b: Any) -> int:
    """How many values two sorted sets have in common."""
    i = j = n = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            n += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return n


@compiled
def overlaps(
    ends_N: Any,
    value_S: Any,
    level_N: Any,
    set_ends: Any,
    set_values: Any,
    level_D: Any,
    shingle_G: Any,
    head_B: Any,
    shift: int,
    start_G: Any,
    posting_P: Any,
    common_G: Any,
    limit: float,
    least: float,
) -> Any:
    """Overlaps of N documents with indexed documents of a higher level.

    Returns `(pairs int64[p, 3], counts int64[N])`: a pair is (document, indexed document, shingles shared)
    with an overlap of at least `least`; counts are of common shingles in each document. Pairs with an overlap
    of `limit` or more are all there, unless nearly all of either document's shingles are common (`limit` of
    them).
    """
    documents = len(level_N)
    met_D = np.zeros(len(level_D), np.int32)
    touched = np.empty(len(level_D), np.int64)
    common_N = np.zeros(documents, np.int64)
    pairs = np.empty((1024, 3), np.int64)
    found = 0
    for n in range(documents):
        some = 0
        for s in range(ends_N[n], ends_N[n + 1]):
            g = find(shingle_G, head_B, shift, value_S[s])
            if g < 0:
                continue
            if common_G[g]:
                common_N[n] += 1
                continue
            for p in range(start_G[g], start_G[g + 1]):
                d = posting_P[p]
                if level_D[d] > level_N[n]:
                    if met_D[d] == 0:
                        touched[some] = d
                        some += 1
                    met_D[d] += 1
        size_n = ends_N[n + 1] - ends_N[n]
        for k in range(some):
            d = touched[k]
            here = integer(met_D[d])
            met_D[d] = 0
            smaller = min(size_n, set_ends[d + 1] - set_ends[d])
            if here + common_N[n] < least * smaller:
                continue
            if common_N[n]:
                here = shared(value_S[ends_N[n] : ends_N[n + 1]], set_values[set_ends[d] : set_ends[d + 1]])
                if here < least * smaller:
                    continue
            if found == len(pairs):
                grown = np.empty((2 * found, 3), np.int64)
                grown[:found] = pairs
                pairs = grown
            pairs[found, 0] = n
            pairs[found, 1] = d
            pairs[found, 2] = here
            found += 1
    return pairs[:found].copy(), common_N
