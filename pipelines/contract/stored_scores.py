"""Scores of documents that an earlier version of a step gave, used instead of being measured again.

They travel with a batch as what is known of its texts does (`Documents.of_text`): with the rows that are
kept, and no further than to where a text changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import Columns, Documents, contiguous

if TYPE_CHECKING:
    from corpusmill.pipelines.contract.stage import Filter


@dataclass(frozen=True)
class StageScores:
    """What one filter gave: a table of its score columns, named as it named them, and which of the rows of
    the whole came to it, bool[n]."""

    table: pa.Table
    came: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StoredScores:
    """`stages`: by name; `places` int64[n]: the row of each document of a batch in their tables, -1: none."""

    stages: Mapping[str, StageScores]
    places: npt.NDArray[np.int64]

    def rows(self, chosen: npt.NDArray[np.int64]) -> Self:
        """The same of some rows of the batch."""
        return type(self)(self.stages, self.places[chosen]) if self.stages else self


def scores_of(stage: Filter, docs: Documents) -> Columns:
    """`stage.score(docs)`, stored where an earlier version of the step gave it."""
    known = docs.of_text(StoredScores, _nothing)
    if stage.name not in known.stages or not len(docs):
        return stage.score(docs)
    stored, places = known.stages[stage.name], known.places
    hit = (places >= 0) & stored.came[places]
    if not hit.any():
        return stage.score(docs)
    rest = stage.score(docs.keep(~hit))
    order = np.where(hit, np.cumsum(hit) - 1, hit.sum() + np.cumsum(~hit) - 1)
    found = stored.table.take(pa.array(places[hit]))
    return {name: _merged(found.column(name), values, order) for name, values in rest.items()}


def _merged(
    stored: pa.ChunkedArray, measured: pa.Array | npt.NDArray[Any], order: npt.NDArray[np.int64]
) -> pa.Array | npt.NDArray[Any]:
    """A column of stored rows and of measured ones, in the order of the batch, of the kind of the latter."""
    left = contiguous(stored)
    if isinstance(measured, np.ndarray):
        values = np.concatenate([np.asarray(left.to_numpy(zero_copy_only=False), measured.dtype), measured])
        return values[order]
    return pa.concat_arrays([left, measured.cast(left.type)]).take(pa.array(order))


def _nothing(docs: Documents) -> StoredScores:
    return StoredScores({}, np.zeros(0, np.int64))
