"""Second half of an exchange that writes final files, such as token shards.

Memory: one partition of encoded documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from corpusmill.pipelines.records.receipt import SummaryPart, UnitResult
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.partitions import PartitionUnit, partition_units, read_partition
from corpusmill.pipelines.storage.run_folder import Attempt


def units(preparation: Preparation) -> Sequence[PartitionUnit]:
    return partition_units(preparation.first)


def work(job: Job[PartitionUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    rows = read_partition(job.first, job.unit.partition)
    summary = stage.write(rows if rows is not None else pa.table({}), job.unit.partition, attempt.folder)
    return UnitResult(rows.num_rows if rows is not None else 0, part=SummaryPart(summary))


OPERATOR = Operator(
    "write",
    reads="rows",
    writes="shards",
    unit=PartitionUnit,
    units=units,
    work=work,
    balances="rows",
)
