"""A round of an exchange that is not its last: rows of equal key meet, and what they give is keyed anew.

Reads one partition of the rows that the step before sent, and writes the stage's rows as partitions for the
next round, as `scatter` does for the first. There are as many as in the first round, whose number follows
from the input's bytes. A document on whose rows the stage raises, or its worker dies, is left out of later
rounds. Memory: one partition, and the rows made of it.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.meeting import meet
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.partitions import partition_units, partitioned, sorted_rows
from corpusmill.pipelines.storage.checked_ipc import write_batches
from corpusmill.pipelines.storage.run_folder import Attempt, Json

ADDRESSED = {"key": pa.uint64(), "unit": pa.uint32(), "row": pa.uint32()}


def units(preparation: Preparation) -> list[Json]:
    sent = partition_units(preparation.first)
    return [{**unit, "partitions": len(sent)} for unit in sent]


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    number, partitions = int(job.step.options["round"]), int(job.unit["partitions"])

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
    return {"rows": sum(batch.num_rows for batch in batches), "partitions": partitions}


OPERATOR = Operator(
    "round",
    reads="rows",
    writes="rows",
    units=units,
    work=work,
    isolates=True,
)
