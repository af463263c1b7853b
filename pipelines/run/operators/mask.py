"""Judge the documents of a view without rewriting them: the output is the list of rows to remove.

Scores of every document judged are kept beside it as `<unit>.scores.parquet`, by row, so that another
threshold needs no second scan. Files do not say which unit they are of: a unit of the same content, wherever
it stands, has the same. Memory: one row group, and the removed rows and scores of the unit.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import MaskPart, Part, UnitResult
from corpusmill.pipelines.run.operators.fused import FusedMaps
from corpusmill.pipelines.run.operators.job import Job, ViewUnit, view_content, view_units
from corpusmill.pipelines.run.operators.operator import Operator, weigh_documents
from corpusmill.pipelines.storage.removed import write_removed
from corpusmill.pipelines.storage.run_folder import Attempt


def work(job: Job[ViewUnit], attempt: Attempt) -> UnitResult:
    ledger = Ledger()
    marker = job.marker(attempt)
    fused = FusedMaps(job.stages(), ledger, poison=job.poison, marker=marker)
    unit = job.unit.reads
    scores: list[pa.Table] = []
    for docs, rows in job.view.batches(unit):
        numbered = docs.with_columns({"_row": pa.array(rows, pa.uint32())})
        kept = fused.push(numbered)
        names = [
            name for name in kept.table.column_names if "." in name and name not in docs.table.column_names
        ]
        scores.append(kept.table.select(["_row", *names]))
    removed = fused.removed().sort_by("row")
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
