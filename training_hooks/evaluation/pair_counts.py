"""How often each ordered pair of neighbouring ids occurs, kept for the pairs that do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]


class PairCounts:
    """Adds up pairs of ids below `vocabulary`.

    Memory: 16 bytes a distinct pair, up to three times that while sorted runs are merged. Runs are merged as
    digits of a binary counter carry, so n pairs cost n log n.
    """

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self._runs: list[tuple[I64, I64]] = []

    def add(self, before_N: I64, token_N: I64) -> None:
        """Count N more pairs."""
        keys, counts = np.unique(before_N * self.vocabulary + token_N, return_counts=True)
        self._runs.append((keys, counts.astype(np.int64)))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            self._merge()

    def table(self) -> tuple[I64, I64]:
        """Keys `before * vocabulary + token`, ascending and distinct, and their counts."""
        while len(self._runs) > 1:
            self._merge()
        return self._runs[0] if self._runs else (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def _merge(self) -> None:
        (left, n_left), (right, n_right) = self._runs[-2:]
        keys = np.concatenate([left, right])
        counts = np.concatenate([n_left, n_right])
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        heads = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
        summed = np.add.reduceat(counts, heads) if len(keys) else counts
        self._runs[-2:] = [(keys[heads], summed)]
