"""Read ranges of input files and run the source's first maps on them.

A unit is a run of consecutive splits of about `unit_bytes`. Memory: one reader batch, the documents of one
row group being written, and the removed rows of the unit.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.contract.unit_progress import note_part, note_progress
from corpusmill.pipelines.recipe.places import is_small, local, on_disk
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.apart import is_of_input
from corpusmill.pipelines.run.operators.causes import cause_of
from corpusmill.pipelines.run.operators.footers import Kept, keeps_footers, kept_footer
from corpusmill.pipelines.run.operators.fused import FusedMaps
from corpusmill.pipelines.run.operators.grouping import Bounds
from corpusmill.pipelines.run.operators.job import Job, Lazily, Preparation
from corpusmill.pipelines.run.operators.marker import PARTS, Marker
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.receipts import dataset_result
from corpusmill.pipelines.sources.assembly.batches import BATCH_BYTES, BATCH_ROWS
from corpusmill.pipelines.sources.reader import Label, Lost, Reader, Split, read_index
from corpusmill.pipelines.storage.datasets import DatasetWriter
from corpusmill.pipelines.storage.removed import removed_table, write_removed
from corpusmill.pipelines.storage.rows_of_ranges import as_metadata
from corpusmill.pipelines.storage.run_folder import Attempt, StepFolder

_SPLITS_PER_UNIT = 4096


@dataclass(frozen=True)
class FileSplit:
    """A range of one file, of this name, at this path and of this content (SHA-256). `footer`: where the
    index has kept its footer, if it has."""

    name: str
    path: str
    split: Split
    sha256: str
    footer: Kept | None = None


@dataclass(frozen=True)
class SplitsUnit:
    """Ranges of files to read, in order."""

    splits: tuple[FileSplit, ...]


def units(preparation: Preparation) -> Sequence[SplitsUnit]:
    """Splits in the order of files, put together to at most `unit_bytes`."""
    splits = _Splits(preparation.first, preparation.paths)
    bounds = Bounds(preparation.unit_bytes, _SPLITS_PER_UNIT)
    firsts = array("Q")  # number of each unit's first split among all
    total = 0
    for number in range(len(preparation.first.units)):
        for piece in splits.of(number):
            if bounds.begins(f"{piece.name}@{piece.split.start}", piece.split.size):
                firsts.append(total)
            total += 1
        splits.ends.append(total)
    firsts.append(total)

    def unit(number: int) -> SplitsUnit:
        return SplitsUnit(tuple(splits.between(firsts[number], firsts[number + 1])))

    return Lazily(len(firsts) - 1, unit) if total else [SplitsUnit(())]


class _Splits:
    """The splits of all files that an index lists, read from its files as they are asked for.

    `ends`: the number of splits up to the end of each file of the index. Memory: 8 bytes for each of these,
    and the splits of the last one that was read.
    """

    def __init__(self, index: StepFolder, paths: Mapping[str, str]) -> None:
        self._index, self._paths = index, paths
        self.ends = array("Q")
        self._held: tuple[int, list[FileSplit]] = (-1, [])

    def of(self, number: int) -> list[FileSplit]:
        """Those of file `number` of the index, in order."""
        if self._held[0] != number:
            entries = read_index(self._index.file(f"{number:05d}.index.json"))
            kept = keeps_footers(self._index, number)
            found = [
                FileSplit(entry.name, self._paths[entry.name], split, entry.sha256, footer)
                for place, entry in enumerate(entries)
                for footer in [(number, place) if kept else None]
                for split in entry.splits
            ]
            self._held = number, found
        return self._held[1]

    def between(self, first: int, end: int) -> Iterator[FileSplit]:
        """Splits number `first` up to `end` of all."""
        number = bisect_right(self.ends, first)
        while first < end:
            start = self.ends[number - 1] if number else 0
            found = self.of(number)[first - start : end - start]
            yield from found
            first += len(found)
            number += 1


def _content(given: Preparation | Job[SplitsUnit], unit: SplitsUnit) -> object:
    return [[piece.name, piece.sha256, encode(piece.split)] for piece in unit.splits]


def work(job: Job[SplitsUnit], attempt: Attempt) -> UnitResult:
    reader, *maps = job.stages()
    label = Label(job.step.options.need_source, job.step.options.need_domain)
    ledger = Ledger()
    marker = job.marker(attempt)
    fused = FusedMaps(
        maps, ledger, poison=job.poison, marker=marker, limits=job.limits(attempt), first_stage=1
    )
    writer = DatasetWriter(attempt.file("parquet"))
    entry = ledger.entry("read", label.source)
    limit = job.limit
    # Careful attempts show documents to the maps one by one, as they come.
    gathered = _Gathered(fused, writer, most=BATCH_ROWS if marker is None else 0)
    ends = [0] * len(job.unit.splits)  # of each range, documents up to its end
    for number, (nth, piece, split) in enumerate(_splits(job, reader), PARTS):
        if marker is not None and marker.skips_documents and marker.skips(number):
            continue
        place = RangeInUnit(number, marker, job.poison.get(number))
        note_part(number - PARTS, len(job.unit.splits))
        before = entry.bytes_in
        for docs, removed, quarantined in _batches(job, reader, piece, split, label, place):
            if quarantined and reader.on_corrupt == "fail":
                first = quarantined[0]
                raise DataError(
                    f"{first.position}: {first.why}: {first.detail or 'cannot be read'}; mend the input, or "
                    "set `on_corrupt: quarantine` to count such records and go on"
                )
            for lost, count, kind in (
                (removed, entry.remove, "removed"),
                (quarantined, entry.quarantine, "quarantined"),
            ):
                for record in lost:
                    entry.arrive(1, record.size)
                    count(record.why, 1, record.size)
                if lost:
                    gathered.flush()  # what was read before comes before
                    fused.note_removed(_lost_rows(lost, label, kind))
            if docs is None:
                continue
            size = int(docs.sizes().sum())
            # Texts may be larger than their range, which is compressed: no more than nearly all is told.
            share = min(entry.bytes_in - before, split.size * 99 // 100)
            note_progress(share, max(1, split.size), f"{entry.documents_in:,} documents read")
            entry.arrive(len(docs), size)
            entry.keep(len(docs), size, size)
            gathered.add(docs, size)
        ends[nth:] = [gathered.given] * (len(ends) - nth)
        if limit is not None and entry.documents_in >= limit:
            break
    gathered.flush()
    rows = writer.close(as_metadata(*fused.rows_before(ends)))
    if (removed := fused.removed()).num_rows:
        write_removed(attempt.file("removed.arrow"), [removed])
    written = {label.source: (rows, gathered.bytes_out)}
    return dataset_result(ledger, rows, written, f"{job.step.name}, unit {attempt.unit}")


def _batches(
    job: Job[SplitsUnit], reader: Reader, piece: FileSplit, split: Split, label: Label, place: RangeInUnit
) -> Iterator[tuple[Documents | None, list[Lost], list[Lost]]]:
    """`batches_of` a split of a file at a path or URL, `piece` or a part of it."""
    path, name = piece.path, piece.name
    if split.fault is not None:  # nothing is read of it
        yield from batches_of(reader, local(path), name, split, label, job.limit, place)
        return
    stamp = job.stamps.get(path)
    footer = kept_footer(job.first, piece.footer)
    with on_disk(path, stamp, whole=is_small(path, stamp), footer=footer) as file:
        yield from batches_of(reader, file, name, split, label, job.limit, place)


class _Gathered:
    """Batches of few documents, such as one file each, put together for the maps.

    Each batch costs the maps a time of its own, however small it is. Nothing of the output depends on how
    documents are put together. Memory: `most` rows or `BATCH_BYTES` of text, and one batch more.
    """

    def __init__(self, fused: FusedMaps, writer: DatasetWriter, most: int) -> None:
        self._fused, self._writer, self._most = fused, writer, most
        self._waiting: list[Documents] = []
        self._rows = self._bytes = 0
        self.bytes_out = 0
        self.given = 0  # documents

    def add(self, docs: Documents, size: int) -> None:
        """Documents of `size` bytes; they go on at once where enough have come together."""
        if self._waiting and not self._waiting[0].table.schema.equals(docs.table.schema):
            self.flush()
        self._waiting.append(docs)
        self.given += len(docs)
        self._rows, self._bytes = self._rows + len(docs), self._bytes + size
        if self._rows >= self._most or self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Show what waits to the maps, and write what they let pass."""
        if not self._waiting:
            return
        survivors = self._fused.push(_joined(self._waiting))
        self.bytes_out += int(survivors.sizes().sum())
        self._writer.append(survivors)
        self._waiting, self._rows, self._bytes = [], 0, 0


