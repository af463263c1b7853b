"""The partitions of an exchange: rows cut into one batch each, and read as one from every unit's file.

Rows come back sorted by (key, unit, row), so nothing depends on which unit finished first. Memory: one
partition; side tables are memory-mapped and only batches with rows asked for are touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.contract.stage import Sides
from corpusmill.pipelines.records.receipt import PartitionsPart
from corpusmill.pipelines.records.unit_columns import unit_of
from corpusmill.pipelines.storage.checked_ipc import check_batches, committed_batch
from corpusmill.pipelines.storage.run_folder import StepFolder

SIDE_ROWS = 1024  # of a batch of a side table: what is read and checked to take one row of it


@dataclass(frozen=True)
class PartitionUnit:
    """One partition of an exchange."""

    partition: int


def partition_units(scattered: StepFolder) -> list[PartitionUnit]:
    """One unit of work a partition."""
    units = scattered.units
    return [PartitionUnit(p) for p in range(units.first_part(PartitionsPart).partitions if units else 1)]


def partition_of(keys: npt.NDArray[np.uint64], partitions: int) -> npt.NDArray[np.uint32]:
    """(key * partitions) >> 64 without overflow, uint32[n]; partitions <= 65,536."""
    high, low = keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)
    count = np.uint64(partitions)
    return ((high * count + ((low * count) >> np.uint64(32))) >> np.uint64(32)).astype(np.uint32)


def partitioned(rows: pa.Table, partitions: int) -> list[pa.RecordBatch]:
    """Rows sorted by `key` as one batch a partition, empty ones included."""
    placed = partition_of(rows.column("key").to_numpy(), partitions)
    ends = np.searchsorted(placed, np.arange(partitions + 1))
    empty = pa.RecordBatch.from_pylist([], schema=rows.schema)
    whole = rows.combine_chunks().to_batches()
    return [
        whole[0].slice(ends[p], ends[p + 1] - ends[p]) if whole and ends[p + 1] > ends[p] else empty
        for p in range(partitions)
    ]


def sorted_rows(rows: pa.Table) -> pa.Table:
    """`rows` sorted by (key, unit, row), ties by every other column that is not nested: an order that follows
    from the rows alone."""
    first = ("key", "unit", "row")
    plain = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
    others = [name for name in plain if name not in first]
    return rows.sort_by([(name, "ascending") for name in (*first, *others)]).combine_chunks()


def read_partition(scattered: StepFolder, partition: int) -> pa.Table | None:
    """Rows of one partition sorted by (key, unit, row); None where no unit sent any row at all."""
    tables = []
    for unit in scattered.need_manifest().units:
        if unit.rows == 0:
            continue
        batch = committed_batch(scattered, f"{unit.name}.rows.arrow", partition)
        tables.append(pa.Table.from_batches([batch]))
    if not tables:
        return None
    table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    order = np.lexsort(
        (table.column("row").to_numpy(), table.column("unit").to_numpy(), table.column("key").to_numpy())
    )
    return table.take(pa.array(order)).combine_chunks()


class StoredSides(Sides):
    """Side tables of an exchange by address, memory-mapped; a batch is checked when rows of it are taken."""

    def __init__(self, scattered: StepFolder) -> None:
        self._folder = scattered

    @cached_property
    def _first(self) -> list[int]:
        """A unit that has a side table, if any has."""
        found = next(self._folder.units.files("side.arrow"), None)
        number = None if found is None else unit_of(found.name)
        return [] if number is None else [number]

    def take(self, unit: npt.NDArray[np.uint32], row: npt.NDArray[np.uint32]) -> pa.Table:
        parts: list[pa.Table] = []
        order: list[npt.NDArray[np.int64]] = []
        asked = np.unique(unit).tolist() or self._first
        for number in asked:  # of one where none is asked for: it has the columns
            if not self._folder.has(f"{number:05d}.side.arrow"):
                raise damaged(f"{self._folder.data}: unit {number} has no side table")
            wanted = np.flatnonzero(unit == number)
            parts.append(self._rows(f"{number:05d}.side.arrow", row[wanted]))
            order.append(wanted)
        joined = pa.concat_tables(parts)
        back = np.empty(len(unit), np.int64)
        back[np.concatenate(order)] = np.arange(len(unit))
        return joined.take(pa.array(back)).combine_chunks()

    def _rows(self, name: str, row: npt.NDArray[np.uint32]) -> pa.Table:
        """These rows of one file. Every row it gives lies in a batch that was checked, so damage to another
        batch can make it fail but not find a wrong row."""
        path = self._folder.data / name
        try:
            with pa.memory_map(str(path)) as source:
                reader = ipc.open_file(source)
                batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
                table = pa.Table.from_batches(batches)
                sent = contiguous(table.column("row")).to_numpy()
                at = np.searchsorted(sent, row)
                if (at >= len(sent)).any():
                    raise damaged(f"{path}: lacks a side row that was sent")
                ends = np.cumsum([batch.num_rows for batch in batches])
                check_batches(self._folder, name, np.unique(np.searchsorted(ends, at, "right")).tolist())
                if (sent[at] != row).any():
                    raise damaged(f"{path}: lacks a side row that was sent")
                return table.drop_columns(["row"]).take(pa.array(at))
        except (OSError, pa.ArrowException) as error:
            raise damaged(f"{path}: {error}") from error


def sorted_by_address(table: pa.Table) -> pa.Table:
    """`table` sorted by (unit, row), ties by every other sortable column that identifies a pair."""
    keys = [
        ("unit", "ascending"),
        ("row", "ascending"),
        ("survivor_unit", "ascending"),
        ("survivor_row", "ascending"),
    ]
    return table.take(pc.sort_indices(table, sort_keys=keys))
