"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from corpusmill.pipelines.errors import DataError
from corpusmill.pipelines.sources.assembly.record_reader import RecordReader
from corpusmill.pipelines.sources.reader import Batch, Label, Lost, Split

if TYPE_CHECKING:
    pass


class Parquet(RecordReader):
    """Reads Parquet files, one row a document.

    Fields are mapped as by `jsonl`: `text_field`, `id_field`, `fields`; all other columns go to `meta` as
    JSON (times as ISO 8601, decimals as strings, bytes as base64). A file whose columns are those of the
    document schema and nothing else, as this project writes them, keeps its ids and `meta` as they are;
    `source` and `domain` become the recipe's.

    `index` proves the footer and that every column chunk lies inside the file; page checksums, where the
    writer made them, and page contents are verified on reading. When a row group fails, the rows of it that
    were not yet given are quarantined one by one as `bad_parquet`, so that counts stay true. Pages without
    checksums whose corrupt bytes still decode cannot be told from sound ones by anybody.

    Quarantined rows: `no_text` (null, or not a string column), `bad_utf8`, `binary` (NUL), `too_large`
    (a text over `max_record_bytes`), `bad_parquet`.
    """

    libraries: ClassVar[tuple[str, ...]] = ("pyarrow",)

    def index(self, path: Path) -> list[Split]:
        """Ranges of row groups; sizes are their uncompressed bytes. Reads the footer alone."""
        from corpusmill.pipelines.sources.framing.parquet_footer import index_row_groups

        return index_row_groups(path, self.split_bytes)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the row groups `split.start` to `split.end`; their rows are streamed page by page."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from corpusmill.pipelines.sources.assembly.tables import TableMapper

        # A memory map would turn a file cut under our feet into a bus error.
        try:
            opened = pq.ParquetFile(path, page_checksum_verification=True, memory_map=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{name}: {error}; the file changed since it was indexed, run again") from error
        with opened as file:
            mapper = TableMapper(self._field_map(), label, name, self.max_record_bytes, file.schema_arrow)
            for group in range(split.start, split.end):
                facts = file.metadata.row_group(group)
                given = 0
                rows = file.iter_batches(batch_size=_rows(facts), row_groups=[group], use_threads=False)
                while True:
                    try:
                        part = next(rows, None)
                    except (pa.ArrowException, OSError) as error:
                        yield from self._lost(facts, given, f"{name}, row group {group}", error)
                        break
                    if part is None:
                        break
                    yield from mapper.batches(part, f"row group {group}", given)
                    given += part.num_rows

    def _lost(self, group: Any, given: int, position: str, error: Exception) -> Iterator[Batch]:
        from corpusmill.pipelines.sources.assembly.batches import BATCH_ROWS, Collector

        if self.on_corrupt == "fail":
            raise DataError(f"{position}: {error}; write the file again or set `on_corrupt: quarantine`")
        rows = group.num_rows
        size = group.total_byte_size // max(1, rows)
        detail = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        for start in range(given, rows, BATCH_ROWS):
            lost = [
                Lost("bad_parquet", size, f"{position}, row {row}", detail)
                for row in range(start, min(rows, start + BATCH_ROWS))
            ]
            empty = Collector(Label("", "")).take()
            yield Batch(empty.documents, [], lost)


def _rows(group: Any) -> int:
    """How many rows of a row group to hold at a time, by their mean size."""
    from corpusmill.pipelines.sources.assembly.batches import BATCH_BYTES, BATCH_ROWS

    mean = group.total_byte_size / max(1, group.num_rows)
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(1.0, mean))))
