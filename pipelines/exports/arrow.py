"""The documents that a run keeps, as Arrow IPC files: `SOURCE.arrow`, and `SOURCE.test.arrow` held out.

Files have the columns of the document schema, batches of one row group each, compressed with zstd. The reader
`arrow`, `pyarrow.ipc.open_file` and `polars.scan_ipc` read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.exports.by_source import DocumentFile, export_by_source
from corpusmill.pipelines.exports.content_digest import ContentDigest


def export_arrow(run: Path, out: Path) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`; see `export_by_source`."""
    return export_by_source(run, out, "arrow", _ArrowFile)


class _ArrowFile(DocumentFile):
    """An Arrow IPC file, written batch by batch."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._writer = ipc.new_file(path, SCHEMA, options=ipc.IpcWriteOptions(compression="zstd"))

    def write(self, docs: Documents, digest: ContentDigest) -> None:
        for batch in docs.table.combine_chunks().to_batches():
            self._writer.write_batch(batch)
        digest.add(docs)

    def finish(self) -> None:
        self._writer.close()

    def read_again(self, digest: ContentDigest) -> None:
        with pa.memory_map(str(self.path)) as file:
            reader = ipc.open_file(file)
            for number in range(reader.num_record_batches):
                digest.add(Documents(pa.Table.from_batches([reader.get_batch(number)])))


EXPORT = Export("documents", export_arrow)
