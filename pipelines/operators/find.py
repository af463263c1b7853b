"""Second half of a deduplicating exchange: pairs found in one partition, bucketed by the unit they strike.

The output's record batches are buckets of `MASK_UNITS` units, so that the step which applies them reads
only its own. Memory: one partition and the pairs found in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.addresses import DUPLICATES
from corpusmill.pipelines.checked_ipc import write_batches
from corpusmill.pipelines.datasets import MASK_UNITS
from corpusmill.pipelines.operators.job import Job, Preparation
from corpusmill.pipelines.operators.partitions import (
    StoredSides,
    partition_units,
    read_partition,
    sorted_by_address,
)
from corpusmill.pipelines.storage import Attempt, Json


def units(preparation: Preparation) -> list[Json]:
    inputs = len(preparation.first.need_manifest()["units"])
    buckets = max(1, -(-inputs // MASK_UNITS))
    return [{**unit, "buckets": buckets} for unit in partition_units(preparation.first)]


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    rows = read_partition(job.first, job.unit["partition"])
    found = DUPLICATES.empty_table()
    if rows is not None and rows.num_rows:
        found = stage.reduce(rows, StoredSides(job.first)).select(DUPLICATES.names).cast(DUPLICATES)
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
