"""Finding documents by their id: only id columns are read, one record batch or row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.inspection.removed_rows import RemovedRow
from corpusmill.pipelines.inspection.run_record import StepRecord
from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.storage.datasets import read_unit, unit_file
from corpusmill.pipelines.storage.run_folder import StepFolder


@dataclass(frozen=True)
class Place:
    """Where a document stands: row of a step's unit, or (with `removed`) a row of its removed documents."""

    step: str
    unit: int
    row: int
    id: str
    removed: bool = False


def in_dataset(step: StepRecord, prefix: str) -> Iterator[Place]:
    """Rows of a dataset whose id begins with `prefix`, in order."""
    for unit in step.units:
        yield from in_unit(step, unit.unit, prefix)


def in_unit(step: StepRecord, unit: int, prefix: str) -> Iterator[Place]:
    """The same, of one unit."""
    start = 0
    for table in read_unit(step.data, unit, ["id"]):
        for row, identity in _matches(table.column("id"), prefix):
            yield Place(step.name, unit, start + row, identity)
        start += table.num_rows


def in_removed(step: StepRecord, prefix: str) -> Iterator[Place]:
    """Rows of a step's removed documents whose id begins with `prefix`; `row` counts through the file.

    First halves of exchanges and of folds have files of removed documents only for units that quarantined
    some.
    """
    for unit in step.units:
        if step.operator.lists_removed != "always" and not has_removed(unit):
            continue
        start = 0
        for batch in arrow_batches(removed_path(step.data, unit.unit), ["id"]):
            for row, identity in _matches(batch.column("id"), prefix):
                yield Place(step.name, unit.unit, start + row, identity, removed=True)
            start += batch.num_rows


def has_removed(unit: Receipt) -> bool:
    """Whether a unit, by its receipt, left a file of removed documents."""
    return any(file.name.endswith(".removed.arrow") for file in unit.files)


def removed_path(folder: StepFolder, unit: int) -> Path:
    """File of the documents a unit removed, verified."""
    return folder.file(f"{unit:05d}.removed.arrow")


def removed_row(step: StepRecord, place: Place) -> RemovedRow:
    """The whole row of one removed document."""
    start = 0
    for batch in arrow_batches(removed_path(step.data, place.unit), None):
        if place.row < start + batch.num_rows:
            return RemovedRow(**batch.slice(place.row - start, 1).to_pylist()[0])
        start += batch.num_rows
    raise damaged(f"{removed_path(step.data, place.unit)}: no row {place.row}")


def dataset_row(step: StepRecord, place: Place, without: Sequence[str] = ()) -> dict[str, Any]:
    """One row of a dataset, all columns but `without`; only its row group or record batch is read."""
    path = unit_file(step.data, place.unit)
    start = 0
    if path.suffix == ".arrow":
        for batch in arrow_batches(path, None):
            if place.row < start + batch.num_rows:
                names = [name for name in batch.schema.names if name not in without]
                row: dict[str, Any] = batch.slice(place.row - start, 1).select(names).to_pylist()[0]
                return row
            start += batch.num_rows
        raise damaged(f"{path}: no row {place.row}")
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        names = [name for name in file.schema_arrow.names if name not in without]
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if place.row < start + rows:
                table = file.read_row_group(group, columns=names, use_threads=False)
                found: dict[str, Any] = table.slice(place.row - start, 1).to_pylist()[0]
                return found
            start += rows
    raise damaged(f"{path}: no row {place.row}")


def arrow_batches(path: Path, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Record batches of an Arrow IPC file; columns not asked for are neither read nor decompressed.

    Raises IntegrityError naming the file where it cannot be read.
    """
    try:
        with pa.memory_map(str(path)) as source:
            reader = ipc.open_file(source)
            if columns is not None:
                fields = [reader.schema.get_field_index(name) for name in columns]
                options = ipc.IpcReadOptions(included_fields=sorted(fields))
                reader = ipc.open_file(source, options=options)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(f"{path}: {error}") from error


def _matches(ids: pa.Array | pa.ChunkedArray, prefix: str) -> list[tuple[int, str]]:
    rows = pc.indices_nonzero(pc.fill_null(pc.starts_with(ids, prefix), False)).to_pylist()
    return [(row, ids[row].as_py()) for row in rows]
