"""Merging sorted tables of counts, a range of keys at a time.

Keys are spread evenly, so a range of them is the same small share of every table: it is copied together,
sorted and summed, and what comes out is appended. Tables may be memory-mapped; beyond them and the result,
memory is that of one range.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import buffers

COUNTS = pa.schema(
    [
        pa.field("pretoken", pa.large_binary(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)
RANGE_BYTES = 16 * 2**20  # of the rows merged at a time

# offsets int64[n + 1], data uint8[...], counts int64[n]
Rows = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def merge_counts(tables: Sequence[pa.Table]) -> pa.Table:
    """One table of COUNTS from several, each in order of key and then of bytes, as the result is.

    Which rows there are and their order depend on what was counted alone. Raises TypeError for a table of
    other columns.
    """
    runs = [rows for table in tables for rows in _rows_of(table)]
    merged = _Rows(sum(len(run[2]) for run in runs), sum(_size(run) for run in runs))
    parts = max(1, (16 * len(merged.counts) + len(merged.data)) // RANGE_BYTES)
    starts = [0] * len(runs)
    for part in range(1, parts + 1):
        ends = [_end(run, part, parts) for run in runs]
        pieces = [
            (run[0][start : end + 1], run[1], run[2][start:end])
            for run, start, end in zip(runs, starts, ends, strict=True)
            if end > start
        ]
        if pieces:
            merged.append(_together(pieces))
        starts = ends
    return merged.table()


def sorted_counts(rows: Rows) -> pa.Table:
    """A table of COUNTS from rows in any order."""
    merged = _Rows(len(rows[2]), _size(rows))
    merged.append(rows)
    return merged.table()


class _Rows:
    """Rows being put together, with room for `rows` rows of `size` bytes; memory unused is never touched."""

    def __init__(self, rows: int, size: int) -> None:
        self.offsets = np.empty(rows + 1, np.int64)
        self.offsets[0] = 0
        self.data = np.empty(size, np.uint8)
        self.counts = np.empty(rows, np.int64)
        self.rows = 0

    def append(self, rows: Rows) -> None:
        """Append rows, in any order, that all sort behind those there; equal ones are summed."""
        from corpusmill.tokenizer.kernels import merge_counts as kernels

        offsets, data, counts = rows
        keys = np.empty(len(counts), np.uint64)
        kernels.row_keys(offsets, data, keys)
        order = np.argsort(keys, kind="stable")
        kernels.order_ties(keys, order, offsets, data)
        self.rows = kernels.merge_rows(
            order, keys, offsets, data, counts, self.offsets, self.data, self.counts, self.rows
        )

    def table(self) -> pa.Table:
        end = int(self.offsets[self.rows])
        columns = [
            pa.py_buffer(part)
            for part in (self.offsets[: self.rows + 1], self.data[:end], self.counts[: self.rows])
        ]
        pretokens = pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), self.rows, [None, columns[0], columns[1]]
        )
        counts = pa.Array.from_buffers(pa.int64(), self.rows, [None, columns[2]])
        return pa.Table.from_arrays([pretokens, counts], schema=COUNTS)


def table_rows(table: pa.Table) -> Rows:
    """All rows of a table of COUNTS as arrays, zero-copy where it is in one piece."""
    rows = _rows_of(table)
    if len(rows) == 1:
        return rows[0]
    return _together(rows) if rows else (np.zeros(1, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.int64))


def _rows_of(table: pa.Table) -> list[Rows]:
    if not table.schema.equals(COUNTS):
        raise TypeError(f"expected a table of counts, {COUNTS}, got {table.schema}")
    return [
        (*buffers(batch.column(0)), np.asarray(batch.column(1)))
        for batch in table.to_batches()
        if batch.num_rows
    ]


def _size(rows: Rows) -> int:
    return int(rows[0][-1] - rows[0][0])


def _end(rows: Rows, part: int, parts: int) -> int:
    """The first row behind `part` of `parts` equal ranges of keys."""
    from corpusmill.tokenizer.kernels.merge_counts import first_row

    if part == parts:
        return len(rows[2])
    return int(first_row(rows[0], rows[1], np.uint64(part * 2**64 // parts)))


def _together(pieces: Sequence[Rows]) -> Rows:
    """Rows one after the other, copied."""
    sizes = np.concatenate([np.diff(offsets) for offsets, _, _ in pieces])
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    data = np.concatenate([data[offsets[0] : offsets[-1]] for offsets, data, _ in pieces])
    return offsets, data, np.concatenate([counts for _, _, counts in pieces])
