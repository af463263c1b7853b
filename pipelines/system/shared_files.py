"""Files that several machines share: written whole, or claimed by one of them.

Two operations, both atomic on a local file system, NFS (version 3 and later), Lustre and their like: a file
is replaced by a rename, and a name is claimed by creating it exclusively. On an object store they would be a
put and a put that fails where the key exists.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def put(path: Path, content: bytes) -> None:
    """Write a file whole: a reader sees this content, what was there before, or nothing.

    Not synced: after a crash of the machine it may be missing. Raises FileNotFoundError where its folder is
    not there.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    temporary.replace(path)


def claim(path: Path, owner: str) -> bool:
    """Create a file that says who owns it, unless it is there; whether this call created it.

    Raises FileNotFoundError where its folder is not there.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(owner)
    return True


def read(path: Path) -> bytes | None:
    """Content of a file, or None where it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def names(folder: Path) -> list[str]:
    """Names of the files in a folder, sorted, without those being written; none where there is no folder."""
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
