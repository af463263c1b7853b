"""Segments: the receipts of up to `SEGMENT` units that follow one another, as one file of columns.

It is a Parquet file, so that offsets of lists and texts, and names that repeat, take next to nothing.
A segment's name holds its first unit, how many there are, and a digest of its bytes and of the step it
belongs to, `units/0000000-10000-<digest>.parquet`: one that was altered, or lies where another belongs, is
not read, whether a manifest names it or not. Memory: the columns asked for of a few segments, 1 MB each.
"""

from __future__ import annotations

import hashlib
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, overload

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.manifest import SegmentEntry
from corpusmill.pipelines.records.receipt import DatasetPart, FileEntry, P, Receipt
from corpusmill.pipelines.records.unit_columns import (
    FACTS,
    FILES,
    KEYS,
    columns_of,
    facts_of,
    files_of,
    pattern_of,
    receipt_of,
    receipts_of,
    schema,
    unit_of,
)
from corpusmill.pipelines.storage.remote.mirrors import store_of_step
from corpusmill.pipelines.storage.sealed import digest, write_atomic

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENT = 10_000  # units
_PATTERNS = 64  # names that an entry lists; of more it lists none, and every file is looked at
_FEW = 256  # units of a segment of which all columns are read at once
_NAMES = "files.list.element.name"  # few: all units have files of the same names
_ENCODINGS = {
    "rows": "DELTA_BINARY_PACKED",
    "text_bytes": "DELTA_BINARY_PACKED",
    "files.list.element.bytes": "DELTA_BINARY_PACKED",
    "part": "DELTA_LENGTH_BYTE_ARRAY",
    "ledger": "DELTA_LENGTH_BYTE_ARRAY",
}
_NAME = re.compile(r"(\d{7,})-(\d+)-([0-9a-f]{32})\.parquet")


def content_of(units: Sequence[Receipt]) -> str:
    """The content hash of a step, 64 hex digits: of the files and rows of its units, in order."""
    parts = (units[first : first + SEGMENT] for first in range(0, len(units), SEGMENT))
    return content_of_parts(_content(part) for part in parts)


def content_of_parts(contents: Iterable[str]) -> str:
    """The content hash of a step from those of its segments, in order."""
    return digest(list(contents))


def _content(units: Sequence[Receipt]) -> str:
    return digest([[[encode(file) for file in unit.files], unit.rows] for unit in units])


def write_segment(folder: Path, place: str, units: Sequence[Receipt]) -> SegmentEntry:
    """Write receipts of units that follow one another into `folder`; `place` names the step they are of."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first, table = units[0].unit, pa.Table.from_batches([columns_of(units)])
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=[_NAMES],
        column_encoding=_ENCODINGS,
        write_statistics=False,
        store_schema=False,
    )
    content = sink.getvalue().to_pybytes()
    name = f"{first:07d}-{len(units)}-{_digest(place, content)}.parquet"
    if (store := store_of_step(folder.parent)) is not None:
        store.put_segment(folder.parent, name, content)
    write_atomic(folder / name, content)
    return entry_of(name, units)


def entry_of(name: str, units: Sequence[Receipt]) -> SegmentEntry:
    """What a manifest says of the segment of this name with these units."""
    patterns = {pattern_of(file.name, unit.unit) for unit in units for file in unit.files}
    return SegmentEntry(
        name=name,
        first=units[0].unit,
        units=len(units),
        rows=sum(unit.rows for unit in units),
        bytes=sum(unit.bytes for unit in units),
        content=_content(units),
        patterns=tuple(sorted(patterns)) if len(patterns) <= _PATTERNS else None,
    )


def _digest(place: str, content: bytes) -> str:
    return hashlib.sha256(place.encode() + b"\n" + content).hexdigest()[:32]


@dataclass(frozen=True)
class Segment:
    """A segment's file. `place` names the step that it is of."""

    path: Path
    place: str

    @property
    def span(self) -> tuple[int, int]:
        """First unit, and how many there are, by the file's name. Raises IntegrityError for another name."""
        found = _NAME.fullmatch(self.path.name)
        if found is None:
            raise damaged(f"{self.path}: not a file of its step")
        return int(found.group(1)), int(found.group(2))

    def columns(self, names: Sequence[str] | None = None) -> pa.RecordBatch:
        """The columns of these names, or all. Raises IntegrityError where they are not what was written."""
        try:
            stat = self._stat()
        except FileNotFoundError as error:
            raise damaged(f"{self.path}: missing") from error
        stamp = stat.st_ino, stat.st_size, stat.st_mtime_ns
        return _columns(self.path, self.place, stamp, None if names is None else tuple(names))

    def _stat(self) -> os.stat_result:
        """Of its file, which is fetched where it is missing and a store has it."""
        try:
            return self.path.stat()
        except FileNotFoundError:
            step = self.path.parent.parent
            store = store_of_step(step)
            if store is None or not store.fetch_unit(step, self.path.name, self.path):
                raise
            return self.path.stat()

    def receipts(self) -> list[Receipt]:
        """All receipts. Raises IntegrityError."""
        return receipts_of(self.columns(), self.span[0], str(self.path))


