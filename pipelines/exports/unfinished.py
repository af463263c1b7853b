"""The folder that an export is written in, beside its own place, until it is whole.

Each finished part of the documents stands in `parts.json` with the position behind it. What was killed goes
on behind the last part that was finished; what another command left there is removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.system.process import sync

_PARTS, _LOCK = "parts.json", ".lock"
_NUMBER = re.compile(r"-of-[0-9]{5}(?=\.)")


@dataclass(frozen=True)
class PartFile:
    """A file of one split: its place in the folder, its bytes, and what it holds: documents, bytes of their
    texts, documents by language and by licence ("" where there is none)."""

    path: str
    bytes: int
    documents: int
    text_bytes: int
    languages: Mapping[str, int] = field(default_factory=dict)
    licences: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """Documents of one source up to a batch of the run (`unit`, `batch`), a file a split."""

    source: str
    unit: int
    batch: int
    files: Mapping[str, PartFile]


class Unfinished:
    """A folder at work; `parts` are those that are done."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._key = folder, key
        for path in sorted(folder.rglob("*-of-*")):  # a try that was killed at its end
            path.rename(path.with_name(_NUMBER.sub("", path.name)))
        self.parts = self._read()
        self._clear()

    def _read(self) -> list[Part]:
        """The parts that are there whole, up to the first that is not."""
        try:
            held = json.loads((self.folder / _PARTS).read_bytes())
            if held["key"] != self._key:
                return []
            parts = [
                Part(**{**one, "files": {split: PartFile(**file) for split, file in one["files"].items()}})
                for one in held["parts"]
            ]
        except (OSError, ValueError, KeyError, TypeError):
            return []  # nothing was done, or what was done cannot be trusted
        for number, part in enumerate(parts):
            for file in part.files.values():
                path = self.folder / file.path
                if not path.is_file() or path.stat().st_size != file.bytes:
                    return parts[:number]
        return parts

    def _clear(self) -> None:
        """Remove every file that is of no part."""
        kept = {self.folder / file.path for part in self.parts for file in part.files.values()}
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in kept and path.name != _LOCK:
                path.unlink()

    def add(self, part: Part) -> None:
        """Note a part whose files are there and synced."""
        self.parts.append(part)
        held = {"key": self._key, "parts": [asdict(one) for one in self.parts]}
        path = self.folder / f"{_PARTS}.new"
        path.write_text(json.dumps(held), "utf-8")
        sync(path)
        path.replace(self.folder / _PARTS)
        sync(self.folder)


@contextmanager
def unfinished_folder(out: Path, key: str) -> Iterator[Unfinished]:
    """A folder to write parts in, which becomes `out` at the end: synced, then renamed.

    `key` says what is written: the same key goes on with what an earlier try finished. Where the inside
    fails, finished parts stay for that. Raises UserError where `out` is a file or holds anything, and where
    another process is writing it.
    """
    out = out.absolute()
    refuse_existing(out)
    place = out.with_name(f".{out.name}.unfinished")
    place.mkdir(parents=True, exist_ok=True)
    with (place / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{out}: another export is writing it; wait, or name another folder") from error
        found = Unfinished(place, key)
        try:
            yield found
        except BaseException:
            if not found.parts:
                shutil.rmtree(place)
            raise
        refuse_existing(out)  # before the last rename, which would replace an empty folder alone
        for name in (_PARTS, _LOCK):
            (place / name).unlink(missing_ok=True)
        for path in (*sorted(place.rglob("*")), place):
            sync(path)
        place.replace(out)
        sync(out.parent)


def refuse_existing(out: Path) -> None:
    """Raise UserError where `out` is a file or holds anything: nothing is overwritten."""
    if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is already there; remove it or name another folder")


def totals(parts: list[Part]) -> dict[tuple[str, str], dict[str, Any]]:
    """By source and split: documents, bytes of text and of files, and documents by language and licence."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for part in parts:
        for split, file in part.files.items():
            empty = {"documents": 0, "text_bytes": 0, "bytes": 0, "files": 0, "languages": {}, "licences": {}}
            mine = found.setdefault((part.source, split), empty)
            mine["files"] += 1
            for name in ("documents", "text_bytes", "bytes"):
                mine[name] += getattr(file, name)
            for name in ("languages", "licences"):
                for value, count in getattr(file, name).items():
                    mine[name][value] = mine[name].get(value, 0) + count
    return found
