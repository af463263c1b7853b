"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.assembly.record_reader import DECODED_BYTES, RecordReader
from corpusmill.pipelines.sources.reader import Batch, Label, Lost, Split
from corpusmill.pipelines.storage.objects.lazy import bring, for_library, known_footer, open_exactly
from corpusmill.pipelines.storage.objects.store import PART_BYTES

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from corpusmill.pipelines.sources.assembly.tables import TableMapper
    from corpusmill.pipelines.sources.looking.look import Look


_FEW_ROWS = 64  # of a damaged row group that are read at once


class Parquet(RecordReader):
    """Reads Parquet files, one row a document.

    Fields are mapped as by `jsonl`: `text_field`, `id_field`, `fields`; all other columns go to `meta` as
    JSON (times as ISO 8601, decimals as strings, bytes as base64). A file whose columns are those of the
    document schema, as this project writes and exports them, keeps its ids and `meta` as they are; `source`
    and `domain` become the recipe's, and what an export has beside (`site`, `bytes`, `held_out`, `scores`)
    is left out.

    `index` proves the footer and that every column chunk lies inside the file. Before a row group is read,
    the headers of all its pages are: they must fill their chunks and count the values that the footer counts.
    Page checksums, where the writer made them, and page contents are verified on reading. When a row group
    fails, its rows are read 64 at a time up to the failure, and those from there on are quarantined one by
    one as `bad_parquet`, so that counts stay true. Pages without checksums whose corrupt bytes still decode
    cannot be told from sound ones by anybody, nor can all changes of the footer, which has none.

    Against small files that become large: a page may hold 64 MiB (or `max_record_bytes`, or 64 times its
    stored bytes) unpacked, a row group of over 100,000 rows 64 rows a stored byte and of nested values 2^23 a
    row, a column 64 levels of nested types; rows are mapped so many at a time that all their values, each
    repetition of a value in a dictionary counted, take 64 MiB.

    Quarantined rows: `no_text` (null, or not a string column), `bad_utf8`, `binary` (NUL), `too_large`
    (a text over `max_record_bytes`, or a row whose values take over four times that and over 256 MiB),
    `bad_parquet`.
    """

    libraries: ClassVar[tuple[str, ...]] = ("pyarrow",)
    indexes_parts: ClassVar[bool] = True

    def index(self, path: Path) -> list[Split]:
        """Ranges of row groups; sizes are their uncompressed bytes. Reads the footer alone."""
        from corpusmill.pipelines.sources.framing.parquet_footer import index_row_groups

        return index_row_groups(path, self.split_bytes)

    def footer(self, path: Path) -> bytes:
        """From the footer on: what row groups there are, and where."""
        from corpusmill.pipelines.sources.framing.parquet_footer import footer_bytes

        return footer_bytes(path)

    def look(self, path: Path) -> Look:
        """The columns of a file, from its footer."""
        from corpusmill.pipelines.sources.looking.look import look_at_columns

        return look_at_columns(path, self._field_map())

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the row groups `split.start` to `split.end`, each in about equal shares of 4 to 8 MiB,
        streamed page by page. Of an object these row groups are fetched, those of about 16 MiB at a
        time, and the footer where the index has not kept it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from corpusmill.pipelines.sources.assembly.tables import TableMapper
        from corpusmill.pipelines.sources.framing.parquet_footer import data_end, metadata_in

        source, footer = for_library(path, ahead=False), known_footer(path)
        known = metadata_in(footer) if footer else None
        # A memory map would turn a file cut under our feet into a bus error.
        try:
            opened = pq.ParquetFile(source, metadata=known, page_checksum_verification=True, memory_map=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{name}: {error}; the file changed since it was indexed, run again") from error
        with opened as file, open_exactly(path) as raw:
            end = path.stat().st_size - len(footer) if footer else data_end(raw)
            mapper = TableMapper(self._field_map(), label, name, self.max_record_bytes, file.schema_arrow)
            there = split.start
            for group in range(split.start, split.end):
                if group == there:
                    there = _bring_some(path, file.metadata, group, split.end)
                yield from self._group(file, raw, group, end, mapper, name)

    def _group(
        self, file: pq.ParquetFile, raw: BinaryIO, group: int, end: int, mapper: TableMapper, name: str
    ) -> Iterator[Batch]:
        """Batches of one row group of a file whose data ends at `end`. Where it is damaged, what was not
        given is read again in small steps, up to the damage; rows from there on are lost."""
        place, given = f"row group {group}", 0
        position = f"{name}, {place}"
        for most in (file.metadata.row_group(group).num_rows, _FEW_ROWS):
            try:
                parts = _behind(given, self._parts(file, raw, group, end, most))
                for batch in self._mapped(parts, given, mapper, name, place):
                    yield batch
                    given += len(batch.documents) + len(batch.quarantined)
                return
            except Exception as error:  # whatever Arrow raises
                if isinstance(error, (DataError, ImportError)) or getattr(error, "errno", None):
                    raise
                fault = error
        yield from self._lost(file.metadata.row_group(group), given, position, fault)

    def _mapped(
        self, parts: Iterator[pa.RecordBatch], row: int, mapper: TableMapper, name: str, place: str
    ) -> Iterator[Batch]:
        """Batches of the rows of a row group from number `row` on."""
        for part in parts:
            for piece, size in self._pieces(part):
                if size is not None:
                    yield _too_large(size, f"{name}, {place}, row {row}", self._row_bytes)
                else:
                    yield from mapper.batches(piece, place, row)
                row += piece.num_rows

    def _parts(
        self, file: pq.ParquetFile, raw: BinaryIO, group: int, end: int, most: int
    ) -> Iterator[pa.RecordBatch]:
        """Record batches of one row group, all of its rows, `most` at once; `end`: where the file's data
        ends. Raises ValueError, or what Arrow raises."""
        import pyarrow as pa

        from corpusmill.pipelines.sources.framing.parquet_pages import check_pages

        facts = file.metadata.row_group(group)
        pages = check_pages(raw, facts, end, self.max_record_bytes)
        wanted = min(most, _rows(facts))
        # A few bytes of row numbers may stand for as many copies of a value in a dictionary.
        step = max(1, min(wanted, DECODED_BYTES // max(1, pages.dictionary_bytes)))
        kept = [place for place, kind in enumerate(file.schema_arrow.types) if pa.types.is_dictionary(kind)]
        given = rows = size = 0
        waiting: list[pa.RecordBatch] = []
        for part in file.iter_batches(batch_size=step, row_groups=[group], use_threads=False):
            given += part.num_rows
            waiting.append(part)
            rows, size = rows + part.num_rows, size + _decoded(part, kept)
            if rows >= wanted or 2 * size >= DECODED_BYTES:  # one more of the kind might be too many
                yield _joined(waiting)
                waiting, rows, size = [], 0, 0
        if waiting:
            yield _joined(waiting)
        if given != facts.num_rows:
            raise ValueError(f"the row group counts {facts.num_rows} rows, {given} came")

    def _pieces(self, part: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, int | None]]:
        """`part` in pieces whose rows take at most `DECODED_BYTES` as Python values, or of one row; with its
        size, a row that takes over `_row_bytes`."""
        from corpusmill.pipelines.sources.assembly.row_sizes import bounded, row_sizes

        sizes = row_sizes(part)
        for start, length in bounded(sizes, DECODED_BYTES):
            size = int(sizes[start : start + length].sum())
            yield part.slice(start, length), size if size > self._row_bytes else None

    def _lost(self, group: Any, given: int, position: str, error: Exception) -> Iterator[Batch]:
        from corpusmill.pipelines.sources.assembly.batches import Collector

        if self.on_corrupt == "fail":
            raise DataError(f"{position}: {error}; write the file again or set `on_corrupt: quarantine`")
        detail = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        for lost in _lost_rows(group, given, position, detail):
            empty = Collector(Label("", "")).take()
            yield Batch(empty.documents, [], lost)

    def divide(self, split: Split) -> list[Split]:
        """One split a row group."""
        groups = range(split.start, split.end)
        return [Split(group, group + 1, split.size // len(groups)) for group in groups]

    def lose(self, path: Path, name: str, split: Split, cause: str) -> Iterator[list[Lost]]:
        """Every row that the footer counts."""
        from corpusmill.pipelines.sources.framing.parquet_footer import read_footer

        metadata = read_footer(path)
        for group in range(split.start, split.end):
            yield from _lost_rows(metadata.row_group(group), 0, f"{name}, row group {group}", cause)


def _behind(rows: int, parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What `parts` have behind so many rows."""
    for part in parts:
        if rows < part.num_rows:
            yield part.slice(rows)
        rows = max(0, rows - part.num_rows)


def _bring_some(path: Path, metadata: pq.FileMetaData, first: int, end: int) -> int:
    """Have row groups there from `first` on, at least one and up to `PART_BYTES` of them; the one after."""
    from corpusmill.pipelines.sources.framing.parquet_footer import chunk_ranges

    ranges: list[tuple[int, int]] = []
    group, size = first, 0
    while group < end and (group == first or size < PART_BYTES):
        found = list(chunk_ranges(metadata.row_group(group)))
        ranges += found
        group, size = group + 1, size + sum(stop - start for start, stop in found)
    bring(path, ranges)
    return group


def _decoded(part: pa.RecordBatch, kept: list[int]) -> int:
    """Bytes that the columns of `part` may take at the most; those that are `kept` as dictionaries, by place,
    once decoded."""
    size = int(part.get_total_buffer_size())
    for place in kept:
        size += part.num_rows * part.column(place).dictionary.nbytes
    return size


def _too_large(size: int, position: str, limit: int) -> Batch:
    from corpusmill.pipelines.sources.assembly.batches import Collector

    detail = f"its columns take {size} bytes once decoded, over {limit}"
    empty = Collector(Label("", "")).take()
    return Batch(empty.documents, [], [Lost("too_large", size, position, detail)])


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    import pyarrow as pa

    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _lost_rows(group: Any, given: int, position: str, detail: str) -> Iterator[list[Lost]]:
    """The rows of a row group from `given` on as lost, in lists of bounded length."""
    from corpusmill.pipelines.sources.assembly.batches import BATCH_ROWS

    rows = group.num_rows
    size = group.total_byte_size // max(1, rows)
    for start in range(given, rows, BATCH_ROWS):
        yield [
            Lost("bad_parquet", size, f"{position}, row {row}", detail)
            for row in range(start, min(rows, start + BATCH_ROWS))
        ]


def _rows(group: Any) -> int:
    """How many rows of a row group to map at a time: equal shares of it, of `BATCH_BYTES` up to twice as much
    by their mean size. What a step writes as one row group is then not put together of several."""
    from corpusmill.pipelines.sources.assembly.batches import BATCH_BYTES, BATCH_ROWS

    rows = int(group.num_rows)
    shares = max(int(group.total_byte_size) // BATCH_BYTES, rows // (4 * BATCH_ROWS), 1)
    return max(1, -(-rows // shares))
