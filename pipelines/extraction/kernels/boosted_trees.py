"""Values of boosted decision trees: one sum over all trees for each row of features."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.text.compiled import compiled

if TYPE_CHECKING:
    import numpy.typing as npt


class Trees(NamedTuple):
    """Nodes of all trees, leaves among them, one tree after the other.

    A row whose feature is at most the threshold of node k goes on to node `following[2 * k]`, else to
    `following[2 * k + 1]`; from a leaf it goes to that leaf.
    Numbers are unsigned, so that no index is looked at for being negative.
    """

    roots: npt.NDArray[np.uint64]
    """The first node of each tree."""
    levels: npt.NDArray[np.uint64]
    """Steps from each tree's root to its deepest leaf."""
    feature: npt.NDArray[np.uint64]
    threshold: npt.NDArray[np.float32]
    following: npt.NDArray[np.uint64]
    value: npt.NDArray[np.float32]
    """What a leaf adds; 0 for other nodes."""


@compiled
def sums_of(
    trees: Trees, table: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:  # pragma: no cover - compiled
    """float64[rows]: the sum of the leaves that each row of `table` float32[rows, features] comes to.

    Four rows go down a tree side by side, each as many steps as the deepest leaf takes: nothing is left for
    the processor to guess, and while one row waits for memory the others go on.
    """
    n = len(table)
    sums = np.zeros(n, np.float64)
    feature, threshold, following = trees.feature, trees.threshold, trees.following
    for tree in range(len(trees.roots)):  # its nodes stay in the nearest cache for all rows
        root, levels = trees.roots[tree], trees.levels[tree]
        for row in range(0, n, 4):
            i, j, k = min(row + 1, n - 1), min(row + 2, n - 1), min(row + 3, n - 1)
            a = b = c = d = root
            for _ in range(levels):
                a = following[a + a + np.uint64(table[row, feature[a]] > threshold[a])]
                b = following[b + b + np.uint64(table[i, feature[b]] > threshold[b])]
                c = following[c + c + np.uint64(table[j, feature[c]] > threshold[c])]
                d = following[d + d + np.uint64(table[k, feature[d]] > threshold[d])]
            sums[row] += trees.value[a]
            if row + 1 < n:
                sums[i] += trees.value[b]
            if row + 2 < n:
                sums[j] += trees.value[c]
            if row + 3 < n:
                sums[k] += trees.value[d]
    return sums
