"""Pairs and spans to cut, on their way from the units that find them to those that apply them.

A bucket is `MASK_UNITS` units of the view. A file has a batch for each *coarse* bucket that it has rows of,
`coarse_width` buckets, by its number; none is empty, and a unit without rows writes no file. Beyond `FAN`
units, levels of `apply_removals` merge the files of `FAN` units each, until there are no more than `FAN`;
theirs have a batch for each bucket, so that whoever reads one takes what is its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.run.operators.layout import FAN
from corpusmill.pipelines.run.operators.partitions import sorted_by_address
from corpusmill.pipelines.storage.checked_ipc import BatchWriter, CheckedFile, opened, read_batches
from corpusmill.pipelines.storage.datasets import MASK_UNITS
from corpusmill.pipelines.storage.pairs import PACKED, packed, unpacked
from corpusmill.pipelines.storage.run_folder import StepFolder

BATCHES = 256  # of a file at most, where it was not merged, and rows are no more than `AT_ONCE`
AT_ONCE = 2**17  # rows that a writer holds
FOUND_FILE = "found.arrow"  # a unit's number stands before it
MERGED = {"found.arrow": "pairs.arrow", "edits.arrow": "spans.arrow"}
"""What a merge makes of files that end so."""


def coarse_width(buckets: int) -> int:
    """How many buckets a batch takes of a file that was not merged."""
    return max(1, -(-buckets // BATCHES))


def merge_levels(units: int) -> tuple[int, ...]:
    """How many merges each level has, so that at most `FAN` files are left of those of `units` units."""
    levels = []
    while units > FAN:
        units = -(-units // FAN)
        levels.append(units)
    return tuple(levels)


class FoundWriter:
    """Writes `DUPLICATES` or `EDITS` rows to a file as they are found, those of `width` buckets a batch. Rows
    beyond `AT_ONCE` go out, in order, before the others come. A file without rows is not written. Memory:
    twice `AT_ONCE` rows beside those given."""

    def __init__(self, path: Path, schema: pa.Schema, width: int) -> None:
        self._path, self._schema, self._width = path, schema, width
        self._waiting = [schema.empty_table()]
        self._size = 0
        self._writer: BatchWriter | None = None
        self.rows = 0

    def add(self, found: pa.Table) -> None:
        self._waiting.append(found)
        self._size += found.num_rows
        self.rows += found.num_rows
        if self._size > AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        found = pa.concat_tables(self._waiting)
        self._waiting, self._size = [self._schema.empty_table()], 0
        if not found.num_rows:
            return
        if self._writer is None:
            self._writer = BatchWriter(
                self._path, PACKED if self._schema.equals(DUPLICATES) else self._schema
            )
            self._writer.__enter__()
        _write(self._writer, found, self._width)

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        if self._writer is not None:
            self._writer.__exit__(None, None, None)


def write_buckets(path: Path, found: pa.Table, width: int) -> None:
    """`DUPLICATES` or `EDITS` rows as a file, a batch for each `width` buckets; no file of none."""
    writer = FoundWriter(path, found.schema, width)
    writer.add(found)
    writer.close()


def _write(writer: BatchWriter, found: pa.Table, width: int) -> None:
    """Rows in order, those of `width` buckets, `AT_ONCE` of them at most, a batch."""
    every = [(name, "ascending") for name in found.column_names]
    pairs = found.schema.equals(DUPLICATES)
    ordered = (sorted_by_address(found) if pairs else found.sort_by(every)).combine_chunks()
    bucket = ordered.column("unit").to_numpy() // (MASK_UNITS * width)
    ends = [*(np.flatnonzero(bucket[1:] != bucket[:-1]) + 1).tolist(), len(bucket)]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        for first in range(start, end, AT_ONCE):
            some = ordered.slice(first, min(end, first + AT_ONCE) - first)
            (batch,) = [packed(some)] if pairs else some.to_batches()
            writer.write(batch, int(bucket[start]))


def merge_buckets(folder: StepFolder, entries: Sequence[FileEntry], path: Path) -> int:
    """Write the rows of these files of `folder` as one, a batch a bucket; returns how many there are.

    Memory: the rows of one number in all of the files.
    """
    rows = 0
    folder.bring(entries)
    with ExitStack() as stack:
        files = [stack.enter_context(CheckedFile(folder.at_hand(entry), entry.batches)) for entry in entries]
        writer: BatchWriter | None = None
        for number in sorted({number for file in files for number in file.numbers.tolist()}):
            found = [
                unpacked(pa.Table.from_batches(batches))
                for file in files
                if (batches := file.numbered(number))
            ]
            if writer is None:
                writer = stack.enter_context(BatchWriter(path, files[0].schema))
            table = pa.concat_tables(found)
            _write(writer, table, 1)
            rows += table.num_rows
    return rows


def read_found(path: Path) -> pa.Table:
    """All `DUPLICATES` of a file."""
    return unpacked(pa.Table.from_batches(list(read_batches(path))))


def read_bucket(
    folder: StepFolder, entries: Sequence[FileEntry], number: int, schema: pa.Schema, units: range
) -> pa.Table:
    """The rows of these units in the batches of this number of these files of `folder`. Memory: the rows, and
    a batch."""
    found = (unpacked(batch, units) for batch in bucket_batches(folder, entries, number))
    return pa.concat_tables([schema.empty_table(), *found]).combine_chunks()


def bucket_batches(folder: StepFolder, entries: Sequence[FileEntry], number: int) -> Iterator[pa.Table]:
    """The batches of this number of these files, as they lie there."""
    with opened(folder, entries, number, number + 1) as files:
        for file in files:
            for index in file.among(number, number + 1):
                yield pa.Table.from_batches([file.batch(index)])
