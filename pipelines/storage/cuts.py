"""Parts cut from documents: spans of bytes beside a mask, left out whenever the text is read.

A mask that cuts has, beside each file of removed rows, `<unit>.edits.arrow`: a checked record batch of `CUTS`
for each unit of the view, sorted by (row, start). Offsets count UTF-8 bytes of the text as its dataset holds
it, whatever earlier masks cut from it; spans of all masks of a view are disjoint and end between characters.
Memory: the spans of one unit, and one row group of text, with and without what is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.storage.checked_ipc import BatchWriter

Index = npt.NDArray[np.int64]
EDITS_FILE = "edits.arrow"  # a unit's number stands before it
AT_ONCE = 2**24  # bytes of text of which each has a mark

# One row a span. `survivor_*` names the document that keeps the text, or the record that has it; `excerpt`
# is the beginning of what is cut, for a few spans only, chosen by id.
CUTS = pa.schema(
    [
        pa.field("unit", pa.uint32(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("start", pa.uint64(), nullable=False),
        pa.field("end", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("survivor_id", pa.string()),
        pa.field("survivor_source", pa.string()),
        pa.field("excerpt", pa.string()),
    ]
)


@dataclass(frozen=True)
class Spans:
    """k spans of the documents of one unit, sorted by (row, start).

    `row`, `start` and `end`: int64[k]; the latter in bytes of the text as written, `end` excluded.
    """

    row: Index
    start: Index
    end: Index

    def __len__(self) -> int:
        return len(self.row)

    @property
    def columns(self) -> tuple[Index, Index, Index]:
        """`row`, `start` and `end`."""
        return self.row, self.start, self.end

    @classmethod
    def of(cls, tables: Sequence[pa.Table | pa.RecordBatch]) -> Spans:
        """Those of `CUTS` rows of one unit, together."""
        if not tables:
            return cls(*(np.zeros(0, np.int64),) * 3)
        row, start, end = (
            np.concatenate([table.column(name).to_numpy().astype(np.int64) for table in tables])
            for name in ("row", "start", "end")
        )
        by = np.lexsort((start, row))
        return cls(row[by], start[by], end[by])

    def among(self, rows: npt.NDArray[np.uint32]) -> Spans:
        """The spans of these rows (sorted uint32[n]), `row` now their places 0 to n - 1 in `rows`."""
        if not len(self) or not len(rows):
            return Spans.of([])
        at = np.searchsorted(rows, self.row)
        here = rows[np.minimum(at, len(rows) - 1)] == self.row
        return Spans(at[here], self.start[here], self.end[here])

    def overlap(self) -> bool:
        """Whether a byte lies in two of the spans."""
        again = (self.row[1:] == self.row[:-1]) & (self.start[1:] < self.end[:-1])
        return bool(again.any())

    def lengths(self, documents: int) -> Index:
        """Bytes in spans of each of so many documents, int64[documents]."""
        found = np.zeros(documents, np.int64)
        np.add.at(found, self.row, self.end - self.start)
        return found


def cut(text: pa.Array, spans: Spans) -> pa.Array:
    """`text`, large_string[n], without `spans`, whose rows count through it. Nulls stay null.

    Raises ValueError where a span ends beyond its text.
    """
    if not len(spans):
        return text
    ends, data = buffers(text)
    base, sizes = int(ends[0]), np.diff(ends)
    if (spans.end > sizes[spans.row]).any():
        raise ValueError("a span ends beyond its text")
    left = np.zeros(len(ends), np.int64)
    np.cumsum(sizes - spans.lengths(len(text)), out=left[1:])
    first = ends[spans.row]
    kept = np.empty(int(left[-1]), np.uint8)
    _copy_beside(data, (base, int(ends[-1])), first + spans.start, first + spans.end, kept)
    parts = [pa.py_buffer(left), pa.py_buffer(kept)]
    found = pa.LargeStringArray.from_buffers(len(text), *parts)
    return (
        pc.if_else(text.is_valid(), found, pa.scalar(None, pa.large_string())) if text.null_count else found
    )


def _copy_beside(
    data: npt.NDArray[np.uint8],
    bounds: tuple[int, int],
    start: Index,
    end: Index,
    kept: npt.NDArray[np.uint8],
) -> None:
    """Copy to `kept` what lies between two places of `data` and in none of the spans there, which ascend and
    share no byte, `AT_ONCE` bytes at a time."""
    place = 0
    for low in range(*bounds, AT_ONCE):
        high = min(low + AT_ONCE, bounds[1])
        begins, ends = (some[slice(*np.searchsorted(some, [low, high]))] for some in (start, end))
        marks = np.zeros(high - low, np.int8)
        np.add.at(marks, begins - low, 1)
        np.add.at(marks, ends - low, -1)
        marks[0] += np.searchsorted(start, low) - np.searchsorted(end, low)
        some = data[low:high][np.cumsum(marks, dtype=np.int8) == 0]
        kept[place : place + len(some)] = some
        place += len(some)


def narrowed(text: pa.Array, spans: Spans) -> Spans:
    """`spans` of these texts, each without the parts of characters at its ends; some may be empty then."""
    ends, data = buffers(text)
    first, last = ends[spans.row], ends[spans.row + 1]
    start, end = first + spans.start, first + spans.end
    for place, step in ((start, 1), (end, -1)):
        for _ in range(3):  # a character has at most three bytes after its first
            inside = (place > first) & (place < last)
            inside[inside] = (data[place[inside]] & 0xC0) == 0x80
            place[inside] += step
    return Spans(spans.row, start - first, np.maximum(end, start) - first)


def edits_file(number: int) -> str:
    """The name of file `number` of a mask's cuts."""
    return f"{number:05d}.{EDITS_FILE}"


def is_edits(name: str) -> bool:
    """Whether a file of this name holds cuts of a mask, or edits on their way to it."""
    return name.endswith(f".{EDITS_FILE}")


class CutsWriter:
    """Writes an Arrow IPC file of `CUTS` rows with one checked record batch per table, empty ones included;
    none where all are empty. Memory: a table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._empty = 0  # tables before the first that is not
        self._writer: BatchWriter | None = None

    def add(self, table: pa.Table) -> None:
        """The next table."""
        if self._writer is None and not table.num_rows:
            self._empty += 1
            return
        empty = pa.RecordBatch.from_pylist([], schema=CUTS)
        if self._writer is None:
            self._writer = BatchWriter(self._path, CUTS, compression="zstd")
            self._writer.__enter__()
            for _ in range(self._empty):
                self._writer.write(empty)
        (batch,) = table.combine_chunks().to_batches() or [empty]
        self._writer.write(batch)

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.__exit__(None, None, None)


def write_cuts(path: Path, tables: Sequence[pa.Table]) -> None:
    """These tables by a `CutsWriter`."""
    writer = CutsWriter(path)
    for table in tables:
        writer.add(table)
    writer.close()
