"""The documents that a run keeps, as Parquet files with a card: see `documents.py`.

Row groups of about 16 MiB of text, zstd, page checksums. The reader `parquet`, polars, DuckDB, Spark and
`datasets` read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.exports.document_file import DocumentFile
from corpusmill.pipelines.exports.documents import OPTIONS, FileForm, export_documents

ROW_GROUP_BYTES = 16 * 2**20  # of text; bounds the memory of whoever reads the file
ROW_BYTES = 256  # allowed for a row's other columns
_FEW_VALUES = ("source", "domain", "lang", "license", "repo", "site", "held_out")


class ParquetFile(DocumentFile):
    """A Parquet file; rows wait in memory until a row group is full."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        self._waiting: list[pa.Table] = []
        self._bytes = 0
        self._writer = pq.ParquetWriter(
            self.file,
            schema,
            compression="zstd",
            use_dictionary=[name for name in _FEW_VALUES if name in schema.names],
            write_page_checksum=True,
        )

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._bytes += ROW_BYTES * table.num_rows
        if "text" in table.column_names:
            self._bytes += pc.sum(pc.binary_length(table.column("text"))).as_py() or 0
        if self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        table = pa.concat_tables(self._waiting)
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._waiting, self._bytes = [], 0

    def finish(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()

    def rows(self) -> int:
        return int(pq.read_metadata(self.path).num_rows)


FORM = FileForm("parquet", ParquetFile)


def export_parquet(run: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`; see `export_documents`."""
    return export_documents(run, out, FORM, **options)


EXPORT = Export("documents", export_parquet, OPTIONS)
