"""Whether a file of a run is what its receipt says."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage.sealed import sha256_file


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


def lost(path: Path, entry: FileEntry) -> str | None:
    """Whether a file is missing or of another size than its receipt says, and how; its bytes are not read."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: missing"
    return None if size == entry.bytes else f"{path}: {size:,} bytes, its receipt says {entry.bytes:,}"
