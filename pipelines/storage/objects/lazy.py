"""A path of an object whose bytes are fetched when they are read.

Readers open their input by `path.open("rb")`: that gives a file which fetches what is read of it, further and
further ahead while it is read in order. Whoever knows which bytes it will read has these fetched first
(`bring`) and reads them by `open_exactly`, which fetches nothing ahead. Whoever needs a name or a descriptor
for a library (`os.fspath`, `fileno`) has all of the object fetched first. A copy of the path that knows
nothing of the object (`Path(path)`, `str(path)`) leads to a file that exists only when it is complete, so
that missing bytes are never read as zeros.
"""

from __future__ import annotations

import io
import os
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.objects.blocks import BLOCK_BYTES, Blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import WriteableBuffer

_FIRST_BLOCKS, _MOST_BLOCKS, _GROWTH = 1, 16, 4  # fetched at a time, of a file that is read in order


class TooLargeError(UserError):
    """All of an object was asked for, and it is larger than the caller allows."""


class ObjectPath(PosixPath):
    """The path of an object in the cache. Paths made from it (`parent`, `with_suffix`) are plain ones.

    `most`: bytes of an object that may be fetched whole; TooLargeError above.
    """

    _blocks: Blocks | None = None
    _most: int | None = None
    _footer = b""

    @classmethod
    def of(cls, blocks: Blocks, most: int | None, footer: bytes = b"") -> Self:
        path = cls(str(blocks.file))
        path._blocks, path._most, path._footer = blocks, most, footer
        return path

    @property
    def fetches(self) -> bool:
        """Whether reading it may have to fetch."""
        return self._blocks is not None and not self._blocks.proven()

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """The object, read only and as bytes."""
        if self._blocks is None:
            return super().open(mode, buffering, encoding, errors, newline)
        if mode != "rb":
            raise ValueError(f"{self.name}: an object is opened to read its bytes (rb), not as {mode}")
        return self._opened(ahead=True)

    def _opened(self, *, ahead: bool) -> BinaryIO:
        assert self._blocks is not None
        if self._blocks.proven():
            return self._blocks.open()
        return io.BufferedReader(_Fetching(self._blocks, ahead), BLOCK_BYTES)

    def _bring(self, ranges: Iterable[tuple[int, int]]) -> None:
        if self._blocks is not None:
            found = {
                block
                for start, end in ranges
                for block in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES))
            }
            self._blocks.fill(sorted(found))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Of the file in the cache, which has the object's size."""
        if self._blocks is None:
            return super().stat(follow_symlinks=follow_symlinks)
        with self._blocks.open() as file:
            return os.fstat(file.fileno())

    def __fspath__(self) -> str:
        if self._blocks is not None:
            if self._most is not None and self._blocks.size > self._most:
                self._blocks.failure = TooLargeError(f"{self.name}: {self._blocks.size:,} bytes")
                raise self._blocks.failure
            self._blocks.fill_all()
        return str(self)


def for_library(path: Path, *, ahead: bool = True) -> Path | BinaryIO:
    """What a library that reads paths and files in Python alike is given: of an object that is not there as a
    whole, a file that fetches what is read, and (`ahead`) more the longer it is read in order; else the path,
    which is faster. The caller closes a file."""
    if isinstance(path, ObjectPath) and path.fetches:
        return path._opened(ahead=ahead)
    return path


def known_footer(path: Path) -> bytes:
    """The last bytes of an object where these are known without fetching them (`Reader.footer`); else b""."""
    return path._footer if isinstance(path, ObjectPath) else b""


def open_exactly(path: Path) -> BinaryIO:
    """A file to read bytes of; of an object only the blocks that are read are fetched, and none ahead."""
    return path._opened(ahead=False) if isinstance(path, ObjectPath) and path.fetches else path.open("rb")


def bring(path: Path, ranges: Iterable[tuple[int, int]]) -> None:
    """Have these ranges of bytes of an object there, from each first byte up to the second: neighbours in one
    request. All of another file is there."""
    if isinstance(path, ObjectPath):
        path._bring(ranges)


class _Fetching(io.RawIOBase):
    """An object as a raw file."""

    def __init__(self, blocks: Blocks, ahead: bool) -> None:
        super().__init__()
        self._blocks, self._exactly = blocks, not ahead
        self._file = blocks.open()
        self._at = 0
        self._ahead = _FIRST_BLOCKS
        self._there: set[int] = set()  # blocks
        self._next = -1  # the block after those fetched last

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        """The descriptor of the file in the cache, with all of the object in it."""
        self._blocks.fill_all()
        return self._file.fileno()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._blocks.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self._blocks.size - self._at))
        if length == 0:
            return 0
        first, last = self._at // BLOCK_BYTES, (self._at + length - 1) // BLOCK_BYTES
        if self._exactly:
            length = min(length, self._have_some(first, last) * BLOCK_BYTES - self._at % BLOCK_BYTES)
        elif not self._there.issuperset(range(first, last + 1)):
            self._fetch(first, last)
        self._file.seek(self._at)
        length = self._file.readinto(view[:length])
        self._at += length
        return length

    def _have_some(self, first: int, last: int) -> int:
        """How many of these blocks are there; where the first is not, all are fetched."""
        there = self._blocks.there(first, last)
        if not there:
            self._blocks.fill(range(first, last + 1))
        return there or last + 1 - first

    def _fetch(self, first: int, last: int) -> None:
        """Have these blocks, and more beyond them the longer the file is read in order."""
        in_order = first in (self._next - 1, self._next)
        self._ahead = min(_MOST_BLOCKS, _GROWTH * self._ahead) if in_order else _FIRST_BLOCKS
        end = min(self._blocks.count, max(last + 1, first + self._ahead))
        self._blocks.fill(range(first, end))
        self._there.update(range(first, end))
        self._next = end

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
