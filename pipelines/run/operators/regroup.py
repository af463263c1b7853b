"""Second half of an exchange that brings documents together and writes them as a new dataset.

Of the rows of a key that the stage raises on, or dies of, those that fail alone are left out, or else all of
them. Memory: one partition of documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.apart import Rows, Trier, key_ends, leave_out
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.partitions import PartitionUnit, partition_units, read_partition
from corpusmill.pipelines.run.operators.receipts import dataset_result
from corpusmill.pipelines.storage.datasets import DatasetWriter
from corpusmill.pipelines.storage.removed import removed_table, write_removed
from corpusmill.pipelines.storage.run_folder import Attempt

_ADDRESS = ("key", "unit", "row")


def units(preparation: Preparation) -> Sequence[PartitionUnit]:
    return partition_units(preparation.first)


def work(job: Job[PartitionUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    source = job.step.options.need_source
    ledger = Ledger()
    entry = ledger.entry(stage.name, source)
    writer = DatasetWriter(attempt.file("parquet"))
    rows = read_partition(job.first, job.unit.partition)
    removed = removed_table([])
    size = 0
    if rows is not None and rows.num_rows:

        def reduce(some: Rows) -> Documents:
            part = rows if len(some) == rows.num_rows else rows.take(pa.array(some))
            docs: Documents = stage.reduce(part)
            if sorted(docs.column("id").to_pylist()) != sorted(part.column("id").to_pylist()):
                raise CorpusmillError(f"stage {stage.name} lost or invented documents in a partition")
            return docs

        found = Trier(stage.name, reduce, job.poison, job.marker(attempt)).groups(key_ends(rows))
        if found.results:
            parts = [docs.drop(*_ADDRESS).table for docs in found.results]
            docs = Documents(pa.concat_tables(parts, promote_options="permissive").combine_chunks())
            size = int(docs.sizes().sum())
            entry.arrive(len(docs), size)
            entry.keep(len(docs), size, size)
            writer.append(docs)
        guilty, causes = found.left_out()
        if len(guilty):
            bad = Documents(rows.take(pa.array(guilty)).drop_columns(list(_ADDRESS)))
            removed = leave_out(bad, stage.name, causes, ledger)
    written = writer.close()
    if removed.num_rows:
        write_removed(attempt.file("removed.arrow"), [removed])
    where = f"{job.step.name}, unit {attempt.unit}"
    return dataset_result(ledger, written, {source: (written, size)}, where, left_out=removed.num_rows)


OPERATOR = Operator(
    "regroup",
    reads="rows",
    writes="documents",
    unit=PartitionUnit,
    units=units,
    work=work,
    isolates=True,
    balances="rows",
    lists_removed="where any",
    judges=False,
)
