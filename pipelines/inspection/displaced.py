"""What a survivor displaced, and how a removed document and its survivor differ.

A step's lists of removed documents name each one's survivor: read from the survivor's end they are the table
of all that it displaced. They stay whatever a run keeps; texts may not, and then the reason is told.
Time: one reading of the lists, and a row group of text a document that is compared. Memory: a record batch,
the documents listed, two texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.errors import NotKeptError
from corpusmill.pipelines.contract.known import run_of
from corpusmill.pipelines.inspection.identities import (
    Place,
    arrow_batches,
    dataset_row,
    has_removed,
    in_dataset,
    removed_path,
)
from corpusmill.pipelines.inspection.passages import differing
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.inspection.story import Comparison, Displaced, DisplacedDocument
from corpusmill.pipelines.inspection.trails import text_before

_COLUMNS = ["unit", "row", "id", "source", "bytes", "reason", "survivor_id", "survivor_source", "similarity"]


@dataclass(frozen=True)
class Page:
    """Which of the documents that a survivor displaced are listed, of each step: `limit` after the first
    `skip`, in the order of their ids."""

    limit: int = 10
    skip: int = 0


FIRST = Page()


def displacing(record: RunRecord) -> list[StepRecord]:
    """Complete steps that removed documents in favour of others, in their order."""
    return [mask for mask in record.masks if mask.operator.reads == "pairs"]


def displaced_by(record: RunRecord, identity: str, page: Page) -> tuple[Displaced, ...]:
    """What the document of this id displaced, by step; steps in which it displaced nothing are left out."""
    found = []
    for mask in displacing(record):
        rows = _rows_for(mask, identity, page)
        if rows.documents:
            found.append(replace(rows, listed=tuple(_compared(record, mask, identity, rows.listed))))
    return tuple(found)


def _rows_for(mask: StepRecord, identity: str, page: Page) -> Displaced:
    """The sums of a step, and the documents of the page, not compared."""
    sources: dict[str, tuple[int, int]] = {}
    first: list[dict[str, Any]] = []  # in the order of ids, as many as the page reaches to
    for batch in _batches(mask):
        mine = batch.filter(pc.equal(batch.column("survivor_id"), identity))
        if not mine.num_rows:
            continue
        sums = pa.Table.from_batches([mine]).group_by("source").aggregate([("bytes", "sum"), ("id", "count")])
        for one in sums.to_pylist():
            documents, size = sources.get(one["source"], (0, 0))
            sources[one["source"]] = documents + one["id_count"], size + one["bytes_sum"]
        by = [(name, "ascending") for name in ("id", "unit", "row")]
        first += pa.Table.from_batches([mine]).sort_by(by).slice(0, page.skip + page.limit).to_pylist()
        first.sort(key=lambda row: (row["id"], row["unit"], row["row"]))
        del first[page.skip + page.limit :]
    names = [name for name in _COLUMNS if not name.startswith("survivor")]
    listed = tuple(DisplacedDocument(**{name: row[name] for name in names}) for row in first[page.skip :])
    return Displaced(
        step=mask.name,
        stage=mask.stages[-1].name,
        documents=sum(documents for documents, _ in sources.values()),
        bytes=sum(size for _, size in sources.values()),
        sources=dict(sorted(sources.items())),
        skipped=page.skip,
        listed=listed,
    )


def _batches(mask: StepRecord) -> Iterator[pa.RecordBatch]:
    for unit in mask.units:
        if has_removed(unit):
            yield from arrow_batches(removed_path(mask.data, unit.unit), _COLUMNS)


def _compared(
    record: RunRecord, mask: StepRecord, identity: str, listed: Sequence[DisplacedDocument]
) -> Iterator[DisplacedDocument]:
    survivor: str | NotKeptError | None = None
    for number, one in enumerate(listed):
        if number == 0:
            survivor = _survivor_text(record, mask, identity, _source_of(mask, identity))
        yield replace(one, comparison=_comparison(record, mask, one, identity, survivor))


def _source_of(mask: StepRecord, identity: str) -> str:
    """The source of a survivor, as the first list that names it tells."""
    for batch in _batches(mask):
        at = pc.index(batch.column("survivor_id"), identity).as_py()
        if at >= 0:
            return str(batch.column("survivor_source")[at].as_py())
    return ""


def compare(
    record: RunRecord, step: str, removed: DisplacedDocument, survivor_id: str, survivor_source: str
) -> Comparison:
    """How a document that a step removed and its survivor differ, as the step saw them."""
    if (run := run_of(survivor_source)) is not None:
        return Comparison(survivor_id, not_shown=f"the survivor is of the earlier run {run}, not of this one")
    mask = record.steps[step]
    text = _survivor_text(record, mask, survivor_id, survivor_source)
    return _comparison(record, mask, removed, survivor_id, text)


def _comparison(
    record: RunRecord,
    mask: StepRecord,
    removed: DisplacedDocument,
    survivor_id: str,
    survivor: str | NotKeptError | None,
) -> Comparison:
    if survivor is None:
        return Comparison(survivor_id, not_shown="the survivor is in no dataset of this run")
    try:
        if isinstance(survivor, NotKeptError):
            raise survivor
        text = text_seen(record, mask, removed.source, (removed.unit, removed.row))
    except NotKeptError as error:
        return Comparison(survivor_id, not_shown=str(error))
    mine, theirs = differing(text, survivor)
    return Comparison(survivor_id, mine, theirs)


def _survivor_text(
    record: RunRecord, mask: StepRecord, identity: str, source: str
) -> str | NotKeptError | None:
    """The survivor's text as the step saw it; an error where it was not kept, None where there is none."""
    its_source = next((one for one in record.sources if one.name == source and one.whole), None)
    if its_source is None:
        return None
    try:
        for place in in_dataset(its_source.last, identity):
            address = record.first_units[source] + place.unit, place.row
            return text_seen(record, mask, source, address)
    except NotKeptError as error:
        return error
    return None


def text_seen(record: RunRecord, mask: StepRecord, source: str, address: tuple[int, int]) -> str:
    """The text of a document of a source at an address of the view, as a mask saw it: without what was cut
    before. Raises NotKeptError where the run removed it after use."""
    its_source = next(one for one in record.sources if one.name == source)
    number = address[0] - record.first_units[source]
    place = Place(its_source.last.name, its_source.last.units[number].unit, address[1], "")
    text = dataset_row(its_source.last, place, without=("raw", "meta"))["text"]
    return text_before(record, mask, *address, text or "")
