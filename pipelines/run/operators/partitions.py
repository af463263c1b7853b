"""The partitions of an exchange, read as one from the files that hold them.

Rows come back sorted by (key, unit, row), so nothing depends on which unit finished first. Memory: one
partition; side tables are memory-mapped and only batches with rows asked for are touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.contract.stage import Sides
from corpusmill.pipelines.records.receipt import Layout, PartitionsPart
from corpusmill.pipelines.records.unit_columns import unit_of
from corpusmill.pipelines.run.operators.job import Lazily
from corpusmill.pipelines.run.operators.layout import ROWS_FILE, counted_from, first_of, in_order, last_files
from corpusmill.pipelines.run.operators.left_out import addresses
from corpusmill.pipelines.storage.checked_ipc import CheckedFile, check_batches
from corpusmill.pipelines.storage.run_folder import StepFolder

SIDE_FILE = "side.arrow"  # a unit's number stands before it
SIDE_ROWS = 1024  # of a batch of a side table: what is read and checked to take one row of it


@dataclass(frozen=True)
class PartitionUnit:
    """One partition of an exchange."""

    partition: int


def layout_at(scattered: StepFolder) -> Layout:
    """Where the rows of a complete step lie that sends rows to partitions."""
    units = scattered.units
    return units.first_part(PartitionsPart).layout if units else Layout(1, 0, 1, 1, (0,))


def partition_units(scattered: StepFolder) -> Sequence[PartitionUnit]:
    """One unit of work a partition."""
    return Lazily(layout_at(scattered).partitions, PartitionUnit)


def sorted_rows(rows: pa.Table) -> pa.Table:
    """`rows` sorted by (key, unit, row), ties by every other column that is not nested: an order that follows
    from the rows alone."""
    first = ("key", "unit", "row")
    plain = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
    others = [name for name in plain if name not in first]
    return rows.sort_by([(name, "ascending") for name in (*first, *others)]).combine_chunks()


def read_partition(scattered: StepFolder, partition: int) -> pa.Table | None:
    """Rows of one partition sorted by (key, unit, row); None where no unit sent it any."""
    tables = []
    units = scattered.units
    numbers = last_files(layout_at(scattered), partition)
    entries = {number: units.find(f"{number:05d}.{ROWS_FILE}") for number in numbers}
    scattered.bring([entry for entry in entries.values() if entry is not None])
    for number, entry in entries.items():
        if entry is not None:
            with CheckedFile(scattered.at_hand(entry), entry.batches) as file:
                found = file.numbered(partition)
            if found:
                tables.append(counted_from(pa.Table.from_batches(found), first_of(units.facts(number))))
    return in_order(pa.concat_tables(tables, promote_options="permissive")) if tables else None


class StoredSides(Sides):
    """Side tables of an exchange by address, memory-mapped; a batch is checked when rows of it are taken."""

    def __init__(self, scattered: StepFolder) -> None:
        self._folder = scattered
        self._layout = layout_at(scattered)

    @cached_property
    def _first(self) -> list[int]:
        """A unit whose file has a side table beside it, if any has."""
        found = next(self._folder.units.files(SIDE_FILE), None)
        number = None if found is None else unit_of(found.name)
        return [] if number is None else [number]

    def take(self, unit: npt.NDArray[np.uint32], row: npt.NDArray[np.uint32]) -> pa.Table:
        parts: list[pa.Table] = []
        order: list[npt.NDArray[np.int64]] = []
        sent = unit.astype(np.uint64) << np.uint64(32) | row
        files = unit // self._layout.group
        asked = np.unique(files).tolist() or self._first
        for number in asked:  # of one where none is asked for: it has the columns
            name = f"{number:05d}.{SIDE_FILE}"
            if not self._folder.has(name):
                raise damaged(f"{self._folder.data}: unit {number} has no side table")
            wanted = np.flatnonzero(files == number)
            first = np.uint64(first_of(self._folder.units.facts(number))) << np.uint64(32)
            parts.append(self._rows(name, sent[wanted] - first))
            order.append(wanted)
        joined = pa.concat_tables(parts)
        back = np.empty(len(unit), np.int64)
        back[np.concatenate(order)] = np.arange(len(unit))
        return joined.take(pa.array(back)).combine_chunks()

    def _rows(self, name: str, wanted: npt.NDArray[np.uint64]) -> pa.Table:
        """The rows of these addresses of one file. Every row it gives lies in a batch that was checked, so
        damage to another batch can make it fail but not find a wrong row."""
        path = self._folder.at_hand(self._folder.entry(name))
        try:
            with pa.memory_map(str(path)) as source:
                reader = ipc.open_file(source)
                batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
                table = pa.Table.from_batches(batches)
                sent = addresses(table)
                at = np.searchsorted(sent, wanted)
                if (at >= len(sent)).any():
                    raise damaged(f"{path}: lacks a side row that was sent")
                ends = np.cumsum([batch.num_rows for batch in batches])
                check_batches(self._folder, name, np.unique(np.searchsorted(ends, at, "right")).tolist())
                if (sent[at] != wanted).any():
                    raise damaged(f"{path}: lacks a side row that was sent")
                return table.drop_columns(["unit", "row"]).take(pa.array(at))
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
