"""First part of a fold: the partial of one unit of documents.

Memory: the stage's partial and one row group.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.pipelines.operators.job import Job, Preparation
from corpusmill.pipelines.storage import Attempt, Json

_OPTIONS = ipc.IpcWriteOptions(compression="lz4")


def units(preparation: Preparation) -> list[Json]:
    return [{"reads": unit} for unit in range(len(preparation.view))]


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    partial = stage.map(docs for docs, _ in job.view.batches(job.unit["reads"]))
    write_partial(attempt.file("partial.arrow"), partial)
    return {"rows": partial.num_rows}


def write_partial(path: Path, partial: pa.Table) -> None:
    """A partial as one Arrow IPC file, schema metadata included."""
    with ipc.new_file(path, partial.schema, options=_OPTIONS) as file:
        file.write_table(partial.combine_chunks())


def read_partial(path: Path) -> pa.Table:
    """The partial of one file."""
    with pa.memory_map(str(path)) as source:
        return ipc.open_file(source).read_all()
