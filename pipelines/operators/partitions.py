"""Reading one partition of an exchange: its batch from every unit's file, in one order for ever.

Rows come back sorted by (key, unit, row), so nothing depends on which unit finished first. Memory: one
partition; side tables are memory-mapped and only the rows asked for are touched.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc

from corpusmill.pipelines.checked_ipc import read_batch
from corpusmill.pipelines.documents import contiguous
from corpusmill.pipelines.errors import IntegrityError
from corpusmill.pipelines.stage import Sides
from corpusmill.pipelines.storage import Json, StepFolder


def partition_units(scattered: StepFolder) -> list[Json]:
    """One unit of work a partition."""
    manifest = scattered.need_manifest()
    return [{"partition": p} for p in range(manifest["units"][0]["partitions"] if manifest["units"] else 1)]


def read_partition(scattered: StepFolder, partition: int) -> pa.Table | None:
    """Rows of one partition sorted by (key, unit, row); None where no unit sent any row at all."""
    tables = []
    for unit in scattered.need_manifest()["units"]:
        if unit["rows"] == 0:
            continue
        batch = read_batch(scattered.data / f"{unit['unit']:05d}.rows.arrow", partition)
        tables.append(pa.Table.from_batches([batch]))
    if not tables:
        return None
    table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    order = np.lexsort(
        (table.column("row").to_numpy(), table.column("unit").to_numpy(), table.column("key").to_numpy())
    )
    return table.take(pa.array(order)).combine_chunks()


class StoredSides(Sides):
    """Side tables of an exchange by address, memory-mapped."""

    def __init__(self, scattered: StepFolder) -> None:
        self._folder = scattered

    @cached_property
    def _has_rows(self) -> dict[int, bool]:
        units = self._folder.need_manifest()["units"]
        return {
            unit["unit"]: any(file["name"].endswith("side.arrow") for file in unit["files"]) for unit in units
        }

    def take(self, unit: npt.NDArray[np.uint32], row: npt.NDArray[np.uint32]) -> pa.Table:
        parts: list[pa.Table] = []
        order: list[npt.NDArray[np.int64]] = []
        for number in np.unique(unit).tolist():
            if not self._has_rows.get(number, False):
                raise IntegrityError(f"{self._folder.data}: unit {number} has no side table")
            wanted = np.flatnonzero(unit == number)
            with pa.memory_map(str(self._folder.data / f"{number:05d}.side.arrow")) as source:
                reader = ipc.open_file(source)
                table = pa.Table.from_batches([reader.get_batch(i) for i in range(reader.num_record_batches)])
                held = contiguous(table.column("row")).to_numpy()
                at = np.searchsorted(held, row[wanted])
                if (at >= len(held)).any() or (held[at] != row[wanted]).any():
                    raise IntegrityError(f"{self._folder.data}: unit {number} lacks a side row that was sent")
                parts.append(table.drop_columns(["row"]).take(pa.array(at)))
            order.append(wanted)
        joined = pa.concat_tables(parts)
        back = np.empty(len(unit), np.int64)
        back[np.concatenate(order)] = np.arange(len(unit))
        return joined.take(pa.array(back)).combine_chunks()


def sorted_by_address(table: pa.Table) -> pa.Table:
    """`table` sorted by (unit, row), ties by every other sortable column that identifies a pair."""
    keys = [
        ("unit", "ascending"),
        ("row", "ascending"),
        ("survivor_unit", "ascending"),
        ("survivor_row", "ascending"),
    ]
    return table.take(pc.sort_indices(table, sort_keys=keys))
