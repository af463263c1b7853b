"""The documents that a run keeps, as Parquet: `SOURCE.parquet`, and `SOURCE.test.parquet` held out.

Files have the columns of the document schema, zstd and page checksums. The reader `parquet` reads them. For
the Hub's layout, of many files and a README, see `dataset`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.exports.by_source import DocumentFile, export_by_source
from corpusmill.pipelines.exports.content_digest import ContentDigest
from corpusmill.pipelines.storage.datasets import DatasetWriter


def export_parquet(run: Path, out: Path) -> dict[str, Any]:
    """Write the kept documents of `run` into the new folder `out`; see `export_by_source`."""
    return export_by_source(run, out, "parquet", _ParquetFile)


class _ParquetFile(DocumentFile):
    """A Parquet file, written row group by row group."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._writer = DatasetWriter(path)

    def write(self, docs: Documents, digest: ContentDigest) -> None:
        self._writer.append(docs)
        digest.add(docs)

    def finish(self) -> None:
        self._writer.close()

    def read_again(self, digest: ContentDigest) -> None:
        with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                digest.add(Documents(file.read_row_group(group)))


EXPORT = Export("documents", export_parquet)
