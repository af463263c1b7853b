"""An Arrow file in the store of which only what is read is fetched: its end, and batches that are asked for.

The end has the footer, where batches lie, and the index of their checksums (`checked_ipc`). Ranges that
follow one another, or nearly, are one request. What is fetched is not compared here: `CheckedFile` compares
every batch, and `forget`s what does not match. Memory: what was fetched, compressed as in the file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import cached_property

from corpusmill.pipelines.storage.flatbuffer import FlatTable

END_BYTES = 2**16  # fetched first: footer and index of about 1,200 batches
GAP_BYTES = 2**18  # two ranges so near are one request: 3 ms at 100 MB/s, less than a request takes
_MAGIC = b"ARROW1"
_LAST = 10  # bytes behind the footer: its length and the magic


class PartlyFetched(io.RawIOBase):
    """A file of `size` bytes. `fetch` gives the bytes from one place up to another, `forget` lets go of
    copies of them."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes], forget: Callable[[], None]) -> None:
        self._size, self._fetch, self._forget = size, fetch, forget
        self._at = 0
        self._parts: dict[int, bytes] = {}  # by their first byte

    @cached_property
    def blocks(self) -> list[tuple[int, int]]:
        """Where the batches lie, from and up to, the last one, with the index, too. Fetches the end of the
        file. Raises ValueError where it has no footer of Arrow."""
        self.bring([(max(0, self._size - END_BYTES), self._size)])
        last = self._held(self._size - _LAST, self._size) if self._size > _LAST else b""
        length = int.from_bytes(last[:4], "little", signed=True)
        begin = self._size - _LAST - length
        if last[4:] != _MAGIC or length <= 0 or begin < 0:
            raise ValueError("it does not end with an Arrow footer")
        self.bring([(begin, self._size)])
        top = FlatTable.root(self._held(begin, begin + length))
        found = [(at, at + head + body) for at, head, body in top.structs(3, "<qi4xq")]
        if not all(0 <= start < end <= begin for start, end in found):
            raise ValueError("its footer names batches beyond it")
        if found:
            self.bring([(found[-1][0], begin)])
        return found

    def bring(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetch what is not there yet of these ranges, in their order."""
        wanted: list[tuple[int, int]] = []
        for start, end in ranges:
            if self._part(start, end) is not None:
                continue
            if wanted and start - wanted[-1][1] <= GAP_BYTES:
                wanted[-1] = wanted[-1][0], max(end, wanted[-1][1])
            else:
                wanted.append((start, end))
        for start, end in wanted:
            self._parts[start] = self._fetch(start, end)

    def again(self) -> None:
        """Let go of all that was fetched, copies too: it does not match its checksums."""
        self._parts.clear()
        self.__dict__.pop("blocks", None)
        self._forget()

    def _part(self, start: int, end: int) -> int | None:
        """The first byte of what was fetched and holds a range."""
        return next((at for at, part in self._parts.items() if at <= start and end <= at + len(part)), None)

    def _held(self, start: int, end: int) -> bytes:
        self.bring([(start, end)])
        at = self._part(start, end)
        assert at is not None
        return self._parts[at][start - at : end - at]

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._at + size)
        found = self._held(self._at, end) if end > self._at else b""
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
