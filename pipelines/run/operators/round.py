"""A round of an exchange that is not its last: rows of equal key meet, and what they give is keyed anew.

Reads one partition of the rows that the step before sent, and writes the stage's rows as partitions for the
next round, as `scatter` does for the first. There are as many as in the first round, whose number follows
from the input's bytes. A document on whose rows the stage raises, or its worker dies, is left out of later
rounds. Memory: one partition, and the rows made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.records.receipt import PartitionsPart, UnitResult
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.meeting import meet
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.partitions import (
    PartitionUnit,
    partition_units,
    partitioned,
    sorted_rows,
)
from corpusmill.pipelines.storage.checked_ipc import write_batches
from corpusmill.pipelines.storage.run_folder import Attempt

ADDRESSED = {"key": pa.uint64(), "unit": pa.uint32(), "row": pa.uint32()}


@dataclass(frozen=True)
class RoundUnit(PartitionUnit):
    """One partition of the rows of the round before, and the number of those for the next."""

    partitions: int


def units(preparation: Preparation) -> list[RoundUnit]:
    sent = partition_units(preparation.first)
    return [RoundUnit(unit.partition, len(sent)) for unit in sent]


def work(job: Job[RoundUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    number, partitions = job.step.options.round, job.unit.partitions
    assert number is not None

    def keyed(made: Any) -> pa.Table:
        if not isinstance(made, pa.Table) or not set(ADDRESSED) <= set(made.column_names):
            raise CorpusmillError(
                f"stage {stage.name}: round {number} of {len(stage.rounds())} must give a table of rows with "
                f"`key`, `unit` and `row` for the next round; it gave {type(made).__name__}"
            )
        for name, kind in ADDRESSED.items():
            made = made.set_column(made.column_names.index(name), name, made.column(name).cast(kind))
        return made

    tables = meet(job, attempt, number, keyed)
    batches: list[pa.RecordBatch] = []
    if tables:
        rows = pa.concat_tables(tables, promote_options="permissive")
        batches = partitioned(sorted_rows(rows), partitions)
    write_batches(attempt.file("rows.arrow"), batches[0].schema if batches else pa.schema([]), batches)
    return UnitResult(sum(batch.num_rows for batch in batches), part=PartitionsPart(partitions))


OPERATOR = Operator(
    "round",
    reads="rows",
    writes="rows",
    unit=RoundUnit,
    units=units,
    work=work,
    isolates=True,
)
