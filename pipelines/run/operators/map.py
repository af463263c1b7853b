"""Run maps over the surviving documents of a view and write a new dataset.

Memory: one row group in, one out, and the removed rows of the unit.
"""

from __future__ import annotations

from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.fused import FusedMaps
from corpusmill.pipelines.run.operators.job import Job, ViewUnit, view_content, view_units
from corpusmill.pipelines.run.operators.operator import Operator, weigh_documents
from corpusmill.pipelines.run.operators.receipts import dataset_result
from corpusmill.pipelines.run.operators.stored_unit import StoredUnit
from corpusmill.pipelines.storage.datasets import DatasetWriter
from corpusmill.pipelines.storage.removed import write_removed
from corpusmill.pipelines.storage.run_folder import Attempt


def work(job: Job[ViewUnit], attempt: Attempt) -> UnitResult:
    return run_maps(job, attempt, encoded=False)


def run_maps(job: Job[ViewUnit], attempt: Attempt, *, encoded: bool) -> UnitResult:
    """Write what the step's maps let pass, as tokens (Arrow IPC) or as documents (Parquet)."""
    ledger = Ledger()
    marker = job.marker(attempt)
    fused = FusedMaps(job.stages(), ledger, poison=job.poison, marker=marker, limits=job.limits(attempt))
    writer = DatasetWriter(attempt.file("arrow" if encoded else "parquet"), encoded=encoded)
    sources: dict[str, tuple[int, int]] = {}
    stored = StoredUnit.of(job.scores, job.step, job.unit.reads)
    for docs, _ in job.view.batches(job.unit.reads):
        survivors = fused.push(docs if stored is None else stored.told(docs))
        writer.append(survivors)
        for source, size in zip(
            survivors.column("source").to_pylist(), survivors.sizes().tolist(), strict=True
        ):
            had = sources.get(source, (0, 0))
            sources[source] = (had[0] + 1, had[1] + size)
    rows = writer.close()
    if (removed := fused.removed()).num_rows:
        write_removed(attempt.file("removed.arrow"), [removed])
    return dataset_result(ledger, rows, sources, f"{job.step.name}, unit {attempt.unit}")


OPERATOR = Operator(
    "map",
    reads="documents",
    writes="documents",
    unit=ViewUnit,
    units=view_units,
    content=view_content,
    work=work,
    isolates=True,
    weigh=weigh_documents,
    balances="documents",
    lists_removed="where any",
    rejudges=True,
)
