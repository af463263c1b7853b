"""How the rows of an exchange are laid out, from the units that send them to the partitions they meet in.

With few files each of them has a batch for each partition that it has rows of, and whoever reads a
partition opens them all. Many units would make that units x partitions opens of ever smaller batches. So
small units share files where these would be many, and beyond `FAN` files an exchange has more levels: a file
of the first takes the rows of several units and has a batch for each *coarse* partition, a run of `width`
partitions; a unit of the second takes one coarse partition of about `FAN` files apart into its
partitions; further ones merge about `FAN` files of a coarse partition each, until there are no more than
`FAN` to open. Every level reads its files from their beginning to their end, once, and all of it follows from
the units and the number of partitions, so that the rows of a partition are the same however many levels there
were.

A file counts units from the first one that it took rows of (`PartitionsPart.first`), so that one more unit
before it changes no byte of it; whoever reads it adds that number. Which units of a view share a file, and
which files are merged, follows from what the units hold (`Placement`), so that one more or less changes few
files, wherever it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpusmill.pipelines.records.receipt import Layout, PartitionsPart, Receipt
from corpusmill.pipelines.run.operators.grouping import runs
from corpusmill.pipelines.run.operators.job import Lazily
from corpusmill.pipelines.run.operators.row_batches import laid_out
from corpusmill.pipelines.run.operators.row_order import ADDRESS, by_document, with_sorted_ties
from corpusmill.pipelines.storage.checked_ipc import BatchWriter, CheckedFile, opened
from corpusmill.pipelines.storage.committed import earlier
from corpusmill.pipelines.storage.run_folder import StepFolder

ROWS_FILE = "rows.arrow"  # a unit's number stands before it
FAN = 64  # files that one unit reads, or that are merged on average
UNITS_PER_GROUP = 256  # units of a view for each that a file of the first level takes the rows of
MOST_PER_FILE = 32
FILE_BYTES = 2**30  # text whose rows one file takes at most, where that is more than one unit
# Of more units than the first number: files that are left at least, and text that small units put into one.
SMALL = (16, 4, 16 * 2**20)
MERGE_BYTES = 128 * 2**20  # rows that a unit of the second level should hold, were they as large as the text
FINE = 256  # partitions of a coarse one at most
FLUSH_BYTES = 128 * 2**20  # rows that a writer holds
PIECE_BYTES = 4 * 2**20  # rows of a partition in a batch, so that a part of it reads its own alone
LARGE = 2**16  # bytes of a partition in a file: receipts tell how many times as large it is


def layout_of(
    partitions: int,
    units: int,
    size: int = 0,
    *,
    sharing: bool = True,
    files: Sequence[int] | None = None,
) -> Layout:
    """The layout of an exchange of so many units, whose text is `size` bytes, 0 where that is not known.

    `sharing`: several units may share a file of the first level; else each of them has its own. `files`: how
    many each level has of a coarse partition, where they do not take what follows one another. Numbers are
    rounded such that a little more input seldom changes what a file of the first level holds.
    """
    mean = max(1, size // max(1, units))
    group = together(units, size, UNITS_PER_GROUP) if sharing else 1
    if files is None:
        files = [-(-units // group)]
        while files[-1] > FAN:
            files.append(-(-files[-1] // FAN))
    if len(files) == 1:
        return Layout(partitions, units, group, 1, tuple(files))
    wanted = max(FAN, -(-partitions // FINE), rounded(FAN * group * mean // MERGE_BYTES))
    width = -(-partitions // min(partitions, wanted))
    coarse = -(-partitions // width)
    return Layout(partitions, units, group, width, (files[0], *(count * coarse for count in files[1:])))


@dataclass(frozen=True)
class Placement:
    """A layout, and where its files begin: by level, among units or the files of the level before that hold a
    coarse partition, with the end of the last one."""

    layout: Layout
    bounds: tuple[Sequence[int], ...]

    @classmethod
    def of(
        cls, partitions: int, units: int, size: int, names: Callable[[], npt.NDArray[np.uint64]]
    ) -> Placement:
        """That of units of a view; `names`: a hash of what each holds, asked for where there is a choice."""
        group = together(units, size, UNITS_PER_GROUP)
        bounds: list[Sequence[int]] = [range(units + 1)]
        if units > FAN or group > 1:
            left = names()
            if group > 1:
                bounds = [runs(left, group)]
                left = _named(left, bounds[0])
            while len(left) > FAN:
                bounds.append(runs(left, FAN))
                left = _named(left, bounds[-1])
        files = [len(level) - 1 for level in bounds]
        return cls(layout_of(partitions, units, size, files=files), tuple(bounds))

    def units(self, file: int) -> tuple[int, int]:
        """The first unit whose rows a file of the first level takes, and the one after the last."""
        return self.bounds[0][file], self.bounds[0][file + 1]

    def merges(self, level: int) -> Sequence[Merge]:
        """The units of a level after the first, none where there is no such level, with `Merge.base`."""
        if level >= len(self.bounds):
            return ()
        starts = list(self.bounds[0])
        for bounds in self.bounds[1 : level + 1]:
            starts = [starts[place] for place in bounds]
        found = merges(self.layout, level, self.bounds[level])
        groups = len(self.bounds[level]) - 1
        return Lazily(len(found), lambda place: replace(found[place], base=starts[place % groups]))


def _named(names: npt.NDArray[np.uint64], bounds: Sequence[int]) -> npt.NDArray[np.uint64]:
    """A hash of each run of items, of theirs."""
    found = (xxhash.xxh3_64_intdigest(names[start:end].tobytes()) for start, end in pairwise(bounds))
    return np.fromiter(found, np.uint64)


def shared(units: int, size: int, files: int, most_bytes: int = FILE_BYTES) -> int:
    """How many of so many units of a view, whose text is `size` bytes, may share a file, of `most_bytes` of
    text, where there should be at least so many `files`: a power of two."""
    mean = max(1, size // max(1, units))
    return 1 << max(1, min(units // files, MOST_PER_FILE, most_bytes // mean)).bit_length() - 1


def together(units: int, size: int, files: int) -> int:
    """As `shared`, and more where units are small, whose files may be fewer (`SMALL`)."""
    fewest, least, most = SMALL
    small = shared(units, size, least, most) if units > fewest else 1
    return max(shared(units, size, files), small)


def rounded(count: int) -> int:
    """`count` rounded up to three binary digits and zeros: at most 25% more."""
    zeros = max(0, count.bit_length() - 3)
    return -(-count >> zeros) << zeros


@dataclass(frozen=True)
class Merge:
    """Files of the level before, of units `first` up to `end`: what they have of a coarse partition. `base`:
    what its file counts units from."""

    level: int
    coarse: int
    first: int
    end: int
    base: int = 0


def merges(layout: Layout, level: int, bounds: Sequence[int] | None = None) -> Sequence[Merge]:
    """The units of a level after the first, which is level 0; none where there is no such level. `bounds`: as
    in `Placement`, else `FAN` files that follow one another are merged."""
    if level >= len(layout.files):
        return ()
    groups = layout.files[level] // layout.coarse
    before = layout.files[level - 1] // (layout.coarse if level > 1 else 1)  # files that hold one coarse one
    base = sum(layout.files[: level - 1])
    ends = [*range(0, before, FAN), before] if bounds is None else bounds

    def merge(place: int) -> Merge:
        coarse, group = divmod(place, groups)
        start = base + (coarse * before if level > 1 else 0)
        return Merge(level, coarse, start + ends[group], start + ends[group + 1])

    return Lazily(layout.files[level], merge)


def last_files(layout: Layout, partition: int) -> range:
    """Numbers of the units whose files hold the rows of a partition."""
    base, last = sum(layout.files[:-1]), layout.files[-1]
    if len(layout.files) == 1:
        return range(last)
    groups = last // layout.coarse
    first = base + partition // layout.width * groups
    return range(first, first + groups)


def first_keys(partitions: int, wanted: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """The least key of each of these partitions, ceil(partition * 2^64 / partitions); of `partitions` itself,
    which has none, the greatest there is."""
    numbers = np.asarray(wanted, np.int64).tolist()
    return np.array([min(-(-(number << 64) // partitions), 2**64 - 1) for number in numbers], np.uint64)


_OF_BYTES = (
    pa.types.is_string,
    pa.types.is_binary,
    pa.types.is_large_string,
    pa.types.is_large_binary,
)


def weight_of(column: pa.ChunkedArray | pa.Array) -> int:
    """About what a column holds in memory, in bytes: the same for equal values, however they came.

    Arrow's own count is not: slices count all of their parents, and short arrays are padded.
    """
    if isinstance(column, pa.ChunkedArray):
        return sum(map(weight_of, column.iterchunks()))
    kind = column.type
    if pa.types.is_struct(kind):
        return sum(map(weight_of, column.flatten()))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return 8 * len(column) + weight_of(column.flatten())
    if any(is_bytes(kind) for is_bytes in _OF_BYTES):
        return 8 * len(column) + (pc.sum(pc.binary_length(column)).as_py() or 0)
    return 8 * len(column)


def first_of(unit: Receipt) -> int:
    """What to add to the numbers of units in the files of a unit that sends rows, or forwards what others
    sent."""
    return unit.part.first if isinstance(unit.part, PartitionsPart) else 0


def counted_from(rows: pa.Table, first: int) -> pa.Table:
    """`rows` with `first` added to their column `unit`, uint32; it may be negative."""
    if first == 0:
        return rows
    place = rows.column_names.index("unit")
    units = rows.column("unit").to_numpy().astype(np.int64) + first
    return rows.set_column(place, rows.schema.field(place), pa.array(units.astype(np.uint32)))


class RowsWriter:
    """Writes rows to a file, a batch for each partition that it has rows of, by its number. `width`: number
    coarse partitions of so many. Rows beyond `FLUSH_BYTES` go out, sorted, before the others come.

    `tables` have the columns of the first or, as long as nothing went out, more; the order of rows of one key
    and address is kept, unless they come `in_any_order`. A file without rows is not written. Memory:
    `FLUSH_BYTES` of rows, twice.
    """

    def __init__(self, path: Path, layout: Layout, *, width: int, in_any_order: bool = False) -> None:
        self._path, self._layout, self._width, self._in_any_order = path, layout, width, in_any_order
        self._waiting: list[pa.Table] = []
        self._size = 0
        self._writer: BatchWriter | None = None
        self._schema: pa.Schema | None = None
        self._bytes: Counter[int] = Counter()
        self.rows = 0

    def add(self, *tables: pa.Table) -> None:
        """Rows that came of one batch of documents, in however many tables."""
        for rows in tables:
            self.rows += rows.num_rows
            self._size += sum(map(weight_of, rows.itercolumns()))
            self._waiting.append(rows)
        if self._size > FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        tables = [table for table in self._waiting if table.num_rows] or self._waiting[:1]
        self._waiting, self._size = [], 0
        if not tables or not (table := pa.concat_tables(tables, promote_options="permissive")).num_rows:
            return
        if self._writer is None or self._schema is None:
            self._schema = table.schema
            self._writer = BatchWriter(self._path, self._schema)
            self._writer.__enter__()
        if self._in_any_order:
            table = with_sorted_ties(by_document(table), ADDRESS)
        _write(self._writer, table, self._schema, self._layout.partitions, self._width, self._bytes)

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        if self._writer is not None:
            self._writer.__exit__(None, None, None)

    def part(self, first: int = 0) -> PartitionsPart:
        """What the unit's receipt says, once all is written."""
        last = len(self._layout.files) == 1
        return PartitionsPart(self._layout, first, large_of(self._bytes) if last else {})


