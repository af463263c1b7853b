"""One file of an export of documents: written table by table, then read again and compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.exports.content_digest import ContentDigest
from corpusmill.pipelines.system.process import sync


class DocumentFile(ABC):
    """A file that is being written; a digest of what went in proves what comes back."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self._digest = ContentDigest()

    @abstractmethod
    def write(self, table: pa.Table, digest: ContentDigest) -> None:
        """Write rows of the schema, and add them to `digest`."""

    @abstractmethod
    def finish(self) -> None:
        """Write what stands at the file's end, and close it."""

    @abstractmethod
    def read_again(self, digest: ContentDigest) -> None:
        """Add the content of the finished file to `digest` as `write` did."""

    def add(self, table: pa.Table) -> None:
        """Write rows of the schema."""
        self.write(table, self._digest)

    def close(self) -> None:
        """Finish the file, read it again and compare. Raises CorpusmillError where it differs."""
        self.finish()
        sync(self.path)
        found = ContentDigest()
        self.read_again(found)
        if found.value() != self._digest.value():
            raise CorpusmillError(f"{self.path}: what was written comes back different; try another disk")


def add_tables(tables: Iterator[pa.Table], digest: ContentDigest) -> None:
    """Add tables to `digest` one by one."""
    for table in tables:
        digest.add(table)
