"""What a deduplication saw, kept for the runs that are compared with this one later.

Each unit reads the documents of a unit of the view as the deduplication saw them, has the stage emit again,
and keeps rows and side rows as they are, under labels (`contract.known`) in place of sources; of documents
that the deduplication removed also what survives them. Documents that it could not judge are left out. What
`known_units` reads of it has the number `FORMAT`. Memory: the rows of a unit, and one row group.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.known import Label, places, run_of
from corpusmill.pipelines.contract.stage import Deduplicate
from corpusmill.pipelines.records.receipt import DatasetPart, UnitResult
from corpusmill.pipelines.run.operators.job import Job, Preparation, ViewUnit, view_content, view_units
from corpusmill.pipelines.run.operators.layout import ROWS_FILE
from corpusmill.pipelines.run.operators.operator import Operator, weigh_documents
from corpusmill.pipelines.run.operators.sides import SIDE_FILE, SideWriter
from corpusmill.pipelines.storage.checked_ipc import BatchWriter, write_batches
from corpusmill.pipelines.storage.datasets import DatasetView
from corpusmill.pipelines.storage.removed import REMOVED
from corpusmill.pipelines.storage.run_folder import Attempt

FORMAT = 2
SURVIVORS = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("survivor_id", pa.string(), nullable=False),
        pa.field("survivor_source", pa.string(), nullable=False),  # RUN/SOURCE
        pa.field("similarity", pa.float64(), nullable=False),
    ]
)
SURVIVORS_FILE = "survivors.arrow"  # a unit's number stands before it, as in ROWS_FILE and SIDE_FILE


def format_of(stage: Deduplicate) -> str:
    """The version of what is kept: of this module, and of what the stage emits."""
    return f"{FORMAT}.{stage.remembers}"


def work(job: Job[ViewUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    run = job.step.options.run
    assert run is not None
    removed = _own_mask(job, job.unit)
    judged = removed.column("kind").to_numpy(zero_copy_only=False) == "removed"
    rows_of = removed.column("row").to_numpy()
    sides = SideWriter(attempt.file(SIDE_FILE), stage.name)
    tally: dict[str, tuple[int, int]] = {}
    sent: list[pa.Table] = []
    for batch, numbers in job.view.batches(job.unit.reads):
        seen = ~np.isin(numbers, rows_of[~judged])
        docs, rows = batch.keep(seen), numbers[seen]
        kept = ~np.isin(rows, rows_of[judged])
        _count(tally, docs)
        emitted = stage.emit(_labelled(docs, stage, run, kept), 0, rows)
        sent.append(emitted.rows)
        sides.add([(emitted.side, rows)], 0)
    sides.close()
    whole = pa.concat_tables(sent, promote_options="permissive").combine_chunks()
    with BatchWriter(attempt.file(ROWS_FILE), whole.schema) as writer:
        for some in whole.to_batches():
            writer.write(some)
    _write_survivors(attempt, removed.filter(pa.array(judged)), run)
    return UnitResult(whole.num_rows, part=DatasetPart(tally))


def _own_mask(given: Preparation | Job[ViewUnit], unit: ViewUnit) -> pa.RecordBatch:
    """`REMOVED` rows of a unit by the deduplication itself."""
    found = list(DatasetView([], [given.first]).mask_batches(unit.reads))
    return found[0] if found else pa.RecordBatch.from_pylist([], schema=REMOVED)


def _labelled(docs: Documents, stage: Any, run: str, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> Documents:
    """The documents with labels for sources, as of the first of several runs."""
    sources = docs.column("source").to_pylist()
    place = places(sources, getattr(stage, "priority", ()))
    labels = [
        str(Label(0, int(at), bool(stays), f"{run}/{source}"))
        for at, stays, source in zip(place, kept, sources, strict=True)
    ]
    return docs.with_columns({"source": pa.array(labels, pa.string())})


def _count(tally: dict[str, tuple[int, int]], docs: Documents) -> None:
    for source, size in zip(docs.column("source").to_pylist(), docs.sizes().tolist(), strict=True):
        documents, total = tally.get(source, (0, 0))
        tally[source] = documents + 1, total + size


def _write_survivors(attempt: Attempt, removed: pa.RecordBatch, run: str) -> None:
    """What survives each removed document, by row; no file where none was removed."""
    if not removed.num_rows:
        return
    named = [
        source if run_of(source) else f"{run}/{source}"
        for source in removed.column("survivor_source").to_pylist()
    ]
    table = pa.table(
        {
            "row": removed.column("row"),
            "survivor_id": removed.column("survivor_id"),
            "survivor_source": pa.array(named, pa.string()),
            "similarity": removed.column("similarity"),
        }
    )
    ordered = table.sort_by("row").cast(SURVIVORS).combine_chunks()
    write_batches(attempt.file(SURVIVORS_FILE), SURVIVORS, ordered.to_batches())


def _content(given: Preparation | Job[ViewUnit], unit: ViewUnit) -> object:
    """The documents of the unit, and what the deduplication did to them."""
    columns = ["row", "kind", "survivor_id", "survivor_source", "similarity"]
    removed = _own_mask(given, unit).select(columns).serialize()
    return [view_content(given, unit), xxhash.xxh3_128_hexdigest(removed)]


OPERATOR = Operator(
    "remember",
    reads="removals",
    writes="artefact",
    unit=ViewUnit,
    units=view_units,
    content=_content,
    work=work,
    weigh=weigh_documents,
    datasets_from=1,
    judges=False,
)
