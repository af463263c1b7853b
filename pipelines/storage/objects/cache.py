"""Objects on this machine's disk: fetched once for all its processes, within a limit of bytes.

An object counts with its whole size from when it is first asked for, however little of it is fetched: so no
process ever waits for room while it reads. Room is made by removing the objects that were used least lately
and that no process reads. A folder stands for one version of an object: another version is another folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.objects.blocks import Blocks, locked
from corpusmill.pipelines.storage.objects.store import ObjectInfo

_LOOK_AGAIN_S = 0.2
_GONE = ".gone-"  # begins the name of a folder that is being removed
_KEPT = 0.9  # of the limit, after room was made: so that not each object makes room anew


class ObjectCache:
    """A folder of objects that takes at most `limit` bytes, shared by the processes of a machine.

    The folder has to lie on a disk whose file locks hold between its processes; a local one does.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit

    @contextmanager
    def lease(self, info: ObjectInfo, fetch: Callable[[int, int], bytes]) -> Iterator[Blocks]:
        """The blocks of an object, which no process removes while the context is open.

        Waits for other objects to be done with where these take all room. A process that has one lease must
        not ask for a second one. Raises UserError where the object is larger than the cache may be.
        """
        if info.size > self.limit:
            raise UserError(
                f"{info.url}: {info.size:,} bytes do not fit into the cache {self.folder}, which may hold "
                f"{self.limit:,}; raise `storage.cache_bytes`, or store the data in smaller objects"
            )
        digest = hashlib.sha256(f"{info.url}\n{info.size}\n{info.version}".encode()).hexdigest()[:32]
        # The file has the object's name: readers tell compressions by it.
        blocks = Blocks(self.folder / digest, info.url.rsplit("/", 1)[-1], info.size, fetch)
        use = self._enter(blocks)
        try:
            yield blocks
        finally:
            os.utime(blocks.use)
            os.close(use)

    def _enter(self, blocks: Blocks) -> int:
        """Make room for an object that is not there; the open lock on it."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / ".lock", fcntl.LOCK_EX):
                if blocks.use.exists() or self._make_room(blocks.size):
                    blocks.make()
                    use = os.open(blocks.use, os.O_RDWR)
                    fcntl.flock(use, fcntl.LOCK_SH)  # at once: who removes objects is kept out by `.lock`
                    os.utime(blocks.use)
                    return use
            time.sleep(_LOOK_AGAIN_S)

    def _make_room(self, needed: int) -> bool:
        """Remove what was used least lately until so many bytes fit, and note them; whether they do."""
        total = self._total()
        if total + needed > self.limit:
            total = self._removed_until(min(self.limit - needed, int(_KEPT * self.limit)))
        fits = total + needed <= self.limit
        temporary = self.folder / ".total.tmp"
        temporary.write_text(str(total + needed * fits), encoding="ascii")
        temporary.replace(self.folder / ".total")
        return fits

    def _total(self) -> int:
        """Bytes of the objects there, as last noted."""
        try:
            return int((self.folder / ".total").read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return sum(_size(folder) for folder in self._held())

    def _removed_until(self, most: int) -> int:
        """Remove objects until they take at most so many bytes, or all left are being read; their bytes."""
        for left in self.folder.glob(f"{_GONE}*"):  # by a process that was killed over it
            shutil.rmtree(left)
        held = sorted(self._held(), key=lambda folder: (folder / "use").stat().st_mtime_ns)
        sizes = {folder: _size(folder) for folder in held}
        total = sum(sizes.values())  # counted anew: a crash may have left the note behind
        for folder in held:
            if total <= most:
                break
            if self._remove(folder):
                total -= sizes[folder]
        return total

    def _held(self) -> list[Path]:
        return [use.parent for use in self.folder.glob("[0-9a-f]*/use")]

    def _remove(self, folder: Path) -> bool:
        """Remove an object that no process uses; whether it was removed."""
        handle = os.open(folder / "use", os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            shutil.rmtree(folder.rename(folder.with_name(f"{_GONE}{folder.name}")))
            return True
        finally:
            os.close(handle)


def _size(folder: Path) -> int:
    """Bytes of the object in a folder."""
    found = next((folder / "file").iterdir(), folder / "partial")
    return found.stat().st_size
