"""First part of a fold: the partial of one unit of documents.

Memory: the stage's partial and one row group.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from corpusmill.pipelines.checked_ipc import read_batches, write_batches
from corpusmill.pipelines.operators.job import Job, Preparation
from corpusmill.pipelines.storage import Attempt, Json


def units(preparation: Preparation) -> list[Json]:
    return [{"reads": unit} for unit in range(len(preparation.view))]


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    partial = stage.map(docs for docs, _ in job.view.batches(job.unit["reads"]))
    write_partial(attempt.file("partial.arrow"), partial)
    return {"rows": partial.num_rows}


def write_partial(path: Path, partial: pa.Table) -> None:
    """A partial as one Arrow IPC file, schema metadata included."""
    batches = partial.combine_chunks().to_batches()
    write_batches(path, partial.schema, batches or [pa.RecordBatch.from_pylist([], schema=partial.schema)])


def read_partial(path: Path) -> pa.Table:
    """The partial of one file."""
    return pa.Table.from_batches(list(read_batches(path)))
