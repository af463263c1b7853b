"""Values of boosted decision trees: one sum over all trees for each row of features.

After QuickScorer (Lucchese et al. 2015): the leaves of a tree are bits, lowest first from left to right. Each
node whose threshold a row's feature exceeds takes away the bits of the leaves on its left; the lowest bit
that stays is the leaf that the row comes to. All nodes of a tree are looked at, but without a jump, and many
rows by one instruction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import trailing_zeros

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_LEAVES = 32
"""Leaves of one tree, at most: as many as a mask has bits."""
_ALL = np.uint32(0xFFFFFFFF)


class Trees(NamedTuple):
    """The nodes of all trees that are no leaves, one tree after the other, and the leaves."""

    first: npt.NDArray[np.int64]
    """The nodes of tree t are `first[t]:first[t + 1]`."""
    feature: npt.NDArray[np.uint64]
    threshold: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint32]
    """The leaves that a row may come to whose feature is above the threshold."""
    value: npt.NDArray[np.float32]
    """[trees, MOST_LEAVES]: what each leaf adds."""


@compiled
def sums_of(
    trees: Trees, table: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:  # pragma: no cover - compiled
    """float64[rows]: the sum of the leaves that each column of `table` float32[features, rows] comes to."""
    n = table.shape[1]
    sums = np.zeros(n, np.float64)
    left = np.empty(n, np.uint32)
    for tree in range(len(trees.first) - 1):
        for row in range(n):
            left[row] = _ALL
        for node in range(trees.first[tree], trees.first[tree + 1]):
            feature, threshold, mask = trees.feature[node], trees.threshold[node], trees.mask[node]
            for row in range(n):
                left[row] = np.uint32(left[row] & (mask if table[feature, row] > threshold else _ALL))
        for row in range(n):
            sums[row] += trees.value[tree, trailing_zeros(np.uint64(left[row]))]
    return sums
