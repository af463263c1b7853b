"""The documents that a run saw which are most like a text, by what a deduplication kept of each.

A stage with side rows (the shingle sets of `minhash`) measures the text against those of every document that
came to it, kept or removed: nothing is missed, and no text of the run is read but those shown. Time: one
reading of the side rows, 3 bytes a distinct shingle. Memory: a batch of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.errors import NotKeptError, UserError
from corpusmill.pipelines.contract.recall import Measuring
from corpusmill.pipelines.contract.stage import Deduplicate
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.inspection.kept_text import kept_document
from corpusmill.pipelines.inspection.recall import stage_class
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.run.operators.layout import first_of
from corpusmill.pipelines.run.operators.packed_lists import unpacked
from corpusmill.pipelines.run.operators.sides import SIDE_FILE
from corpusmill.pipelines.storage.datasets import DatasetView

COUNT = 10
SHOWN = 400  # characters of a text
_SCATTER = ".scatter"


@dataclass(frozen=True)
class NearDocument:
    """A document and how similar it is to the text, from 0 to 1. `kept`: whether the run keeps it, or else
    `removed_by`, the step that removed it. `text`: its beginning, None of what is not kept or not there."""

    id: str
    source: str
    similarity: float
    bytes: int
    kept: bool
    removed_by: str | None
    place: str | None
    text: str | None


@dataclass(frozen=True)
class Nearest:
    """The nearest documents, most similar first, of so many `compared` by the stage of a step. Documents
    without anything in common are left out."""

    run: str
    step: str
    compared: int
    documents: tuple[NearDocument, ...]

    def _repr_html_(self) -> str:
        from corpusmill.pipelines.inspection.nearest_rendering import html_of_nearest

        return html_of_nearest(self)


def nearest_documents(record: RunRecord, text: str, count: int = COUNT) -> Nearest:
    """The `count` documents most like `text`.

    Raises UserError where no deduplication of the run kept what texts are compared by, or the text is too
    short for it, and NotKeptError where it was removed after use.
    """
    step, stage = _measuring(record)
    assert isinstance(stage, Measuring)
    one = stage.emit(_document(text), 0, np.zeros(1, np.uint32)).side
    assert one is not None
    scattered = record.complete(step.name + _SCATTER)
    assert scattered is not None
    compared = 0
    found: list[tuple[float, str, dict[str, Any]]] = []
    for first, batch in _side_batches(scattered):
        likeness = stage.likeness(one, batch)
        if likeness is None:
            raise UserError("the text is too short to be compared: it has not one shingle")
        compared += batch.num_rows
        at = np.flatnonzero(likeness > 0)
        rows = batch.select(["id", "source", "bytes", "unit", "row"]).take(pa.array(at)).to_pylist()
        for row, value in zip(rows, likeness[at].tolist(), strict=True):
            found.append((-value, row["id"], {**row, "unit": row["unit"] + first}))
        found = heapq.nsmallest(count, found, key=lambda entry: entry[:2])
    view = record.view()
    documents = (_near(record, view, -value, row) for value, _, row in found)
    return Nearest(record.folder.location, step.name, compared, tuple(documents))


def _measuring(record: RunRecord) -> tuple[StepRecord, Deduplicate]:
    """The last complete step whose stage measures texts, and its stage."""
    for step in reversed(record.masks):
        kind = stage_class(step.stages[-1].name)
        if kind is None or not issubclass(kind, Deduplicate) or not issubclass(kind, Measuring):
            continue
        if record.complete(step.name + _SCATTER) is not None:
            return step, kind.model_validate(dict(step.stages[-1].options))
    raise UserError(
        f"{record.folder.location}: no step of the run measures how alike texts are; add `dedup: [minhash]` "
        "to the recipe"
    )


def _document(text: str) -> Documents:
    row = {field.name: "" for field in SCHEMA} | {"id": "0" * 32, "text": text}
    return Documents(pa.Table.from_pylist([row], SCHEMA))


def _side_batches(scattered: StepRecord) -> Iterator[tuple[int, pa.Table]]:
    """Side rows with the number that the units of their file count from."""
    for unit in scattered.units:
        name = f"{unit.unit:05d}.{SIDE_FILE}"
        if scattered.data.has(name):
            first = first_of(scattered.data.units.facts(unit.unit))
            for batch in arrow_batches(scattered.data.file(name), None):
                yield first, unpacked(pa.Table.from_batches([batch]))


def _near(record: RunRecord, view: DatasetView, similarity: float, row: dict[str, Any]) -> NearDocument:
    unit, at = row["unit"], row["row"]
    removed_by = next((mask.name for mask in record.masks if _removes(mask, unit, at)), None)
    place = text = None
    if removed_by is None:
        try:
            found = kept_document(record, view, unit, at, row["id"])
            place, text = found["url"] or found["path"], (found["text"] or "")[:SHOWN]
        except NotKeptError:
            text = None
    return NearDocument(
        row["id"], row["source"], similarity, row["bytes"], removed_by is None, removed_by, place, text
    )


def _removes(mask: StepRecord, unit: int, row: int) -> bool:
    rows = DatasetView([], [mask.data]).removed_rows(unit)
    return bool(np.isin(row, rows))
