"""What a deduplication says of how alike texts are, and of how well it finds pairs of them: all pairs of a
sample, and the chance of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@runtime_checkable
class Measuring(Protocol):
    """A deduplication that tells how alike documents are from the side rows that it sends of them."""

    def likeness(self, one: pa.Table, side: pa.Table) -> npt.NDArray[np.float64] | None:
        """How similar the document of a side row is to those of other side rows, float64[n] from 0 to 1. None
        where it cannot be told of that document."""
        ...


@dataclass(frozen=True)
class SampledPairs:
    """All pairs of a sample of documents that are alike, found by comparing them, without the stage's search.

    `documents`: how many of the sample were compared, its first ones. Of p pairs, `first` and `second`
    int64[p]: positions in the sample; `index` float64[p]: what the chance of a pair follows from, at least
    `least`; `chance` float64[p]: that the search finds it, by theory; `found` bool[p]: whether it does;
    `duplicate` bool[p]: whether the stage holds it to be one, once it is found. `curve`: the chance by index,
    at points from 0 to 1. Pairs of equal documents, which are found always, are not among them.
    """

    documents: int
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    index: npt.NDArray[np.float64]
    chance: npt.NDArray[np.float64]
    found: npt.NDArray[np.bool_]
    duplicate: npt.NDArray[np.bool_]
    least: float
    curve: tuple[tuple[float, float], ...]
