"""Second half of a deduplicating exchange: pairs in one partition, bucketed by the duplicate's unit.

The output's record batches are buckets of `MASK_UNITS` units, so that the step which applies them reads
only its own. Memory: one partition and the pairs found in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.run.operators.apart import Rows, Trier, key_ends
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.left_out import left_out, read_left_out, write_left_out
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.partitions import (
    StoredSides,
    partition_units,
    read_partition,
    sorted_by_address,
)
from corpusmill.pipelines.storage.checked_ipc import write_batches
from corpusmill.pipelines.storage.datasets import MASK_UNITS
from corpusmill.pipelines.storage.run_folder import Attempt, Json


def units(preparation: Preparation) -> list[Json]:
    inputs = len(preparation.first.need_manifest()["units"])
    buckets = max(1, -(-inputs // MASK_UNITS))
    return [{**unit, "buckets": buckets} for unit in partition_units(preparation.first)]


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    rows = read_partition(job.first, job.unit["partition"])
    found = DUPLICATES.empty_table()
    forward = [read_left_out(job.first)] if job.unit["partition"] == 0 else []
    if rows is not None and rows.num_rows:
        sides = StoredSides(job.first)

        def reduce(some: Rows) -> pa.Table:
            part = rows if len(some) == rows.num_rows else rows.take(pa.array(some)).combine_chunks()
            return stage.reduce(part, sides).select(DUPLICATES.names).cast(DUPLICATES)

        apart = Trier(stage.name, reduce, job.poison, job.marker(attempt)).groups(key_ends(rows))
        found = pa.concat_tables([found, *apart.results])
        guilty, causes = apart.left_out()
        unit, row = (rows.column(name).to_numpy()[guilty] for name in ("unit", "row"))
        forward.append(left_out(unit, row, causes))
    write_left_out(attempt, forward)
    write_buckets(attempt.file("found.arrow"), found, job.unit["buckets"])
    return {"rows": found.num_rows, "buckets": job.unit["buckets"]}


def write_buckets(path: Path, found: pa.Table, buckets: int) -> None:
    """`DUPLICATES` rows as one IPC file, a record batch a bucket of units."""
    ordered = sorted_by_address(found).combine_chunks()
    bucket = ordered.column("unit").to_numpy() // MASK_UNITS
    ends = np.searchsorted(bucket, np.arange(buckets + 1))
    empty = pa.RecordBatch.from_pylist([], schema=DUPLICATES)
    parts = (
        ordered.slice(ends[index], ends[index + 1] - ends[index]).combine_chunks().to_batches()
        for index in range(buckets)
    )
    write_batches(path, DUPLICATES, (part[0] if part else empty for part in parts))


OPERATOR = Operator(
    "match",
    reads="rows",
    writes="pairs",
    units=units,
    work=work,
    isolates=True,
)
