"""Files that several machines share: written whole, or claimed by one of them.

Two operations, both atomic on a local file system, NFS (version 3 and later), Lustre and their like: a file
is replaced by a rename, and a name is claimed by creating it exclusively. On an object store they are a put
and a put that fails where the key exists (`storage/remote/shared_objects.py`).
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


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


class Shared(Protocol):
    """A place in which processes of several machines leave files for one another, by names with slashes.

    `look_seconds`: how long to wait between looks, so that looking costs little.
    """

    look_seconds: float

    def begin(self, folder: str, below: Sequence[str]) -> None:
        """Make a folder with these folders in it, and remove what others of its kind have left."""

    def stranger(self) -> str | None:
        """Why what lies there may be somebody else's; None where it is this account's alone."""

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole. Raises FileNotFoundError where its folder was removed, if that shows."""

    def put_over(self, name: str, before: bytes, content: bytes) -> None:
        """Write a file whole, unless somebody else has written it since it held `before`."""

    def claim(self, name: str, owner: str) -> bool:
        """Create a file unless it is there; whether this call did. Raises FileNotFoundError as `put`."""

    def read(self, name: str) -> bytes | None:
        """Content of a file, None where it is not there."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted."""

    def remove(self, name: str) -> None:
        """Remove a file; there need be none."""

    def clear(self, folder: str) -> None:
        """Remove a folder and what lies in it."""


class SharedFolder:
    """A folder that all machines see. Where it can be given to its owner alone, it is."""

    look_seconds = 0.25

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, folder: str, below: Sequence[str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(stat.S_IRWXU)
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        for name in below:
            (self._folder / folder / name).mkdir(parents=True)

    def stranger(self) -> str | None:
        found = self._folder.stat()
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return (
                f"{self._folder}: others than this account may write tasks there, so none is executed; start "
                "workers by the account that runs the recipe, and remove the folder if it is not its own"
            )
        return None

    def put(self, name: str, content: bytes) -> None:
        put(self._folder / name, content)

    def put_over(self, name: str, before: bytes, content: bytes) -> None:
        put(self._folder / name, content)  # the lock of the run's folder keeps others out

    def claim(self, name: str, owner: str) -> bool:
        return claim(self._folder / name, owner)

    def read(self, name: str) -> bytes | None:
        return read(self._folder / name)

    def names(self, folder: str) -> list[str]:
        return names(self._folder / folder)

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def clear(self, folder: str) -> None:
        shutil.rmtree(self._folder / folder, ignore_errors=True)
