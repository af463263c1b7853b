"""Judge the documents of a view without rewriting them: the output is the list of rows to remove.

Scores of every document judged are kept beside it as `<unit>.scores.parquet`, by row, so that another
threshold needs no second scan. Memory: one row group, and the removed rows and scores of the unit.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import MaskPart, UnitResult
from corpusmill.pipelines.run.operators.fused import FusedMaps
from corpusmill.pipelines.run.operators.job import Job, ViewUnit, view_units
from corpusmill.pipelines.run.operators.operator import Operator, weigh_documents
from corpusmill.pipelines.storage.removed import REMOVED, write_removed
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
    removed = _addressed(fused.removed(), unit)
    write_removed(attempt.file("removed.arrow"), [removed])
    pq.write_table(
        pa.concat_tables(scores, promote_options="permissive") if scores else pa.table({}),
        attempt.file("scores.parquet"),
        compression="zstd",
        write_page_checksum=True,
    )
    ledger.check(f"{job.step.name}, unit {unit}")
    return UnitResult(removed.num_rows, ledger.record(), MaskPart(1, {unit: removed.num_rows}))


def _addressed(removed: pa.Table, unit: int) -> pa.Table:
    numbers = pa.array([unit] * removed.num_rows, pa.uint32())
    return removed.set_column(0, REMOVED.field("unit"), numbers).sort_by("row")


OPERATOR = Operator(
    "mask",
    reads="documents",
    writes="removals",
    unit=ViewUnit,
    units=view_units,
    work=work,
    isolates=True,
    weigh=weigh_documents,
    balances="documents",
    lists_removed="always",
)
