"""The partitions of an exchange, read as one from the files that hold them.

Rows come back sorted by (key, unit, row), so nothing depends on which unit finished first. Memory: one
partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.records.receipt import Layout, PartitionsPart
from corpusmill.pipelines.run.operators.job import Lazily
from corpusmill.pipelines.run.operators.layout import ROWS_FILE, counted_from, first_of, in_order, last_files
from corpusmill.pipelines.storage.checked_ipc import CheckedFile
from corpusmill.pipelines.storage.run_folder import StepFolder


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
    ordered = in_order(rows)
    columns = [ordered.column(name).to_numpy() for name in first]
    if not np.logical_and.reduce([values[1:] == values[:-1] for values in columns]).any():
        return ordered
    plain = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
    others = [name for name in plain if name not in first]
    return ordered.sort_by([(name, "ascending") for name in (*first, *others)]).combine_chunks()


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


def sorted_by_address(table: pa.Table) -> pa.Table:
    """`table` sorted by (unit, row), ties by every other sortable column that identifies a pair."""
    keys = [
        ("unit", "ascending"),
        ("row", "ascending"),
        ("survivor_unit", "ascending"),
        ("survivor_row", "ascending"),
    ]
    return table.take(pc.sort_indices(table, sort_keys=keys))
