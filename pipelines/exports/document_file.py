"""One file of an export of documents: written table by table, then its bytes are read again and compared.

What the library hands over is hashed on its way to the file, and the bytes of the file are hashed again when
they are on the disk. That proves what the disk gives back, not that the library encoded the tables rightly:
of that the number of rows alone is compared, which each form reads back with its library.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import pyarrow as pa
import xxhash

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.system.process import sync

_PIECE = 2**20


class HashedFile:
    """A new file, for libraries to write to, that keeps a 128-bit XXH3 of what it is given."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._hash = xxhash.xxh3_128()
        self._bytes = 0
        self._abandoned = False

    def write(self, data: bytes | memoryview) -> int:
        """Append `data`; returns its bytes. Raises OSError."""
        view = memoryview(data).cast("B")
        if not self._abandoned:
            self._hash.update(view)
            left = view
            while left:  # a write to a raw file may write a part
                left = left[self._file.write(left) :]
        self._bytes += len(view)
        return len(view)

    def flush(self) -> None:
        """Nothing waits in memory."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is. What a library still writes when it is discarded is dropped."""
        self._abandoned = True
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._file.closed and not self._abandoned

    def tell(self) -> int:
        """Bytes written so far."""
        return self._bytes

    def digest(self) -> bytes:
        """16 bytes, of all that was written."""
        return self._hash.digest()


class DocumentFile(ABC):
    """A file that is being written."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self.file = HashedFile(path)
        self._rows = 0

    @abstractmethod
    def write(self, table: pa.Table) -> None:
        """Write rows of the schema to `file`."""

    @abstractmethod
    def finish(self) -> None:
        """Write what stands at the file's end. `file` may be closed."""

    @abstractmethod
    def rows(self) -> int:
        """Rows that the form's library finds in the finished file, decoding as little as it can."""

    def add(self, table: pa.Table) -> None:
        """Write rows of the schema."""
        self.write(table)
        self._rows += table.num_rows

    def abandon(self) -> None:
        """Close the file as it is, of an export that failed."""
        self.file.abandon()

    def close(self) -> None:
        """Finish the file, read its bytes again and compare them, and count its rows.

        Raises CorpusmillError where they differ.
        """
        self.finish()
        self.file.close()
        sync(self.path)
        if _digest(self.path) != self.file.digest():
            raise CorpusmillError(f"{self.path}: what was written comes back different; try another disk")
        if (found := self.rows()) != self._rows:
            raise CorpusmillError(
                f"{self.path}: {self._rows:,} documents were written and {found:,} are in the file; install "
                "other versions of pyarrow and zstandard, and export again"
            )


def _digest(path: Path) -> bytes:
    found = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        piece = memoryview(bytearray(_PIECE))
        while size := file.readinto(piece):
            found.update(piece[:size])
    return found.digest()
