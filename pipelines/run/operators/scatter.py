"""First half of an exchange: each unit writes one Arrow IPC file whose batches are its partitions.

Partition of a row = (key * partitions) >> 64; the number of partitions follows from the input's bytes or is
the stage's own, never from the workers. Rows inside a batch are sorted by
(key, row). A side table, where the stage emits one, is written beside it with the rows' addresses.
Memory: one unit's emitted rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Emitted, Exchange, Scatter, Sent
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import PartitionsPart, UnitResult
from corpusmill.pipelines.run.operators.apart import Rows, Trier, leave_out
from corpusmill.pipelines.run.operators.job import Job, Preparation, ViewUnit, build_stage
from corpusmill.pipelines.run.operators.left_out import left_out, write_left_out
from corpusmill.pipelines.run.operators.operator import Operator, weigh_documents
from corpusmill.pipelines.run.operators.partitions import SIDE_ROWS, partitioned
from corpusmill.pipelines.storage.checked_ipc import write_batches
from corpusmill.pipelines.storage.removed import write_removed
from corpusmill.pipelines.storage.run_folder import Attempt

# Documents, their row addresses, and what was emitted for them.
_Sent = tuple[Documents, npt.NDArray[np.uint32], Emitted]

PARTITION_BYTES = 256 * 2**20  # text bytes whose rows should meet in one partition
_MOST = 65_536


@dataclass(frozen=True)
class ScatterUnit(ViewUnit):
    """One unit of the view, and the number of partitions that its rows go to."""

    partitions: int


def units(preparation: Preparation) -> list[ScatterUnit]:
    partitions = _partitions(preparation)
    return [ScatterUnit(unit, partitions) for unit in range(len(preparation.view))]


def _partitions(preparation: Preparation) -> int:
    (spec,) = preparation.step.stages
    stage = build_stage(spec)
    assert isinstance(stage, Scatter)
    wanted = stage.partitions(preparation.context)
    if wanted is None:
        wanted = -(-sum(size for _, size in preparation.view.totals().values()) // PARTITION_BYTES)
    return int(min(max(wanted, 1), _MOST))


def work(job: Job[ScatterUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    unit, partitions = job.unit.reads, job.unit.partitions
    tables: list[pa.Table] = []
    sides: list[pa.Table] = []
    ledger = Ledger()
    removed: list[pa.Table] = []
    unjudged: list[pa.Table] = []
    marker = job.marker(attempt)
    first = 0
    for docs, rows in job.view.batches(unit):

        def emit(some: Rows, docs: Documents = docs, rows: npt.NDArray[np.uint32] = rows) -> _Sent:
            part = docs if len(some) == len(docs) else docs.slice(int(some[0]), len(some))
            return part, rows[some], stage.emit(part, unit, rows[some])

        found = Trier(stage.name, emit, job.poison, marker, first).documents(len(docs))
        first += len(docs)
        for part, places, emitted in found.results:
            tables.append(emitted.rows)
            if emitted.side is not None:
                sides.append(emitted.side.append_column("row", pa.array(places, pa.uint32())))
            sent = stage.sent(part, places, emitted)
            if sent is not None:
                _account(ledger, stage.name, part.table, sent)
        guilty, causes = found.left_out()
        if len(guilty):
            bad = docs.keep(np.isin(np.arange(len(docs)), guilty))
            if isinstance(stage, Exchange):  # removed, and counted, by the last step of the exchange
                unjudged.append(left_out(np.full(len(bad), unit, np.uint32), rows[guilty], causes))
                continue
            lost = leave_out(bad, stage.name, causes, ledger)
            addresses = {"unit": np.full(len(bad), unit, np.uint32), "row": rows[guilty]}
            for name, values in addresses.items():
                lost = lost.set_column(lost.schema.get_field_index(name), name, pa.array(values))
            removed.append(lost)
    if removed:
        write_removed(attempt.file("removed.arrow"), [pa.concat_tables(removed)])
    write_left_out(attempt, unjudged)
    batches = (
        _partitioned(pa.concat_tables(tables, promote_options="permissive"), partitions) if tables else []
    )
    write_batches(attempt.file("rows.arrow"), batches[0].schema if batches else pa.schema([]), batches)
    if sides:
        side = pa.concat_tables(sides).combine_chunks()
        chunks = side.to_batches(max_chunksize=SIDE_ROWS)
        write_batches(attempt.file("side.arrow"), side.schema, chunks, compression=None)
    ledger.check(f"{job.step.name}, unit {unit}")
    emitted_rows = sum(batch.num_rows for batch in batches)
    return UnitResult(emitted_rows, ledger.record(), PartitionsPart(partitions))


def _partitioned(table: pa.Table, partitions: int) -> list[pa.RecordBatch]:
    order = np.lexsort((table.column("row").to_numpy(), table.column("key").to_numpy()))
    return partitioned(table.take(pa.array(order)), partitions)


def _account(ledger: Ledger, stage: str, docs: pa.Table, sent: Sent) -> None:
    """Enter what was sent of each document, and why the rest was not."""
    columns = (docs.column("source").to_pylist(), docs.column("bytes").to_pylist())
    answers = (sent.sent.tolist(), sent.reasons.to_pylist(), sent.sizes.tolist())
    for source, size, kept, reason, part in zip(*columns, *answers, strict=True):
        entry = ledger.entry(stage, source)
        entry.arrive(1, size)
        if not kept:
            entry.remove(reason, 1, size)
            continue
        entry.keep(1, part, part)
        if reason is not None:
            entry.cut_out(reason, size - part)


OPERATOR = Operator(
    "scatter",
    reads="documents",
    writes="rows",
    unit=ScatterUnit,
    units=units,
    work=work,
    isolates=True,
    weigh=weigh_documents,
    lists_removed="where any",
)
