"""Whether a file of a run is what its receipt says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path

from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage.sealed import sha256_file

_AT_ONCE = 1024  # files that wait for a thread


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
    if _sha256_once(str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns) != entry.sha256:
        return f"{path}: its bytes differ from the manifest"
    return None


def faults_of(files: Iterable[FileEntry], fault: Callable[[FileEntry], str | None]) -> list[str]:
    """What `fault` finds wrong with any of these files, in their order. It is asked on all processors.

    Memory grows with the faults, not with the files.
    """
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    faults: list[str] = []
    left = iter(files)
    with ThreadPoolExecutor(workers) as pool:  # hashing lets other threads go on
        while some := list(islice(left, _AT_ONCE)):
            faults += [found for found in pool.map(fault, some) if found is not None]
    return faults


def lost(path: Path, entry: FileEntry) -> str | None:
    """Whether a file is missing or of another size than its receipt says, and how; its bytes are not read."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: missing"
    return None if size == entry.bytes else f"{path}: {size:,} bytes, its receipt says {entry.bytes:,}"
