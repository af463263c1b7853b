"""Judge the documents of a view without rewriting them: the output is the list of rows to remove.

Parts that a stage cuts (`contract.cutting`) are kept beside it, as an exchange's are.

Scores of every document judged are kept beside it as `<unit>.scores.parquet`, by row, so that another
threshold needs no second scan. Files do not say which unit they are of: a unit of the same content, wherever
it stands, has the same; the unit of cuts reads 0. Memory: one row group, and
the removed rows, cuts and scores of the unit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.addresses import EDITS
from corpusmill.pipelines.contract.documents import Documents, contiguous
from corpusmill.pipelines.contract.stage import Filter, Map
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import MaskPart, Part, UnitResult
from corpusmill.pipelines.run.operators.cutting import cut_bytes, cut_unit
from corpusmill.pipelines.run.operators.fused import FusedMaps
from corpusmill.pipelines.run.operators.job import Job, ViewUnit, view_content, view_units
from corpusmill.pipelines.run.operators.operator import Operator, weigh_documents
from corpusmill.pipelines.storage.cuts import CUTS, EDITS_FILE, write_cuts
from corpusmill.pipelines.storage.removed import write_removed
from corpusmill.pipelines.storage.run_folder import Attempt


def work(job: Job[ViewUnit], attempt: Attempt) -> UnitResult:
    ledger = Ledger()
    marker = job.marker(attempt)
    fused = FusedMaps(
        job.stages(), ledger, poison=job.poison, marker=marker, limits=job.limits(attempt), cuts=True
    )
    unit = job.unit.reads
    scores: list[pa.Table] = []
    edits: list[pa.Table] = []
    for docs, rows in job.view.batches(unit):
        numbered = docs.with_columns({"_row": pa.array(rows, pa.uint32())})
        kept = fused.push(numbered)
        names = [
            name for name in kept.table.column_names if "." in name and name not in docs.table.column_names
        ]
        scores.append(kept.table.select(["_row", *names]))
        edits += _edits(fused.stages[-1], kept, unit)
    removed = fused.removed()
    if any(table.num_rows for table in edits):
        stage = fused.stages[-1].name
        cuts, emptied = cut_unit(job.view, unit, pa.concat_tables(edits), stage)
        _count(ledger, stage, cuts, emptied)
        removed = pa.concat_tables([removed, _without_unit(emptied)])
        scores = [
            table.filter(pc.invert(pc.is_in(table.column("_row"), emptied.column("row")))) for table in scores
        ]
        if cuts.num_rows:
            at = cuts.column_names.index("unit")
            nought = pa.array(np.zeros(cuts.num_rows, np.uint32))
            write_cuts(attempt.file(EDITS_FILE), [cuts.set_column(at, CUTS.field(at), nought)])
    removed = removed.sort_by("row")
    if removed.num_rows:
        write_removed(attempt.file("removed.arrow"), [removed])
    pq.write_table(
        pa.concat_tables(scores, promote_options="permissive") if scores else pa.table({}),
        attempt.file("scores.parquet"),
        compression="zstd",
        write_page_checksum=True,
    )
    ledger.check(f"{job.step.name}, unit {unit}")
    return UnitResult(removed.num_rows, ledger.record(), MaskPart(1, {unit: removed.num_rows}))


def _edits(stage: Map, kept: Documents, unit: int) -> list[pa.Table]:
    """`EDITS` rows of what a stage cuts from documents that it keeps, which have its scores."""
    if not isinstance(stage, Filter) or not len(kept):
        return []
    prefix = f"{stage.name}."
    scores = {
        name.removeprefix(prefix): contiguous(kept.table.column(name))
        for name in kept.table.column_names
        if name.startswith(prefix)
    }
    found = stage.cuts(scores)
    if found is None or not found.num_rows:
        return []
    given = {name: found.column(name) for name in found.column_names}
    given["row"] = kept.table.column("_row").take(found.column("row"))
    given["unit"] = pa.array(np.full(found.num_rows, unit, np.uint32))
    columns = [given.get(field.name, pa.nulls(found.num_rows, field.type)) for field in EDITS]
    return [pa.table(columns, EDITS.names).cast(EDITS)]


def _without_unit(rows: pa.Table) -> pa.Table:
    at = rows.column_names.index("unit")
    return rows.set_column(at, rows.schema.field(at), pa.nulls(rows.num_rows, pa.uint32()))


def _count(ledger: Ledger, stage: str, cuts: pa.Table, emptied: pa.Table) -> None:
    """Take what was cut, and the documents that were emptied, from what the ledger has as kept."""
    for source, reason, size in cut_bytes(cuts):
        entry = ledger.entry(stage, source)
        entry.keep(0, -size, -size)
        entry.cut_out(reason, size)
    for row in emptied.select(["source", "reason", "bytes"]).to_pylist():
        entry = ledger.entry(stage, row["source"])
        entry.keep(-1, -row["bytes"], -row["bytes"])
        entry.remove(row["reason"], 1, row["bytes"])


def _placed(unit: ViewUnit, part: Part | None) -> Part | None:
    assert isinstance(part, MaskPart)
    return replace(part, removed_rows={unit.reads: sum(part.removed_rows.values())})


OPERATOR = Operator(
    "mask",
    reads="documents",
    writes="removals",
    unit=ViewUnit,
    units=view_units,
    content=view_content,
    placed=_placed,
    work=work,
    isolates=True,
    weigh=weigh_documents,
    balances="documents",
    lists_removed="where any",
)
