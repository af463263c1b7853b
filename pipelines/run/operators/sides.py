"""Side tables of an exchange, brought to the rounds that are shown them (`WithSides`).

Rows for such a round are keyed by address, so that a partition has the documents of a run of units, and their
side tables are read from the beginning of a unit to its end, once, as units follow one another in their
files. A batch of a side table is of one unit, whose place in the file is the batch's number. Memory: the side
rows of the documents asked for, of one unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.errors import CorpusmillError, damaged
from corpusmill.pipelines.run.operators.layout import first_of, weight_of
from corpusmill.pipelines.run.operators.left_out import addresses
from corpusmill.pipelines.run.operators.packed_lists import packed, unpacked
from corpusmill.pipelines.run.operators.partitions import file_of, layout_at
from corpusmill.pipelines.storage.checked_ipc import BatchWriter, CheckedFile, committed_file
from corpusmill.pipelines.storage.run_folder import StepFolder

if TYPE_CHECKING:
    from corpusmill.pipelines.run.operators.known_units import KnownUnits

SIDE_FILE = "side.arrow"  # a unit's number stands before it
SIDE_ROWS = 1024  # of a batch of a side table at most
PIECE_BYTES = 64 * 2**20  # of rows with side rows that a round should make at once


def keyed_by_address(rows: pa.Table, units: int, stage: str) -> pa.Table:
    """`rows` with a `key` that orders them by (unit, row) and spreads `units` units, at most 2^31, over all
    keys evenly, so that no bound between partitions parts the rows of a unit.

    Raises CorpusmillError where `rows` name a unit beyond those, which `stage` never saw.
    """
    unit, row = (rows.column(name).to_numpy().astype(np.uint64) for name in ("unit", "row"))
    if len(unit) and unit.max() >= units:
        raise CorpusmillError(
            f"stage {stage}: rows for a round with side tables have a unit {unit.max()}, but the units that "
            f"`emit` saw are 0 to {units - 1}; give `unit` and `row` as `emit` had them"
        )
    step = (2**64 - 1) // max(1, units)
    key = pa.array(unit * np.uint64(step) + np.uint64(units) + row)
    if "key" in rows.column_names:
        return rows.set_column(rows.column_names.index("key"), "key", key)
    return rows.add_column(0, "key", key)


def by_unit(
    scattered: StepFolder, rows: pa.Table, known: KnownUnits | None = None, *, packed: bool = False
) -> Iterator[tuple[int, pa.Table, pa.Table]]:
    """Rows sorted by address, a unit at a time: where its rows begin, the rows, and the side rows of their
    documents, one each. `scattered` is the step that sent the documents, `known` what it sent of earlier
    runs; `packed`: as in `WithSides`.

    Raises IntegrityError where a file is not what its receipt says, or lacks a side row.
    """
    file_at = _files(scattered)
    unit = rows.column("unit").to_numpy()
    cuts = [*(np.flatnonzero(unit[1:] != unit[:-1]) + 1).tolist(), len(unit)]
    bounds = list(zip([0, *cuts[:-1]], cuts, strict=True))
    later = [bound for bound in bounds if known is not None and unit[bound[0]] >= known.first]
    for number, of_file in groupby(
        bounds[: len(bounds) - len(later)], lambda bound: file_at(int(unit[bound[0]]))
    ):
        with _side_file(scattered, number) as file:
            before = first_of(scattered.units.facts(number))
            for start, end in of_file:
                part = rows.slice(start, end - start).combine_chunks()
                wanted = documents_of(part)[0] - (np.uint64(before) << np.uint64(32))
                yield start, part, _side_rows(file, int(unit[start]) - before, wanted, packed)
    for start, end in later:
        number, part = int(unit[start]), rows.slice(start, end - start).combine_chunks()
        assert known is not None
        with known.side_file(number, SIDE_FILE) as file:
            wanted = documents_of(part)[0] - (np.uint64(number) << np.uint64(32))
            side = _side_rows(file, 0, wanted, packed)
            yield start, part, known.labelled(number, side)


def _files(scattered: StepFolder) -> Callable[[int], int]:
    """`file_of`, of units that are asked for in ascending order; most share the file of the one before."""
    units, files = scattered.units, layout_at(scattered).files[0]
    latest, end = -1, 0

    def file_at(unit: int) -> int:
        nonlocal latest, end
        if unit >= end:
            latest = file_of(scattered, unit)
            end = first_of(units.facts(latest + 1)) if latest + 1 < files else unit + 2**32
        return latest

    return file_at


def pieces(rows: pa.Table, side: pa.Table, at_once: int | None) -> Iterator[tuple[int, pa.Table, pa.Table]]:
    """Rows of a unit sorted by address, some at a time: where they begin, the rows, and the side rows of
    their documents. `side` has one of each document. A document stays whole unless `at_once` says how many
    rows are shown at once; else they are as many as would take `PIECE_BYTES`, were its side row with each.
    """
    address = addresses(rows)
    starts = np.append(np.flatnonzero(np.append(True, address[1:] != address[:-1])), len(address))
    mean = max(1, sum(map(weight_of, side.itercolumns())) // max(1, side.num_rows))
    most = at_once or max(1, PIECE_BYTES // mean)
    low = 0
    while low < len(address):
        high = min(low + most, len(address))
        if at_once is None:
            high = int(max(starts[np.searchsorted(starts, high, "right") - 1], _after(starts, low)))
        first, last = np.searchsorted(starts, [low, high - 1], "right") - 1
        yield low, rows.slice(low, high - low), side.slice(first, last - first + 1)
        low = high


def _after(starts: npt.NDArray[np.int64], row: int) -> int:
    """Where the document of a row ends."""
    return int(starts[np.searchsorted(starts, row, "right")])


def documents_of(rows: pa.Table) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The addresses of the documents of rows sorted by address, each once, and the place among them of each
    row's."""
    address = addresses(rows)
    new = np.append(True, address[1:] != address[:-1])[: len(address)]
    return address[new], np.cumsum(new) - 1


