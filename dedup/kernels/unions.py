"""Unions of sets of shingles, a group of sets at a time, in linear time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.signatures import sort_distinct
from corpusmill.pipelines.text.compiled import compiled

Values = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.int64]


@compiled
def unions(end_G: Integers, value_S: Values) -> tuple[Integers, Values]:
    """The distinct values of each of G groups, ascending: ends int64[G + 1] and the values.

    Group g has `value_S[end_G[g]:end_G[g + 1]]`, hashes in any order, which are written over. Memory: as much
    again as the largest group, and as the result.
    """
    largest = 0
    for g in range(len(end_G) - 1):
        largest = max(largest, end_G[g + 1] - end_G[g])
    scratch_S = np.empty(largest, np.uint32)
    found_G = np.zeros(len(end_G), np.int64)
    for g in range(len(end_G) - 1):
        start = end_G[g]
        group_S = value_S[start : end_G[g + 1]]
        n = sort_distinct(group_S, len(group_S), scratch_S)
        value_S[found_G[g] : found_G[g] + n] = group_S[:n].copy()
        found_G[g + 1] = found_G[g] + n
    return found_G, value_S[: found_G[-1]].copy()
