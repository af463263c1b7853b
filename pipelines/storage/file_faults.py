"""Whether a file of a run is what its receipt says."""

from __future__ import annotations

import os
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
    if not entry.is_of(_sha256_once(str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)):
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
