"""The tables of what left: `removed`, `duplicates` and `cuts`, from the lists that steps keep."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.inspection.identities import arrow_batches, has_removed, removed_path
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.tables.table import Column, Table, columns_of
from corpusmill.pipelines.storage.cuts import CUTS, is_edits
from corpusmill.pipelines.storage.datasets import DatasetView
from corpusmill.pipelines.storage.removed import REMOVED

_STEP = Column("step", pa.string(), "the step that listed it")
_REMOVED = {
    "id": "the document's id, null of what never was a document",
    "source": "the recipe's source",
    "stage": "the filter, reader or deduplication",
    "kind": "`removed` or `quarantined`",
    "reason": "why",
    "bytes": "bytes of its text as they came to the stage; of raw pages before extraction",
    "lang": "language, where it was known",
    "position": "file and place of what was quarantined while it was read",
    "survivor_id": "the document that is kept in its place",
    "survivor_source": "and its source",
    "similarity": "how similar they are, as the stage measures it",
    "detail": "JSON: its scores, or the words of a fault",
    "excerpt": "beginning of its text, of a few chosen by id",
}
_CUTS = {
    "id": "the document's id",
    "source": "the recipe's source",
    "stage": "the stage that cut",
    "reason": "why",
    "start": "first byte of the part, in the text as its dataset has it",
    "end": "the byte after its last",
    "survivor_id": "the document that keeps the part",
    "survivor_source": "and its source",
    "excerpt": "its beginning, of a few chosen by id",
}


def removed_table(record: RunRecord) -> Table:
    """Every document removed or quarantined."""
    columns = (_STEP, *columns_of(REMOVED, _REMOVED))
    return Table(
        "removed", "documents that were removed or quarantined", columns, lambda names: _listed(record, names)
    )


def duplicates_table(record: RunRecord) -> Table:
    """Those of them that something else is kept for."""
    names = ("id", "source", "bytes", "reason", "survivor_id", "survivor_source", "similarity")
    columns = (_STEP, *columns_of(REMOVED, {name: _REMOVED[name] for name in names}))

    def read(names: frozenset[str]) -> Iterator[pa.Table]:
        for table in _listed(record, names | {"survivor_id"}):
            yield table.filter(pc.is_valid(table.column("survivor_id")))

    return Table("duplicates", "documents removed in favour of another", columns, read)


def cuts_table(record: RunRecord) -> Table:
    """Parts cut of documents that stay: not of those that a later step removes."""

    def read(names: frozenset[str]) -> Iterator[pa.Table]:
        view = record.view()
        for mask in record.masks:
            alone = DatasetView([], [mask.data])
            for unit in range(len(view)) if any(map(is_edits, mask.data.files())) else ():
                for batch in alone.cut_batches(unit):
                    stay = ~np.isin(batch.column("row").to_numpy(), view.removed_rows(unit))
                    yield _with_step(pa.Table.from_batches([batch]).filter(pa.array(stay)), mask.name)

    return Table("cuts", "parts cut of documents that stay", (_STEP, *columns_of(CUTS, _CUTS)), read)


def _listed(record: RunRecord, names: frozenset[str]) -> Iterator[pa.Table]:
    stored = [name for name in REMOVED.names if name in names | {"source"}]
    for step in record.removing():
        for unit in step.units:
            if not has_removed(unit):
                continue
            for batch in arrow_batches(removed_path(step.data, unit.unit), stored):
                yield _with_step(pa.Table.from_batches([batch]), step.name)


def _with_step(table: pa.Table, step: str) -> pa.Table:
    return table.append_column("step", pa.repeat(pa.scalar(step, pa.string()), table.num_rows))
