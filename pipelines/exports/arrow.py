"""The documents that a run keeps, as Arrow IPC files with a card: see `documents.py`.

Record batches of at most a row group of the run, compressed with zstd. The reader `arrow`,
`pyarrow.ipc.open_file` and `polars.scan_ipc` read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.exports.document_file import DocumentFile
from corpusmill.pipelines.exports.documents import OPTIONS, FileForm, export_documents


class ArrowFile(DocumentFile):
    """An Arrow IPC file, written batch by batch."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path, schema)
        self._writer = ipc.new_file(self.file, schema, options=ipc.IpcWriteOptions(compression="zstd"))

    def write(self, table: pa.Table) -> None:
        for batch in table.combine_chunks().to_batches():
            self._writer.write_batch(batch)

    def finish(self) -> None:
        self._writer.close()

    def rows(self) -> int:
        first = ipc.IpcReadOptions(included_fields=[0])  # others are not decompressed
        with pa.memory_map(str(self.path)) as file:
            reader = ipc.open_file(file, options=first)
            return sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))


def export_arrow(run: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`; see `export_documents`."""
    return export_documents(run, out, FileForm("arrow", ArrowFile), **options)


EXPORT = Export("documents", export_arrow, OPTIONS)
