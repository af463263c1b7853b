"""Licences by folder: those of an archive, found when it is indexed and handed to each split that needs them.

The nearest folder above a file that says a licence holds. A member may stand in another split than the
licence file above it, so a split's context names the licences of its members' folders.
"""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from corpusmill.pipelines.sources.licences.files import (
    EVIDENCE_BYTES,
    evidence,
    folder_license,
    is_evidence,
)
from corpusmill.pipelines.sources.reader import Split

_LONGEST = 4096  # characters of a folder's path; longer ones have no licence


def nearest(licenses: Mapping[str, str], folder: str) -> str | None:
    """The folder of `licenses` that holds for `folder`: itself or the nearest above; "" is above all."""
    if len(folder) > _LONGEST:
        return None
    while folder not in licenses:
        if not folder:
            return None
        folder = folder[: max(0, folder.rfind("/"))]
    return folder


def folder_of(name: str) -> str:
    """The folder of a name with slashes, "" for the top."""
    return name[: max(0, name.rfind("/"))]


class ArchiveLicenses:
    """What is found of licences while the members of an archive are walked, in order.

    Memory: the folders' names and 12 bytes each time the folder changes from one member to the next.
    """

    def __init__(self) -> None:
        self._evidence: dict[str, dict[str, str | None]] = {}
        self._numbers: dict[str, int] = {}
        self._positions, self._folders = array("Q"), array("L")

    def member(self, position: int, name: str) -> None:
        """A member that may become a document begins at `position`, in the terms of splits."""
        number = self._numbers.setdefault(folder_of(name), len(self._numbers))
        if not self._folders or self._folders[-1] != number:
            self._positions.append(position)
            self._folders.append(number)

    def file(self, name: str, content: bytes | None) -> None:
        """A file of `is_evidence`, `content` None if it is too large to be read."""
        folder, base = folder_of(name), name[name.rfind("/") + 1 :]
        if len(folder) <= _LONGEST:
            self._evidence.setdefault(folder, {})[base] = evidence(base, content)

    def into(self, splits: list[Split]) -> list[Split]:
        """The splits with the licences that their members need as context, where there are any."""
        found = {
            folder: license
            for folder, files in self._evidence.items()
            if (license := folder_license(files)) is not None
        }
        if not found:
            return splits
        names = list(self._numbers)
        holding = [nearest(found, name) for name in names]
        return [
            split
            if split.fault is not None
            else replace(split, context=self._context(split, found, holding) or None)
            for split in splits
        ]

    def _context(self, split: Split, found: Mapping[str, str], holding: list[str | None]) -> str:
        first = max(0, bisect_right(self._positions, split.start) - 1)
        needed = set()
        for run in range(first, len(self._positions)):
            if self._positions[run] >= split.end:
                break
            needed.add(holding[self._folders[run]])
        chosen = {folder: found[folder] for folder in sorted(n for n in needed if n is not None)}
        return json.dumps(chosen, sort_keys=True, ensure_ascii=True) if chosen else ""


def license_in(context: Mapping[str, str], name: str) -> str | None:
    """The licence of a member, by the context of its split."""
    folder = nearest(context, folder_of(name))
    return None if folder is None else context[folder]


def context_of(split: Split) -> Mapping[str, str]:
    """The licences by folder that a split was handed."""
    found: Mapping[str, str] = json.loads(split.context) if split.context else {}
    return found


State = tuple[tuple[str, int, int], ...]


def disk_state(folder: Path) -> State:
    """Name, size and time of each file of `is_evidence` in a folder on disk. Raises OSError."""
    found = []
    for name in _names(str(folder), folder.stat().st_mtime_ns):
        try:
            stat = os.lstat(folder / name)
        except FileNotFoundError:
            continue
        found.append((name, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


@lru_cache(maxsize=2**14)
def _names(folder: str, changed: int) -> tuple[str, ...]:
    """Files of `is_evidence` in a folder as it was at the time `changed`, sorted; links are passed over."""
    with os.scandir(folder) as entries:
        return tuple(
            sorted(
                entry.name
                for entry in entries
                if is_evidence(entry.name) and entry.is_file(follow_symlinks=False)
            )
        )


@lru_cache(maxsize=2**12)
def disk_license(folder: Path, state: State) -> str | None:
    """The licence that a folder on disk says, its files being as in `state`. Raises OSError."""
    return folder_license(
        {
            name: evidence(name, (folder / name).read_bytes() if size <= EVIDENCE_BYTES else None)
            for name, size, _ in state
        }
    )
