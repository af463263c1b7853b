"""First half of an exchange: each unit writes one Arrow IPC file with a batch for each of its partitions.

Partition of a row = (key * partitions) >> 64; the number of partitions follows from the input's bytes or is
the stage's own, never from the workers. Rows lie document by document (see `row_batches`). Of many units a
file takes the rows of several, and more levels bring those of one partition together (see `layout`). A side
table, where the stage emits one, is written beside the rows with their addresses (see `sides`). Memory: twice
`layout.FLUSH_BYTES` of rows, and one row group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Emitted, Exchange, Scatter, Sent
from corpusmill.pipelines.contract.unit_progress import note_part
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import Layout, Part, PartitionsPart, UnitResult
from corpusmill.pipelines.run.operators import packed_lists, row_order
from corpusmill.pipelines.run.operators.apart import Rows, Trier, leave_out
from corpusmill.pipelines.run.operators.grouping import hashes_of
from corpusmill.pipelines.run.operators.job import (
    Done,
    Job,
    Lazily,
    Preparation,
    ViewUnit,
    build_stage,
    stage_class,
    view_content,
)
from corpusmill.pipelines.run.operators.known_units import known_of_view, marked
from corpusmill.pipelines.run.operators.layout import (
    MERGE_BYTES,
    ROWS_FILE,
    Merge,
    Placement,
    RowsWriter,
    counted_from,
    first_of,
    merge_files,
    rounded,
)
from corpusmill.pipelines.run.operators.left_out import left_out, write_left_out
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.sides import SIDE_FILE, SideWriter
from corpusmill.pipelines.storage.removed import write_removed
from corpusmill.pipelines.storage.run_folder import Attempt
from corpusmill.pipelines.storage.sealed import canonical

# Documents, their row addresses, and what was emitted for them.
_Sent = tuple[Documents, npt.NDArray[np.uint32], Emitted]

PARTITION_BYTES = 256 * 2**20  # text bytes whose rows should meet in one partition
ROWS_BYTES = 64 * 2**20  # bytes of rows that should, of a stage that knows them
_MOST = 65_536


@dataclass(frozen=True)
class ScatterUnit:
    """Units from `first` up to `end`, those of the view and, behind them, of earlier runs; or the merge of
    files of the level before, of which `holds` are 32 hex digits of what they hold."""

    layout: Layout
    first: int = 0
    end: int = 0
    merge: Merge | None = None
    holds: str = ""


def units(preparation: Preparation) -> Sequence[ScatterUnit]:
    placed = _placement(preparation)
    return Lazily(placed.layout.files[0], lambda file: ScatterUnit(placed.layout, *placed.units(file)))


def then(preparation: Preparation, done: Done) -> Sequence[ScatterUnit]:
    placed = _placement(preparation)
    merging = placed.merges(len(done.counts))

    @lru_cache(maxsize=done.counts[0])  # the same files are read by a merge of each coarse partition
    def holds(first: int, end: int, base: int) -> str:
        found = hashlib.sha256()
        for receipt in (done.receipts[number] for number in range(first, end)):
            sent = [file.sha256 for file in receipt.files if file.name.endswith(ROWS_FILE)]
            found.update(canonical([first_of(receipt) - base, sent]))
        return found.hexdigest()[:32]

    def unit(place: int) -> ScatterUnit:
        merge = merging[place]
        return ScatterUnit(
            placed.layout, merge.base, merge=merge, holds=holds(merge.first, merge.end, merge.base)
        )

    return Lazily(len(merging), unit)


def _later(preparation: Preparation, first: int) -> int:
    return sum(_placement(preparation).layout.files[1:])


def _placement(preparation: Preparation) -> Placement:
    view, known = preparation.view, known_of_view(preparation)
    totals, before = view.totals().values(), known.all_bytes()
    documents, size = sum(count for count, _ in totals), sum(size for _, size in totals)
    stage = _stage(preparation)
    rows = stage.row_bytes(documents, size)
    if size:
        rows += rows * before // size
    size += before
    wanted = stage.partitions(preparation.context)
    if wanted is None:
        wanted = rounded(max(-(-size // PARTITION_BYTES), -(-rows // ROWS_BYTES)))

    def names() -> npt.NDArray[np.uint64]:
        of_view = (bytes.fromhex(sha256) for sha256, _ in view.contents())
        before = (bytes.fromhex(known.sha256(unit)) for unit in range(known.first, known.first + len(known)))
        return hashes_of(chain(of_view, before))

    return Placement.of(int(min(max(wanted, 1), _MOST)), len(view) + len(known), max(size, rows), names)


def _stage(preparation: Preparation) -> Scatter:
    (spec,) = preparation.step.stages
    stage = build_stage(spec)
    assert isinstance(stage, Scatter)
    return stage


def work(job: Job[ScatterUnit], attempt: Attempt) -> UnitResult:
    if job.unit.merge is not None:
        large = merge_files(job.folder, job.unit.layout, job.unit.merge, attempt.file(ROWS_FILE))
        return UnitResult(0, part=PartitionsPart(job.unit.layout, job.unit.first, large))
    (stage,) = job.stages()
    layout = job.unit.layout
    writer = RowsWriter(attempt.file(ROWS_FILE), layout, width=layout.width)
    sides = SideWriter(attempt.file(SIDE_FILE), stage.name)
    ledger = Ledger()
    removed: list[pa.Table] = []
    unjudged: list[pa.Table] = []
    marker = job.marker(attempt)
    first, start = 0, job.unit.first
    known = known_of_view(job)
    for unit, docs, rows in _batches(job):

        def emit(
            some: Rows, unit: int = unit, docs: Documents = docs, rows: npt.NDArray[np.uint32] = rows
        ) -> _Sent:
            part = docs if len(some) == len(docs) else docs.slice(int(some[0]), len(some))
            emitted = stage.emit(part, unit, rows[some])
            if known:
                emitted = replace(emitted, rows=marked(emitted.rows, False))
            return part, rows[some], replace(emitted, rows=counted_from(emitted.rows, -start))

        found = Trier(stage.name, emit, job.poison, marker, first).documents(len(docs))
        first += len(docs)
        writer.add(*(emitted.rows for _, _, emitted in found.results))
        sides.add([(emitted.side, places) for _, places, emitted in found.results], unit - start)
        for part, places, emitted in found.results:
            sent = stage.sent(part, places, emitted)
            if sent is not None:
                _account(ledger, stage.name, part.table, sent)
        guilty, causes = found.left_out()
        if len(guilty):
            bad = docs.keep(np.isin(np.arange(len(docs)), guilty))
            if isinstance(stage, Exchange):  # removed, and counted, by the last step of the exchange
                unjudged.append(left_out(np.full(len(bad), unit - start, np.uint32), rows[guilty], causes))
                continue
            lost = leave_out(bad, stage.name, causes, ledger)
            addresses = {"unit": np.full(len(bad), unit - start, np.uint32), "row": rows[guilty]}
            for name, values in addresses.items():
                lost = lost.set_column(lost.schema.get_field_index(name), name, pa.array(values))
            removed.append(lost)
    for unit in range(max(job.unit.first, known.first), job.unit.end if known else 0):
        for table in known.rows(unit):
            writer.add(counted_from(table, -start))
    if removed:
        write_removed(attempt.file("removed.arrow"), [pa.concat_tables(removed)])
    write_left_out(attempt, unjudged)
    writer.close()
    sides.close()
    ledger.check(f"{job.step.name}, unit {attempt.unit}")
    return UnitResult(writer.rows, ledger.record(), writer.part(start))


def _content(given: Preparation | Job[ScatterUnit], unit: ScatterUnit) -> object:
    """What its units of the view or its files hold and what of the layout shapes its file and receipt, of a
    stage to which the place of its documents is an address alone."""
    stage = stage_class(given.step.stages[0])
    if not getattr(stage, "address_only", False):
        return None
    layout = unit.layout
    if (merge := unit.merge) is not None:
        last = merge.level == len(layout.files) - 1
        return [layout.partitions, layout.width, merge.level == 1, last, merge.coarse, unit.holds]
    known = known_of_view(given)
    read = [
        view_content(given, ViewUnit(number)) if number < known.first else known.content(number)
        for number in range(unit.first, unit.end)
    ]
    shape: list[object] = [layout.partitions, layout.width, len(layout.files) == 1, read]
    return [*shape, "rows say which are known"] if known else shape


def _placed(unit: ScatterUnit, part: Part | None) -> Part:
    assert isinstance(part, PartitionsPart)
    return replace(part, layout=unit.layout, first=unit.first)


def _batches(job: Job[ScatterUnit]) -> Iterator[tuple[int, Documents, npt.NDArray[np.uint32]]]:
    """Unit of the view, documents and their rows, a row group at a time."""
    end = min(job.unit.end, len(job.view))
    for unit in range(job.unit.first, end):
        note_part(unit - job.unit.first, end - job.unit.first)
        for docs, rows in job.view.batches(unit):
            yield unit, docs, rows


def _weigh(preparation: Preparation, unit: ScatterUnit) -> int:
    if unit.merge is not None:
        return MERGE_BYTES
    view, known = preparation.view, known_of_view(preparation)
    return sum(
        view.input_bytes(number) if number < known.first else known.bytes(number)
        for number in range(unit.first, unit.end)
    )


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


def _warm() -> None:
    row_order.warm()
    packed_lists.warm()


OPERATOR = Operator(
    "scatter",
    reads="documents",
    writes="rows",
    unit=ScatterUnit,
    units=units,
    content=_content,
    placed=_placed,
    work=work,
    isolates=True,
    then=then,
    later=_later,
    weigh=_weigh,
    lists_removed="where any",
    warm=_warm,
)
