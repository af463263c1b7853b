"""First part of a fold: the partial of one unit of documents.

Memory: the stage's partial and one row group.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.checked_ipc import read_batches, write_batches
from corpusmill.pipelines.documents import Documents
from corpusmill.pipelines.operators.job import Job, Preparation
from corpusmill.pipelines.stage import ROW, UNIT, Fold
from corpusmill.pipelines.storage import Attempt, Json


def units(preparation: Preparation) -> list[Json]:
    return [{"reads": unit} for unit in range(len(preparation.view))]


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    partial = stage.map(_documents(job, int(job.unit["reads"]), stage))
    write_partial(attempt.file("partial.arrow"), partial)
    return {"rows": partial.num_rows}


def _documents(job: Job, unit: int, stage: Fold) -> Iterator[Documents]:
    """The documents of a unit, with the columns the stage asks for, and their addresses."""
    for docs, rows in job.view.batches(unit, stage.columns):
        if stage.addressed:
            units = pa.array(np.full(len(docs), unit, np.uint32))
            docs = docs.with_columns({UNIT: units, ROW: pa.array(rows, pa.uint32())})
        yield docs


def write_partial(path: Path, partial: pa.Table) -> None:
    """A partial as one Arrow IPC file, schema metadata included."""
    batches = partial.combine_chunks().to_batches()
    write_batches(path, partial.schema, batches or [pa.RecordBatch.from_pylist([], schema=partial.schema)])


def read_partial(path: Path) -> pa.Table:
    """The partial of one file."""
    return pa.Table.from_batches(list(read_batches(path)))
