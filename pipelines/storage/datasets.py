"""Datasets on disk and views of them: documents as Parquet, encoded documents as Arrow IPC.

A dataset is the manifest of a step whose unit u wrote `<u>.parquet` (documents) or `<u>.arrow` (encoded
documents). A view lists datasets one after the other, so that its unit numbers run through all of them,
and the masks of rows to leave out and of spans to cut. Memory: one unit's mask and one batch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.errors import DataError, damaged
from corpusmill.pipelines.contract.unit_progress import note_progress
from corpusmill.pipelines.records.receipt import MaskPart
from corpusmill.pipelines.storage.checked_ipc import committed_batch
from corpusmill.pipelines.storage.cuts import Spans, cut, edits_file
from corpusmill.pipelines.storage.recent_documents import RECENT, Groups
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.storage.text_sizes import as_metadata, sizes_of_texts
from corpusmill.pipelines.system.process import return_memory

ROW_GROUP_BYTES = 4 * 2**20
"""Text of a Parquet row group or Arrow record batch. It bounds the memory of a reader, who uses that of one
for the next; larger pieces are returned to the system and mapped anew."""
MOST_TEXT = 2**31 - 2**24  # bytes of a text: it shares a page of less than 2 GiB with those of its group
LARGE_BYTES = 64 * 2**20  # of a row group, whose memory is returned to the system
ROW_BYTES = 256  # allowed for a row's columns besides text and metadata
MASK_UNITS = 64  # units whose removed rows share one file of a deduplication step
TOKENS_LEVEL = 3  # of zstd: a tenth less than 1, for 1.2 ms a megabyte of text
_DICTIONARY = ["source", "domain", "lang", "license", "repo"]


class DatasetWriter:
    """Writes one unit's rows, in order, as row groups of about `ROW_GROUP_BYTES` of text.

    The first batch fixes the schema. Rows are buffered until a group is full: memory is one group, the sizes
    of the unit's texts, which go into the footer of a Parquet file, and of a Parquet file what
    `recent_documents` holds.
    """

    def __init__(self, path: Path, *, encoded: bool = False) -> None:
        self.path = path.with_suffix(".arrow" if encoded else ".parquet")
        self.encoded = encoded
        self.rows = 0
        self._writer: Any = None
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._sizes: list[npt.NDArray[np.int64]] = []
        self._recent = Groups()

    def append(self, docs: Documents) -> None:
        if len(docs) == 0 and self._writer is not None:
            return
        self._pending.append(docs.table)
        self._pending_bytes += _weight(docs)
        self.rows += len(docs)
        if not self.encoded:
            sizes = sizes_of_texts(docs)
            if sizes.max(initial=0) >= MOST_TEXT:
                raise _too_large(docs, int(sizes.argmax()), int(sizes.max()))
            self._sizes.append(sizes)
        if self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        table = pa.concat_tables(self._pending, promote_options="permissive").combine_chunks()
        self._pending, self._pending_bytes = [], 0
        if self._writer is None:
            self._writer = self._open(table.schema)
        if self.encoded:
            self._writer.write_table(table.cast(self._writer_schema), max_chunksize=max(1, table.num_rows))
        elif table.num_rows:
            table = table.cast(self._writer_schema)
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._recent.add(table)
            if table.nbytes > LARGE_BYTES:
                return_memory()

    def _open(self, schema: pa.Schema) -> Any:
        self._writer_schema = schema.remove_metadata()
        if self.encoded:
            options = ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=TOKENS_LEVEL))
            return ipc.new_file(self.path, self._writer_schema, options=options)
        return pq.ParquetWriter(
            self.path,
            self._writer_schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in _DICTIONARY if name in schema.names],
            write_page_checksum=True,
            write_statistics=["id"],
            store_schema=True,
        )

    def close(self, metadata: Mapping[str, str] | None = None) -> int:
        """Finish the file, with an empty one where no batch came; returns its rows. `metadata`: what else the
        footer of a Parquet file says."""
        if self._pending or self._writer is None:
            if not self._pending:
                self._pending = [SCHEMA.empty_table()]
            self._flush()
        if not self.encoded:
            self._writer.add_key_value_metadata({**as_metadata(self._sizes), **(metadata or {})})
        self._writer.close()
        if not self.encoded:
            RECENT.written(self.path, self._recent)
        return self.rows


def _too_large(docs: Documents, row: int, size: int) -> DataError:
    identity, source = (docs.column(name)[row].as_py() for name in ("id", "source"))
    return DataError(
        f"document {identity} of source {source} has a text of {size:,} bytes, and a run's file can have "
        f"less than {MOST_TEXT:,} of one document; leave it out by `max_record_bytes: {MOST_TEXT - 1}` of "
        "the source's reader, or cut it into parts"
    )


def _weight(docs: Documents) -> int:
    """About what these rows hold in memory: the same for equal rows, whatever way they came.

    Arrow's own count is not: it takes in null bitmaps, which are there or not by the table's history.
    """
    size = int(docs.sizes().sum()) + ROW_BYTES * len(docs)
    if "meta" in docs.table.column_names and len(docs):
        size += pc.sum(pc.binary_length(docs.column("meta"))).as_py() or 0
    return size


def _parquet_batches(path: Path, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=columns, use_threads=False)
            if table.nbytes > LARGE_BYTES:
                return_memory()  # of the pages
            yield table.replace_schema_metadata(None)  # what the footer says is of this file alone
            del table
        if file.num_row_groups == 0:
            table = file.schema_arrow.remove_metadata().empty_table()
            yield table.select(columns) if columns is not None else table


def _arrow_batches(path: Path, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    with pa.memory_map(str(path)) as source:
        reader = ipc.open_file(source)
        if columns is not None:  # others are not decompressed
            fields = sorted(reader.schema.get_field_index(name) for name in columns)
            reader = ipc.open_file(source, options=ipc.IpcReadOptions(included_fields=fields))
        for index in range(reader.num_record_batches):
            table = pa.Table.from_batches([reader.get_batch(index)])
            yield table.select(columns) if columns is not None else table
        if reader.num_record_batches == 0:
            table = reader.schema.empty_table()
            yield table.select(columns) if columns is not None else table


def read_unit(folder: StepFolder, unit: int, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of one unit of a dataset; of an empty unit one without rows, which still has columns.

    Raises IntegrityError on damage, naming the file.
    """
    path = unit_file(folder, unit)
    recent = RECENT.groups(folder.entry(path.name).sha256)
    if recent is not None:
        yield from (group if columns is None else group.select(columns) for group in recent)
        return
    try:
        yield from (_parquet_batches if path.suffix == ".parquet" else _arrow_batches)(path, columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(f"{path}: {error}") from error


def unit_file(folder: StepFolder, unit: int) -> Path:
    """The file of one unit's documents, `<unit>.parquet` or `<unit>.arrow`, verified by its receipt."""
    return folder.file(unit_file_name(folder, unit))


def unit_file_name(folder: StepFolder, unit: int) -> str:
    """The name of that file."""
    name = f"{unit:05d}.parquet"
    return name if folder.has(name) else f"{unit:05d}.arrow"


@dataclass(frozen=True)
class UnitFacts:
    """What receipts say of one unit of a view: rows and bytes by source, before the view's masks."""

    rows: int
    sources: dict[str, tuple[int, int]]  # source -> (documents, bytes)


class DatasetView:
    """Datasets one after the other, with masks. Unit numbers run from 0 through all of them."""

    def __init__(self, datasets: Sequence[StepFolder], masks: Sequence[StepFolder]) -> None:
        self.datasets = list(datasets)
        self.masks = list(masks)

    @cached_property
    def _ends(self) -> list[int]:
        """Number of the first unit after each dataset."""
        return list(accumulate(len(folder.units) for folder in self.datasets))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def place(self, unit: int) -> tuple[StepFolder, int]:
        """The dataset of a unit of the view, and the unit's number there. Raises IndexError."""
        if not 0 <= unit < len(self):
            raise IndexError(unit)
        at = bisect_right(self._ends, unit)
        return self.datasets[at], unit - (self._ends[at - 1] if at else 0)

    def facts(self, unit: int) -> UnitFacts:
        """Rows and bytes by source of one unit as written (masks not applied)."""
        folder, number = self.place(unit)
        found = folder.units.facts(number)
        return UnitFacts(found.rows, dict(found.sources))

    def input_bytes(self, unit: int) -> int:
        """Text bytes of a unit as written, cut or not: what its reader must work through."""
        folder, number = self.place(unit)
        return folder.units.text_bytes(number)

    def removed_rows(self, unit: int) -> npt.NDArray[np.uint32]:
        """Rows of this unit that the masks remove, sorted uint32[k].

        Raises IntegrityError where two masks remove the same row: they disagree about what they saw.
        """
        rows = [removed.column("row").to_numpy() for removed in self.mask_batches(unit)]
        if not rows:
            return np.zeros(0, np.uint32)
        joined = np.sort(np.concatenate(rows)).astype(np.uint32)
        if len(joined) and (np.diff(joined.astype(np.int64)) == 0).any():
            raise damaged(f"{self._masks_named()}: unit {unit}: a row is removed twice")
        return joined

    def mask_batches(self, unit: int) -> Iterator[pa.RecordBatch]:
        """`REMOVED` rows of one unit, a record batch for each mask that removes rows of it."""
        for mask in self.masks:
            part = mask.units.first_part(MaskPart)
            name = f"{part.number(unit):05d}.removed.arrow"
            if mask.has(name):
                yield committed_batch(mask, name, unit % part.mask_units)

    def cut_batches(self, unit: int) -> Iterator[pa.RecordBatch]:
        """`CUTS` rows of one unit, a record batch for each mask that cuts."""
        for mask in self.masks:
            part = mask.units.first_part(MaskPart)
            name = edits_file(part.number(unit))
            if mask.has(name):
                yield committed_batch(mask, name, unit % part.mask_units)

    def cuts(self, unit: int) -> Spans:
        """What the masks cut from the documents of this unit, removed ones too.

        Raises IntegrityError where two masks cut the same byte: they disagree about what they saw.
        """
        spans = Spans.of(list(self.cut_batches(unit)))
        if spans.overlap():
            raise damaged(f"{self._masks_named()}: unit {unit}: a byte is cut twice")
        return spans

    def _cut(self, text: pa.Array, spans: Spans, unit: int) -> pa.Array:
        try:
            return cut(text, spans)
        except ValueError as error:
            raise damaged(f"{self._masks_named()}: unit {unit}: {error}") from error

    def _masks_named(self) -> str:
        return ", ".join(str(mask.data) for mask in self.masks)

    def batches(
        self, unit: int, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[Documents, npt.NDArray[np.uint32]]]:
        """Surviving rows of one unit, their texts without what was cut, and their row addresses uint32[n].

        A row group at a time.
        """
        folder, number = self.place(unit)
        written = folder.units.facts(number).rows
        removed = self.removed_rows(unit)
        cuts = self.cuts(unit) if columns is None or "text" in columns else Spans.of([])
        start = 0
        for table in read_unit(folder, number, columns):
            note_progress(start, written, f"{start:,} of {written:,} documents")
            rows = np.arange(start, start + table.num_rows, dtype=np.uint32)
            start += table.num_rows
            docs = Documents(table)
            first, end = np.searchsorted(removed, [start - table.num_rows, start])
            if end > first:
                mask = np.ones(table.num_rows, bool)
                mask[removed[first:end] - rows[0]] = False
                docs, rows = docs.keep(mask), rows[mask]
            here = cuts.among(rows)
            if len(here):
                docs = docs.with_columns({"text": self._cut(docs.text, here, unit)})
            yield docs, rows
        if start != written:
            raise damaged(f"unit {number} in {folder.data}: {start} rows, its receipt says {written}")

    def contents(self) -> Iterator[tuple[str, int]]:
        """SHA-256 of the file and bytes of text of each unit as written, in order."""
        for folder in self.datasets:
            for hashes, sizes in folder.units.datasets():
                yield from zip((found.hex() for found in hashes), sizes, strict=True)

    def totals(self) -> dict[str, tuple[int, int]]:
        """Documents and bytes by source before the masks."""
        sums: dict[str, tuple[int, int]] = {}
        for folder in self.datasets:
            for source, (documents, size) in folder.need_manifest().sources.items():
                had = sums.get(source, (0, 0))
                sums[source] = (had[0] + documents, had[1] + size)
        return sums
