"""The room that a mirror takes: which of its files are in use, and which may make place for others.

Every file in `data` of the mirror has been written to the store before, and `parts` has ranges of such files,
so that all can be fetched again.
Files are removed, those used least lately first, when they take more than the recipe's `cache_bytes`. A file
that a process has been given (`pin`) stays until its unit is done (`release`) or the process has ended; so
the mirror may take more where that much is in use. What is not committed lies elsewhere and is left alone.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpusmill.pipelines.storage.objects.blocks import locked
from corpusmill.pipelines.storage.objects.current import settings_in_use

_FILES = ("data/**/*", "parts/*/*")  # committed files, and ranges of them
_STRIPES = 64  # locks of files that are fetched
_STEP = 0.05  # of the limit: the folder is looked through after so much was written by a process
_KEPT = 0.9  # of the limit, after room was made


class Room:
    """The room of the mirror in `folder`. Safe for several threads and processes of one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = folder / ".mirror"
        self.making = self._own / "making"  # for files that are being written
        self._pins: int | None = None
        self._pinned: set[Path] = set()
        self._grown: int | None = None  # bytes since the folder was looked through
        self._lock = threading.Lock()

    def name(self) -> str:
        """The name of this mirror, made when it is first asked for."""
        self._own.mkdir(parents=True, exist_ok=True)
        path = self._own / "name"
        with locked(self._own / "lock", fcntl.LOCK_EX):
            if not path.exists():
                path.write_text(uuid.uuid4().hex, encoding="ascii")
        return path.read_text("ascii")

    def pin(self, path: Path, size: int) -> bool:
        """Keep a file from being removed; whether it is there and of this size."""
        with self._lock:
            if path not in self._pinned:
                self._own.mkdir(parents=True, exist_ok=True)
                with locked(self._own / "lock", fcntl.LOCK_SH):  # nothing is removed meanwhile
                    os.write(self._pin_file(), os.fsencode(path.relative_to(self._folder)) + b"\n")
                self._pinned.add(path)
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        os.utime(path, ns=(time.time_ns(), found.st_mtime_ns))
        return found.st_size == size

    def _pin_file(self) -> int:
        """The file, locked for as long as the process lives, in which it names what it uses."""
        if self._pins is None:
            folder = self._own / "pins"
            folder.mkdir(parents=True, exist_ok=True)
            self.making.mkdir(parents=True, exist_ok=True)
            name = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
            self._pins = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            fcntl.flock(self._pins, fcntl.LOCK_EX)
        return self._pins

    def release(self) -> None:
        """Let go of all files: the unit is done."""
        with self._lock:
            if self._pins is not None:
                os.ftruncate(self._pins, 0)
            self._pinned.clear()

    @contextmanager
    def fetching(self, path: Path) -> Iterator[None]:
        """Keep other processes from fetching this file, and a few others, at the same time."""
        self.making.mkdir(parents=True, exist_ok=True)
        stripe = sum(path.name.encode()) % _STRIPES
        with locked(self._own / f"fetch-{stripe}", fcntl.LOCK_EX):
            yield

    def grown(self, size: int) -> None:
        """Note that so many bytes come to the mirror, and make room from time to time."""
        limit = settings_in_use().cache_bytes
        with self._lock:
            first = self._grown is None
            self._grown = (self._grown or 0) + size
            if not first and self._grown < _STEP * limit:
                return
            self._grown = 0
        self._own.mkdir(parents=True, exist_ok=True)
        with locked(self._own / "lock", fcntl.LOCK_EX):
            self._make_room(limit)

    def _make_room(self, limit: int) -> None:
        every = (path for kind in _FILES for path in self._folder.glob(f"steps/*/*/{kind}"))
        found = [(path, path.stat()) for path in every if path.is_file()]
        total = sum(stat.st_size for _, stat in found)
        if total <= limit:
            return
        used = self._in_use()
        for path, stat in sorted(found, key=lambda one: one[1].st_atime_ns):
            if total <= _KEPT * limit:
                break
            if os.fsencode(path.relative_to(self._folder)) not in used:
                path.unlink(missing_ok=True)
                total -= stat.st_size

    def _in_use(self) -> set[bytes]:
        """Files that processes have been given; what processes that ended have left is removed."""
        used: set[bytes] = set()
        for path in (self._own / "pins").glob("*"):
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    used.update(file.read().splitlines())
                else:
                    path.unlink()
        return used
