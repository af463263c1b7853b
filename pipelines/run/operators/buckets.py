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
from corpusmill.pipelines.storage.pairs import names_in, names_of, packed, packed_schema, unpacked
from corpusmill.pipelines.storage.run_folder import StepFolder

BATCHES = 256  # of a file at most, where it was not merged
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


def write_buckets(path: Path, found: pa.Table, width: int) -> None:
    """`DUPLICATES` or `EDITS` rows as a file, in order, a batch for each `width` buckets; no file of none."""
    if not found.num_rows:
        return
    pairs = found.schema.equals(DUPLICATES)
    schema = packed_schema(names_of(found)) if pairs else found.schema
    with BatchWriter(path, schema) as writer:
        for number, rows in _apart(found, width):
            writer.write(_batch(rows, schema), number)


def _apart(found: pa.Table, width: int) -> Iterator[tuple[int, pa.Table]]:
    """Rows in order, those of `width` buckets each."""
    every = [(name, "ascending") for name in found.column_names]
    pairs = found.schema.equals(DUPLICATES)
    ordered = (sorted_by_address(found) if pairs else found.sort_by(every)).combine_chunks()
    bucket = ordered.column("unit").to_numpy() // (MASK_UNITS * width)
    ends = [*(np.flatnonzero(bucket[1:] != bucket[:-1]) + 1).tolist(), len(bucket)]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        yield int(bucket[start]), ordered.slice(start, end - start)


def _batch(rows: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of one number as a batch of a file of this schema."""
    if names_in(schema) is not None:
        return packed(rows, schema)
    (batch,) = rows.to_batches()
    return batch


def merge_buckets(folder: StepFolder, entries: Sequence[FileEntry], path: Path) -> int:
    """Write the rows of these files of `folder` as one, a batch a bucket; returns how many there are.

    Memory: the rows of one number in all of the files.
    """
    rows = 0
    folder.bring(entries)
    with ExitStack() as stack:
        files = [stack.enter_context(CheckedFile(folder.at_hand(entry), entry.batches)) for entry in entries]
        writer: BatchWriter | None = None
        schema = _schema(files)
        for number in sorted({number for file in files for number in file.numbers.tolist()}):
            found = [
                unpacked(pa.Table.from_batches(batches))
                for file in files
                if (batches := file.numbered(number))
            ]
            if writer is None:
                writer = stack.enter_context(BatchWriter(path, schema))
            for bucket, some in _apart(pa.concat_tables(found), 1):
                writer.write(_batch(some, schema), bucket)
                rows += some.num_rows
    return rows


def _schema(files: Sequence[CheckedFile]) -> pa.Schema:
    """That of a merge of files of one kind."""
    names = [found for file in files if (found := names_in(file.schema)) is not None]
    if names:
        return packed_schema(sorted({name for some in names for name in some}))
    return files[0].schema if files else DUPLICATES


def read_found(path: Path) -> pa.Table:
    """All `DUPLICATES` of a file."""
    return unpacked(pa.Table.from_batches(list(read_batches(path))))


def read_bucket(folder: StepFolder, entries: Sequence[FileEntry], number: int, schema: pa.Schema) -> pa.Table:
    """The rows of the batches of this number of these files of `folder`."""
    tables = [schema.empty_table()]
    with opened(folder, entries, number, number + 1) as files:
        for file in files:
            tables += [unpacked(pa.Table.from_batches([batch])) for batch in file.numbered(number)]
    return pa.concat_tables(tables).combine_chunks()
