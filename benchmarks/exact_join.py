"""All pairs of documents whose sets of word 5-grams are alike, by intersecting every set with every other.

Nothing is estimated and nothing is left out: the product of the sparse matrix of documents and shingles with
its transpose has the size of each intersection. Words are those of `minhash` (folded; `kernels/words.py`) and
shingles their 64-bit hashes, so two different ones of n are taken for one with probability n^2 / 2^65: 1e-5
for twenty million. Time and memory grow with the pairs of documents that share a shingle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from corpusmill.dedup.kernels.grams import gram_hashes
from corpusmill.dedup.kernels.words import words
from corpusmill.dedup.matching.normal_forms import normal_forms

WIDTH = 5
BLOCK = 500  # documents that are compared with all others at a time

Integers = npt.NDArray[np.int64]


class Pairs(NamedTuple):
    """Pairs i < j with their Jaccard index, arrays of equal length."""

    first: Integers
    second: Integers
    jaccard: npt.NDArray[np.float64]


def shingle_sets(texts: Sequence[str]) -> list[npt.NDArray[np.uint64]]:
    """The distinct shingles of each text; none of one of fewer than 5 words."""
    sets = []
    for text in texts:
        data = np.frombuffer(text.encode(), np.uint8)
        hash_W = np.empty(len(data) // 2 + 2, np.uint64)
        count = words(data, 0, len(data), normal_forms(True), False, hash_W, np.empty(0, np.int64))
        grams = np.empty(max(0, count - WIDTH + 1), np.uint64)
        if len(grams):
            gram_hashes(hash_W, count, WIDTH, grams)
        sets.append(np.unique(grams))
    return sets


def exact_pairs(texts: Sequence[str], least: float) -> Pairs:
    """All pairs whose index is at least `least`, which is over 0."""
    sets = shingle_sets(texts)
    size = np.array([len(one) for one in sets], np.int64)
    _, column, times = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    row = np.repeat(np.arange(len(sets)), size)
    shared = times[column] > 1  # a shingle of one document is in no intersection
    ones = np.ones(int(shared.sum()), np.int32)
    matrix = sparse.csr_matrix((ones, (row[shared], column[shared])), (len(sets), len(times)))
    turned = matrix.T.tocsr()
    found: list[tuple[Integers, Integers, npt.NDArray[np.float64]]] = []
    for start in range(0, len(sets), BLOCK):
        common = (matrix[start : start + BLOCK] @ turned).tocoo()
        first, second = common.row.astype(np.int64) + start, common.col.astype(np.int64)
        index = common.data / (size[first] + size[second] - common.data)
        chosen = (first < second) & (index >= least)
        found.append((first[chosen], second[chosen], index[chosen]))
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def recall(pairs: Pairs, removed: npt.NDArray[np.bool_], least: float) -> tuple[float, int]:
    """Share of the pairs of at least this index of which a document is removed, and how many they are."""
    alike = pairs.jaccard >= least
    hit = removed[pairs.first[alike]] | removed[pairs.second[alike]]
    return (float(hit.mean()) if len(hit) else 1.0), len(hit)


def precision(pairs: Pairs, removed: npt.NDArray[np.bool_], least: float) -> float:
    """Share of the removed documents that are so alike to one that is kept. Documents of under 5 words have
    no shingles; leave them out of `removed`."""
    alike = pairs.jaccard >= least
    first, second = pairs.first[alike], pairs.second[alike]
    like_kept = np.zeros(len(removed), np.bool_)
    like_kept[first[~removed[second]]] = True
    like_kept[second[~removed[first]]] = True
    return float(like_kept[removed].mean()) if removed.any() else 1.0