def _joined(batches: list[Documents]) -> Documents:
    if len(batches) == 1:
        return batches[0]
    return Documents(pa.concat_tables([docs.table for docs in batches]).combine_chunks())


@dataclass
class RangeInUnit:
    """One range of a file as a part of its unit: its number, where to note it, why it is not to be read."""

    number: int
    marker: Marker | None
    poison: tuple[str, str] | None

    def note(self) -> None:
        if self.marker is not None:
            self.marker.note(self.number, 0)


def _splits(job: Job[SplitsUnit], reader: Reader) -> Iterator[tuple[int, FileSplit, Split]]:
    """Number, range as listed, and range of all that the unit reads; in careful mode the smallest ranges
    there are, with the number of the one that they are parts of."""
    for number, piece in enumerate(job.unit.splits):
        split = piece.split
        parts = reader.divide(split) if (job.careful or job.poison) and split.fault is None else [split]
        for part in parts:
            yield number, piece, part


def batches_of(
    reader: Reader, path: Path, name: str, split: Split, label: Label, limit: int | None, place: RangeInUnit
) -> Iterator[tuple[Documents | None, list[Lost], list[Lost]]]:
    """(documents or None, removed, quarantined) of one split.

    What cannot be read of it becomes quarantined records, at least one.
    """
    if split.fault is not None:
        if reader.on_corrupt == "fail":
            raise DataError(f"{name}: {split.fault}")
        yield None, [], [Lost("corrupt_input", split.size, f"{name}@{split.start}", split.fault)]
        return
    if place.poison is not None:
        yield from ((None, [], lost) for lost in _lost(reader, path, name, split, place.poison[1]))
        return
    taken = 0
    batches = reader.read(path, name, split, label)
    while True:
        place.note()
        try:
            batch = next(batches, None)
        except Exception as error:
            if not is_of_input(error):
                raise
            if isinstance(error, DataError) and reader.on_corrupt == "fail":
                raise
            cause = str(error) if isinstance(error, DataError) else cause_of(error)
            yield from ((None, [], lost) for lost in _lost(reader, path, name, split, cause))
            return
        if batch is None:
            return
        taken += len(batch.documents) + len(batch.removed) + len(batch.quarantined)
        yield batch.documents if len(batch.documents) else None, batch.removed, batch.quarantined
        if limit is not None and taken >= limit:
            return


def _lost(reader: Reader, path: Path, name: str, split: Split, cause: str) -> Iterator[list[Lost]]:
    if reader.on_corrupt == "fail":
        raise DataError(
            f"{name}@{split.start}: {cause}; mend the input, or set `on_corrupt: quarantine` to go on without"
        )
    yield from reader.lose(path, name, split, cause)


def _lost_rows(lost: Sequence[Lost], label: Label, kind: str) -> pa.Table:
    return removed_table(
        [
            {
                "source": label.source,
                "stage": "read",
                "kind": kind,
                "reason": record.why,
                "bytes": record.size,
                "position": record.position,
                "detail": record.detail or None,
                "excerpt": record.excerpt or None,
            }
            for record in lost
        ]
    )


OPERATOR = Operator(
    "read",
    reads="splits",
    writes="documents",
    unit=SplitsUnit,
    units=units,
    work=work,
    isolates=True,
    content=_content,
    weigh=lambda preparation, unit: sum(piece.split.size for piece in unit.splits),
    paths=lambda unit: [piece.path for piece in unit.splits],
    lists_removed="where any",
)