@lru_cache(maxsize=4096)
def _check(path: Path, place: str, stamp: tuple[int, int, int]) -> None:
    """Compare a segment's bytes with its name, once a process."""
    found = _NAME.fullmatch(path.name)
    if found is None or _digest(place, path.read_bytes()) != found.group(3):
        raise damaged(f"{path}: its bytes differ from its name's digest, or it belongs to another step")


@lru_cache(maxsize=32)
def _columns(
    path: Path, place: str, stamp: tuple[int, int, int], names: tuple[str, ...] | None
) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check(path, place, stamp)
    form = schema()
    wanted = form if names is None else pa.schema([field for field in form if field.name in names])
    if names is not None and int(path.name.split("-")[1]) <= _FEW:  # opening the file takes longer than it
        return _columns(path, place, stamp, None).select(wanted.names)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read_row_group(0, columns=wanted.names, use_threads=False)
        (batch,) = table.combine_chunks().to_batches()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(f"{path}: {error}") from error
    if not batch.schema.equals(wanted) or batch.num_rows != int(path.name.split("-")[1]):
        raise damaged(f"{path}: holds other columns or units than its name says")
    return batch


class Units(Sequence[Receipt]):
    """The receipts of a complete step, read from its segments as they are asked for.

    Raises IntegrityError where a segment is not what the manifest says.
    """

    def __init__(self, folder: Path, place: str, entries: Sequence[SegmentEntry]) -> None:
        self._folder, self._place, self._entries = folder, place, tuple(entries)

    @property
    def entries(self) -> tuple[SegmentEntry, ...]:
        """Its segments, in order."""
        return self._entries

    @cached_property
    def _firsts(self) -> list[int]:
        return [entry.first for entry in self._entries]

    def __len__(self) -> int:
        return self._entries[-1].first + self._entries[-1].units if self._entries else 0

    @overload
    def __getitem__(self, index: int) -> Receipt: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Receipt, ...]: ...
    def __getitem__(self, index: int | slice) -> Receipt | tuple[Receipt, ...]:
        if isinstance(index, slice):
            numbers = range(*index.indices(len(self)))
            if numbers.step == 1:
                return tuple(islice(self._from(numbers.start), len(numbers)))
            return tuple(self[number] for number in numbers)
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(index)
        segment, first = self._segment(number)
        return receipt_of(segment.columns(), number - first, number, str(segment.path))

    def __iter__(self) -> Iterator[Receipt]:
        return self._from(0)

    def _from(self, start: int) -> Iterator[Receipt]:
        for entry in self._entries:
            skipped = max(0, start - entry.first)
            if skipped < entry.units:
                segment = self._of(entry)
                batch = segment.columns()
                for place in range(skipped, entry.units):
                    yield receipt_of(batch, place, entry.first + place, str(segment.path))

    def _of(self, entry: SegmentEntry) -> Segment:
        return Segment(self._folder / entry.name, self._place)

    def _segment(self, number: int) -> tuple[Segment, int]:
        entry = self._entries[bisect_right(self._firsts, number) - 1]
        return self._of(entry), entry.first

    def facts(self, number: int) -> Receipt:
        """The receipt of a unit without files and ledger, which would have to be read for it. Raises
        IndexError."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        segment, first = self._segment(number)
        return facts_of(segment.columns(FACTS), number - first, number, str(segment.path))

    def text_bytes(self, number: int) -> int:
        """Bytes of the documents that a unit wrote."""
        segment, first = self._segment(number)
        return int(segment.columns(FACTS).column("text_bytes")[number - first].as_py())

    def files(self, suffix: str = "") -> Iterator[FileEntry]:
        """Entries of all files whose names end so, in the order of units."""
        for entry in self._entries:
            if entry.patterns is not None and not any(name.endswith(suffix) for name in entry.patterns):
                continue
            batch = self._of(entry).columns(FILES)
            for place in range(entry.units):
                for file in files_of(batch, place, entry.first + place):
                    if file.name.endswith(suffix):
                        yield file

    def datasets(self) -> Iterator[tuple[list[bytes], list[int]]]:
        """SHA-256 of the file of documents and bytes of text of each unit, a segment at a time."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for entry in self._entries:
            batch = self._of(entry).columns((*FILES, "text_bytes"))
            files = batch.column("files").flatten()
            held = pc.is_in(files.field("name"), pa.array(["%.parquet", "%.arrow"]))
            first, rest = (files.field(name).filter(held) for name in ("sha256", "rest"))
            if len(first) != entry.units or rest.null_count:
                raise damaged(f"{self._folder / entry.name}: its units do not have a file of documents each")
            hashes = [a + b for a, b in zip(first.to_pylist(), rest.to_pylist(), strict=True)]
            yield hashes, batch.column("text_bytes").to_pylist()

    def keys(self) -> Iterator[bytes]:
        """The key of each unit, 16 bytes; zeros of one that has none."""
        for entry in self._entries:
            for key in self._of(entry).columns(KEYS).column("key").to_pylist():
                yield bytes(16) if key is None else key

    def count_files(self) -> int:
        """How many files all units have."""
        return sum(len(self._of(entry).columns(FILES).column("files").flatten()) for entry in self._entries)

    def find(self, name: str) -> FileEntry | None:
        """The entry of the file of this name, None where no unit wrote it."""
        number = unit_of(name)
        if number is not None and number < len(self):
            segment, first = self._segment(number)
            for file in files_of(segment.columns(FILES), number - first, number):
                if file.name == name:
                    return file
        for entry in self._entries:  # names without their unit's number: of artefacts
            if entry.patterns is None or name in entry.patterns or f"={name}" in entry.patterns:
                batch = self._of(entry).columns(FILES)
                for place in range(entry.units):
                    for file in files_of(batch, place, entry.first + place):
                        if file.name == name:
                            return file
        return None

    def first_part(self, kind: type[P]) -> P:
        """The part of unit 0, for what is the same in all units. Raises IntegrityError where it has none."""
        return self.facts(0).need(kind)


def sources_of(units: Iterable[Receipt]) -> dict[str, tuple[int, int]]:
    """Documents and bytes that units wrote, by source."""
    sums: dict[str, tuple[int, int]] = {}
    for unit in units:
        if isinstance(unit.part, DatasetPart):
            for source, (documents, size) in unit.part.sources.items():
                had = sums.get(source, (0, 0))
                sums[source] = had[0] + documents, had[1] + size
    return sums
