"""Second half of an exchange that brings documents together and writes them as a new dataset.

Memory: one partition of documents.
"""

from __future__ import annotations

from corpusmill.pipelines.datasets import DatasetWriter
from corpusmill.pipelines.documents import Documents
from corpusmill.pipelines.errors import CorpusmillError
from corpusmill.pipelines.ledger import Ledger
from corpusmill.pipelines.operators.job import Job, Preparation
from corpusmill.pipelines.operators.partitions import partition_units, read_partition
from corpusmill.pipelines.operators.receipts import dataset_receipt
from corpusmill.pipelines.removed import removed_table, write_removed
from corpusmill.pipelines.storage import Attempt, Json


def units(preparation: Preparation) -> list[Json]:
    return partition_units(preparation.first)


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    source = job.step.options["source"]
    ledger = Ledger()
    entry = ledger.entry(stage.name, source)
    writer = DatasetWriter(attempt.file("parquet"))
    rows = read_partition(job.first, job.unit["partition"])
    size = 0
    if rows is not None and rows.num_rows:
        came = Documents(rows)
        entry.arrive(len(came), int(came.sizes().sum()))
        docs = stage.reduce(rows)
        if sorted(docs.column("id").to_pylist()) != sorted(came.column("id").to_pylist()):
            raise CorpusmillError(f"stage {stage.name} lost or invented documents in a partition")
        docs = docs.drop("key", "unit", "row")
        size = int(docs.sizes().sum())
        entry.keep(len(docs), size, size)
        writer.append(docs)
    written = writer.close()
    write_removed(attempt.file("removed.arrow"), [removed_table([])])
    return dataset_receipt(
        ledger, written, {source: (written, size)}, f"{job.step.name}, unit {attempt.unit}"
    )