def _side_file(scattered: StepFolder, number: int) -> CheckedFile:
    name = f"{number:05d}.{SIDE_FILE}"
    if not scattered.has(name):
        raise damaged(f"{scattered.data}: unit {number} has no side table")
    return committed_file(scattered, name, partly=True)


def _side_rows(file: CheckedFile, place: int, wanted: npt.NDArray[np.uint64], as_stored: bool) -> pa.Table:
    """The rows of these addresses in the file, ascending and all of the unit at `place` in it."""
    parts: list[pa.Table] = []
    for batch in file.numbered(place):
        sent = addresses(batch)
        here = wanted[np.searchsorted(wanted, sent[0]) : np.searchsorted(wanted, sent[-1], "right")]
        at = np.searchsorted(sent, here)
        if len(at) and (sent[at] == here).all():
            table = pa.Table.from_batches([batch])
            parts.append(table if len(at) == batch.num_rows else table.take(pa.array(at)))
    if sum(part.num_rows for part in parts) != len(wanted):
        raise damaged(f"{file.path}: lacks a side row that was sent")
    found = pa.concat_tables(parts).drop_columns(["unit", "row"]).combine_chunks()
    try:
        return found if as_stored else unpacked(found)
    except ValueError as error:
        raise damaged(f"{file.path}: {error}") from error


class SideWriter:
    """Side rows with their addresses, in order, in batches of `SIDE_ROWS` of one unit, by its place in the
    file. Memory: those of one row group."""

    def __init__(self, path: Path, stage: str) -> None:
        self._path, self._stage = path, stage
        self._writer: BatchWriter | None = None

    def add(self, sent: Sequence[tuple[pa.Table | None, npt.NDArray[np.uint32]]], unit: int) -> None:
        """What came of one batch of documents, and their rows, in however many tables."""
        tables = [
            side.append_column("unit", pa.array(np.full(len(rows), unit, np.uint32))).append_column(
                "row", pa.array(rows, pa.uint32())
            )
            for side, rows in sent
            if side is not None
        ]
        if not tables:
            return
        table = packed(pa.concat_tables(tables).combine_chunks(), self._stage)
        if self._writer is None:
            self._writer = BatchWriter(self._path, table.schema, compression=None)
            self._writer.__enter__()
        for batch in table.to_batches(max_chunksize=SIDE_ROWS):
            self._writer.write(batch, unit)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.__exit__(None, None, None)
