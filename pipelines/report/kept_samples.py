"""A few of the documents that are kept, to be read beside those that were removed.

They are chosen by id among the first row groups of two units of each source, so the same run shows the same
ones. Memory: one row group of texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord
from corpusmill.pipelines.inspection.story import Scores
from corpusmill.pipelines.report.distributions import spread, starts_of
from corpusmill.pipelines.report.samples import EXCERPT, SAMPLES
from corpusmill.pipelines.storage.datasets import DatasetView, unit_file
from corpusmill.pipelines.storage.not_kept import not_kept

SOURCES = 100  # whose documents are shown
_UNITS = 2
_DRAWS = "report kept samples"


@dataclass(frozen=True)
class KeptSample:
    """A document that every step so far has kept, with the scores of each stage and the beginning of its
    text."""

    source: str
    id: str
    lang: str | None
    bytes: int
    scores: Scores
    excerpt: str

    def of_stage(self, stage: str) -> KeptSample:
        """The same with the scores of this stage alone, as it named them."""
        prefix = f"{stage}."
        mine = {
            name.removeprefix(prefix): value for name, value in self.scores.items() if name.startswith(prefix)
        }
        return replace(self, scores=mine)


def kept_samples(record: RunRecord) -> tuple[KeptSample, ...]:
    """Samples of every source, up to `SOURCES` of them; none of a source whose documents the run did not
    keep. Names of scores are `<stage>.<score>`."""
    sources = [
        source for source in record.sources if source.whole and not_kept(source.last.data.path) is None
    ]
    view, starts = record.view(), starts_of(record)
    return tuple(
        sample for source in sources[:SOURCES] for sample in _of_source(view, source, starts[source.name])
    )


def _of_source(view: DatasetView, source: SourceRecord, start: int) -> list[KeptSample]:
    chosen: list[tuple[int, KeptSample]] = []
    for number in spread(range(len(source.last.units)), _UNITS):
        chosen += [
            (drawn, _sample(row, size)) for drawn, row, size in _rows(view, source, start + number, number)
        ]
    chosen.sort(key=lambda pair: (pair[0], pair[1].id))
    return [sample for _, sample in chosen[:SAMPLES]]


def _rows(
    view: DatasetView, source: SourceRecord, unit: int, number: int
) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Of the first row group the rows of the smallest draws, and their texts' bytes."""
    names = pq.read_schema(unit_file(source.last.data, source.last.units[number].unit)).names
    columns = [name for name in names if name in ("id", "source", "lang", "text") or "." in name]
    for docs, _ in islice(view.batches(unit, columns), 1):
        sizes = docs.sizes()
        drawn = draws(docs.table.column("id").combine_chunks(), 0, _DRAWS)
        for at in np.argsort(drawn, kind="stable")[:SAMPLES].tolist():
            (row,) = docs.table.slice(at, 1).to_pylist()
            yield int(drawn[at]), row, int(sizes[at])


def _sample(row: dict[str, Any], size: int) -> KeptSample:
    scores = {
        name: value
        for name, value in row.items()
        if "." in name and isinstance(value, (int, float, str, bool)) and value is not None
    }
    text = row["text"] or ""
    return KeptSample(row["source"], row["id"], row["lang"], size, scores, text[:EXCERPT])