def large_of(sizes: Mapping[int, int]) -> dict[int, int]:
    """Bytes by partition as a receipt has them."""
    return {number: size // LARGE for number, size in sorted(sizes.items()) if size >= LARGE}


def merge_files(folder: StepFolder, layout: Layout, merge: Merge, path: Path) -> dict[int, int]:
    """Do one unit of a level after the first: `folder` is that of the step, `path` where its file goes.
    Returns what its receipt says of large partitions.

    Rows of a number are put in order as long as they are `FLUSH_BYTES`; of more there are several batches.
    Memory: `FLUSH_BYTES` of rows, twice, and a batch of a file.
    """
    sizes: Counter[int] = Counter()
    with ExitStack() as stack:
        receipts = [earlier(folder, unit) for unit in range(merge.first, merge.end)]
        sent = [
            (entry, receipt)
            for receipt in receipts
            for entry in receipt.files
            if entry.name.endswith(ROWS_FILE)
        ]
        if not sent:
            return {}
        if merge.level == 1:
            wanted = range(merge.coarse, merge.coarse + 1)
        else:
            first = merge.coarse * layout.width
            wanted = range(first, min(layout.partitions, first + layout.width))
        every = [entry for entry, _ in sent]
        at_hand = stack.enter_context(opened(folder, every, wanted.start, wanted.stop))
        files = [(file, first_of(receipt)) for file, (_, receipt) in zip(at_hand, sent, strict=True)]
        schema = pa.unify_schemas([file.schema for file, _ in files], promote_options="permissive")
        writer: BatchWriter | None = None
        for number in wanted:
            for tables in _some_at_once(_numbered(files, number, merge.base)):
                if writer is None:
                    writer = stack.enter_context(BatchWriter(path, schema))
                rows = pa.concat_tables(tables, promote_options="permissive")
                _write(writer, rows, schema, layout.partitions, 1, sizes)
    return large_of(sizes) if merge.level == len(layout.files) - 1 else {}


def _numbered(files: Sequence[tuple[CheckedFile, int]], number: int, base: int) -> Iterator[pa.Table]:
    """The batches of this number of files, each with what it counts units from, counted from `base`."""
    for file, first in files:
        for index in file.among(number, number + 1):
            yield counted_from(pa.Table.from_batches([file.batch(index)]), first - base)


def _some_at_once(tables: Iterator[pa.Table]) -> Iterator[list[pa.Table]]:
    """Lists of tables of a little over `FLUSH_BYTES` each, and what is left."""
    waiting: list[pa.Table] = []
    size = 0
    for table in tables:
        waiting.append(table)
        size += sum(map(weight_of, table.itercolumns()))
        if size > FLUSH_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _write(
    writer: BatchWriter, rows: pa.Table, schema: pa.Schema, partitions: int, width: int, sizes: Counter[int]
) -> None:
    """Rows as a batch for each run of `width` partitions that there are rows of, or several of a large
    partition, with the keys between which each lies; their bytes are added to `sizes`."""
    rows = rows.select(schema.names).cast(schema)
    size = max(1, sum(map(weight_of, rows.itercolumns())))
    ordered, pieces = laid_out(rows, partitions, width, max(1, PIECE_BYTES * rows.num_rows // size))
    key = ordered.column("key").to_numpy()
    (whole,) = ordered.to_batches()
    for number, start, end, several in pieces:
        piece = whole.slice(start, end - start)
        apart = width == 1 and piece.nbytes > 4 * PIECE_BYTES  # a large row, which its part alone reads
        here = key[start:end]
        bounds = (int(here.min()), int(here.max())) if apart or several else None
        sizes[number] += writer.write(piece, number, bounds)
