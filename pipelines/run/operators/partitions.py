"""The partitions of an exchange, read as one from the files that hold them.

Rows come back sorted by (key, unit, row), so nothing depends on which unit finished first. Memory: one
partition.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.records.receipt import Layout, PartitionsPart
from corpusmill.pipelines.run.operators.job import Lazily
from corpusmill.pipelines.run.operators.layout import (
    LARGE,
    ROWS_FILE,
    counted_from,
    first_keys,
    first_of,
    last_files,
    weight_of,
)
from corpusmill.pipelines.run.operators.packed_lists import unpacked
from corpusmill.pipelines.run.operators.row_order import in_order, meeting
from corpusmill.pipelines.storage.checked_ipc import compact, opened
from corpusmill.pipelines.storage.run_folder import StepFolder

OFTEN = 4  # times the median that a partition is worked on at once
LEAST_BYTES, MOST_BYTES = 2**24, 2**26  # rows that are, whatever the median
MOST_PARTS = 1024
WINDOW_BYTES = 2**25  # rows that are shown at once of a key that has more


@dataclass(frozen=True)
class PartitionUnit:
    """One partition of an exchange."""

    partition: int


@dataclass(frozen=True)
class PartPartition(PartitionUnit):
    """One of so many parts of a partition, by key: 0 of 1 is all of it."""

    part: int
    parts: int


def layout_at(scattered: StepFolder) -> Layout:
    """Where the rows of a complete step lie that sends rows to partitions."""
    units = scattered.units
    return units.first_part(PartitionsPart).layout if units else Layout(1, 0, 1, 1, (0,))


def file_of(scattered: StepFolder, unit: int) -> int:
    """The number of the unit of a complete step whose file has the rows that a unit of the view sent."""
    layout, units = layout_at(scattered), scattered.units
    if layout.group == 1:
        return unit
    files = range(layout.files[0])
    return bisect_right(files, unit, key=lambda number: first_of(units.facts(number))) - 1


def partition_units(scattered: StepFolder) -> Sequence[PartitionUnit]:
    """One unit of work a partition."""
    return Lazily(layout_at(scattered).partitions, PartitionUnit)


def split_partitions(scattered: StepFolder) -> Sequence[PartPartition]:
    """One unit of work a partition or, of one whose rows are more than `MOST_BYTES` or `OFTEN` times the
    median, several: rows of one key stay together."""
    layout, units = layout_at(scattered), scattered.units
    sizes = np.zeros(layout.partitions, np.int64)
    for number in range(sum(layout.files[:-1]), len(units)):
        for partition, size in units.facts(number).need(PartitionsPart).large.items():
            sizes[partition] += size * LARGE
    most = max(LEAST_BYTES, min(MOST_BYTES, OFTEN * int(np.median(sizes))))
    parts = np.clip(-(-sizes // most), 1, MOST_PARTS)
    ends = np.cumsum(parts)

    def unit(place: int) -> PartPartition:
        partition = int(np.searchsorted(ends, place, "right"))
        count = int(parts[partition])
        return PartPartition(partition, place - int(ends[partition]) + count, count)

    return Lazily(int(ends[-1]), unit)


def read_partition(
    scattered: StepFolder, partition: int, part: int = 0, parts: int = 1, *, shared: bool = False
) -> pa.Table | None:
    """Rows of one partition, or of one of so many parts of it, sorted by (key, unit, row); None where no unit
    sent it any. `shared`: only those whose key another one has too. Of a large partition a part reads the
    batches that may have its keys alone. Memory: the rows, twice, and one batch of a file."""
    tables = list(_read(scattered, partition, part, parts))
    if not tables:
        return None
    rows = pa.concat_tables(tables, promote_options="permissive")
    return _with_lists(meeting(rows) if shared else in_order(rows), scattered)


def read_windows(scattered: StepFolder, partition: int, part: int, parts: int) -> Iterator[pa.Table]:
    """The rows that `read_partition` gives, about `WINDOW_BYTES` of them at a time, each window sorted by
    (key, unit, row). Memory: a window, twice."""
    waiting: list[pa.Table] = []
    size = 0
    for table in _read(scattered, partition, part, parts):
        waiting.append(table)
        size += sum(map(weight_of, table.itercolumns()))
        if size > WINDOW_BYTES:
            yield _with_lists(in_order(pa.concat_tables(waiting, promote_options="permissive")), scattered)
            waiting, size = [], 0
    if waiting:
        yield _with_lists(in_order(pa.concat_tables(waiting, promote_options="permissive")), scattered)


def _with_lists(rows: pa.Table, scattered: StepFolder) -> pa.Table:
    """Rows with lists in place of what a round gave packed."""
    try:
        return unpacked(rows)
    except ValueError as error:
        raise damaged(f"{scattered.data}: {error}") from error


def _read(scattered: StepFolder, partition: int, part: int, parts: int) -> Iterator[pa.Table]:
    """The rows of a part of a partition as files hold them, a batch at a time."""
    layout, units = layout_at(scattered), scattered.units
    numbers = last_files(layout, partition)
    found = {number: units.find(f"{number:05d}.{ROWS_FILE}") for number in numbers}
    entries = {number: entry for number, entry in found.items() if entry is not None}
    keys = _keys(layout, partition, part, parts)
    with opened(scattered, list(entries.values()), partition, partition + 1, keys) as files:
        for number, file in zip(entries, files, strict=True):
            for index in file.among(partition, partition + 1, keys):
                batch = file.batch(index)
                rows = _part(batch, keys) if parts > 1 else batch
                yield counted_from(pa.Table.from_batches([rows]), first_of(units.facts(number)))


def _keys(layout: Layout, partition: int, part: int, parts: int) -> tuple[int, int]:
    """The least and the greatest key of one of so many parts of a partition."""
    number, every = partition * parts + part, layout.partitions * parts
    first, beyond = first_keys(every, [number, number + 1]).tolist()
    return first, beyond - 1 if number + 1 < every else beyond


def _part(batch: pa.RecordBatch, keys: tuple[int, int]) -> pa.RecordBatch:
    """The rows of a batch whose keys lie between these two."""
    key = batch.column("key").to_numpy()
    inside = (key >= np.uint64(keys[0])) & (key <= np.uint64(keys[1]))
    here = np.flatnonzero(inside)
    if len(here) == len(key):
        return batch
    if len(here) and here[-1] - here[0] + 1 > len(here):
        return compact(batch.filter(pa.array(inside)), batch.schema)
    return compact(batch.slice(int(here[0]) if len(here) else 0, len(here)), batch.schema)


def sorted_by_address(table: pa.Table) -> pa.Table:
    """`table` sorted by (unit, row), ties by every other sortable column that identifies a pair."""
    keys = [
        ("unit", "ascending"),
        ("row", "ascending"),
        ("survivor_unit", "ascending"),
        ("survivor_row", "ascending"),
    ]
    return table.take(pc.sort_indices(table, sort_keys=keys))
