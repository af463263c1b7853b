"""Whether a file of a run is what its receipt says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TypeVar

from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage.sealed import sha256_file

T = TypeVar("T")

AT_ONCE = 1024  # files that wait for a thread
_REMEMBERED = 2**10  # files just committed whose SHA-256 is known


COARSE_NS = 20_000_000
"""Nanoseconds within which the system may give two writes to a file one modification time."""

_Stamp = tuple[int, int, int]  # inode, size and modification time
_hashed: dict[str, tuple[_Stamp, str]] = {}  # SHA-256 of files that this process has just committed, by path


def _stamp(stat: os.stat_result) -> _Stamp:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def sha256_committed(path: Path, target: Path) -> str:
    """SHA-256 of a file that becomes `target` by a rename, 64 hex digits.

    `just_committed` knows it, unless it was written so shortly before that a change might keep its time of
    modification.
    """
    before = path.stat()
    known = time.time_ns() - before.st_mtime_ns >= COARSE_NS
    found = sha256_file(path)
    if known and _stamp(path.stat()) == _stamp(before):
        while len(_hashed) >= _REMEMBERED:
            del _hashed[next(iter(_hashed))]
        _hashed[str(target)] = _stamp(before), found
    return found


def just_committed(path: Path, entry: FileEntry) -> bool:
    """Whether this process has hashed the file when it committed it, found what its receipt says, and the
    file has the inode, size and modification time that it had then."""
    stamp, sha256 = _hashed.get(str(path), (None, ""))
    if stamp is None or not entry.is_of(sha256):
        return False
    try:
        return _stamp(path.stat()) == stamp and stamp[1] == entry.bytes
    except OSError:
        return False


@lru_cache(maxsize=2**16)
def _sha256_once(path: str, inode: int, size: int, changed: int) -> str:
    return sha256_file(Path(path))


def fault_of(path: Path, entry: FileEntry) -> str | None:
    """What is wrong with a file by its entry in a receipt; None where it is sound.

    A file is hashed once a process, and again when its inode, size or modification time differ.
    """
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: missing"
    if stat.st_size != entry.bytes:
        return f"{path}: {stat.st_size:,} bytes, its receipt says {entry.bytes:,}"
    if not entry.is_of(_sha256_once(str(path), *_stamp(stat))):
        return f"{path}: its bytes differ from the manifest"
    return None


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def faults_of(
    files: Iterable[T],
    fault: Callable[[T], str | None],
    workers: int,
    at_once: int = AT_ONCE,
    between: Callable[[], None] = lambda: None,
) -> Iterator[tuple[T, str]]:
    """The files of which `fault` finds something wrong, each with what that is, in their order, whatever the
    number of `workers` (threads: hashing lets others go on).

    Memory: `at_once` files, after which `between` is called: none is looked at then.
    """
    left = iter(files)
    with ThreadPoolExecutor(workers) as pool:
        while some := list(islice(left, at_once)):
            for file, found in zip(some, pool.map(fault, some), strict=True):
                if found is not None:
                    yield file, found
            between()


def lost(path: Path, entry: FileEntry) -> str | None:
    """Whether a file is missing or of another size than its receipt says, and how; its bytes are not read."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: missing"
    return None if size == entry.bytes else f"{path}: {size:,} bytes, its receipt says {entry.bytes:,}"
