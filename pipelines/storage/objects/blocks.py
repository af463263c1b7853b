"""One object as a file of this machine, fetched in blocks, each with its checksum.

A folder holds `sums` (8 bytes a block: its XXH3-64, or 0 where it was not fetched), `partial`, a sparse file
of the object's size, and `use` and `fill`, which are locked while the object is read and while blocks are
written. Once every block is there, `partial` becomes `file/NAME`: whoever opens that name finds all bytes or
no file. Nothing is synced: a block that a crash left torn does not match its checksum and is fetched again.
`use` holds a token of its own for each time that the folder is made.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import numpy as np
import xxhash

from corpusmill.pipelines.storage.objects.store import PART_BYTES

BLOCK_BYTES = 2**20
_AT_ONCE = 4  # ranges fetched at a time; each is in memory until it is written

_PROVEN_FOLDERS = 256  # of which this process remembers which blocks it knows to be sound
_proven: OrderedDict[str, set[int]] = OrderedDict()  # token of a folder -> its blocks


@contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock on a file, which is made where it is missing."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


class Blocks:
    """The blocks of one object of `size` bytes in its folder; `fetch(start, end)` gives bytes of it.

    `failure`: the first error with which bytes could not be had, for those who would not hear of it: readers
    take most errors for damage of the file.
    """

    def __init__(self, folder: Path, name: str, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self.folder, self.size = folder, size
        self.file = folder / "file" / name
        self.use = folder / "use"
        self._partial, self._sums, self._fetch = folder / "partial", folder / "sums", fetch
        self.count = -(-size // BLOCK_BYTES)
        self.failure: Exception | None = None

    def make(self) -> None:
        """Make the folder with no block in it, unless it is there; `use` comes last."""
        if self.use.exists():
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        for path, length in ((self._partial, self.size), (self._sums, 8 * self.count)):
            with path.open("wb") as file:
                file.truncate(length)
        token = self.folder / "token"
        token.write_text(secrets.token_hex(16), encoding="ascii")
        token.replace(self.use)

    def open(self) -> BufferedReader:
        """The file as it is, with zeros where blocks are missing."""
        try:
            return self.file.open("rb")
        except FileNotFoundError:
            pass
        try:
            return self._partial.open("rb")
        except FileNotFoundError:  # completed in between
            return self.file.open("rb")

    def proven(self) -> bool:
        """Whether this process knows all blocks to be there and sound."""
        return len(self._known()) == self.count and self.file.exists()

    def there(self, first: int, last: int) -> int:
        """How many blocks from `first` on, at most up to `last`, this process knows to be there and sound."""
        known, block = self._known(), first
        while block <= last and block in known:
            block += 1
        return block - first

    def fill_all(self) -> None:
        """Have every block there and sound, and the file under its name."""
        self.fill(range(self.count))

    def fill(self, blocks: Sequence[int]) -> None:
        """Have these blocks there and sound: those that are not are fetched, in ranges of up to `PART_BYTES`,
        several at a time. One process at a time fills an object; others wait for it."""
        proven = self._known()
        if proven.issuperset(blocks) and (len(proven) < self.count or self.file.exists()):
            return
        with locked(self.folder / "fill", fcntl.LOCK_EX):
            sums = np.fromfile(self._sums, "<u8")
            with self.open() as file:
                missing = [b for b in blocks if b not in proven and not _sound(file, b, int(sums[b]))]
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                for _ in threads.map(self._fetch_part, _parts(missing)):
                    pass  # each is asked for, so that the first error is raised
            proven.update(blocks)
            if not self.file.exists() and np.fromfile(self._sums, "<u8").all():
                self._partial.rename(self.file)

    def _known(self) -> set[int]:
        """Blocks that this process fetched or compared with their checksums since the folder was made."""
        token = self.use.read_text("ascii")
        proven = _proven.setdefault(token, set())
        _proven.move_to_end(token)
        if len(_proven) > _PROVEN_FOLDERS:
            _proven.popitem(last=False)
        return proven

    def _fetch_part(self, part: range) -> None:
        start, end = part.start * BLOCK_BYTES, min(part.stop * BLOCK_BYTES, self.size)
        try:
            data = memoryview(self._fetch(start, end))
        except Exception as error:
            self.failure = self.failure or error
            raise
        found = [_checksum(data[at : at + BLOCK_BYTES]) for at in range(0, end - start, BLOCK_BYTES)]
        target = self.file if self.file.exists() else self._partial
        for path, offset, content in (
            (target, start, data),
            (self._sums, 8 * part.start, np.array(found, "<u8").tobytes()),
        ):
            with path.open("r+b") as file:
                file.seek(offset)
                file.write(content)


def _sound(file: BinaryIO, block: int, wanted: int) -> bool:
    if not wanted:
        return False
    file.seek(block * BLOCK_BYTES)
    return _checksum(file.read(BLOCK_BYTES)) == wanted


def _checksum(data: bytes | memoryview) -> int:
    return xxhash.xxh3_64_intdigest(data) or 1  # 0 stands for a block that is not there


def _parts(blocks: Iterable[int]) -> Iterator[range]:
    """Runs of following blocks, each of at most `PART_BYTES`."""
    run: range | None = None
    for block in blocks:
        if run is not None and block == run.stop and len(run) < PART_BYTES // BLOCK_BYTES:
            run = range(run.start, block + 1)
            continue
        if run is not None:
            yield run
        run = range(block, block + 1)
    if run is not None:
        yield run
