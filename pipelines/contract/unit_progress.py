"""How far one long unit has got, noted in its scratch folder for whoever watches the run.

A note is a few words for people, replaced as work goes on. It is no part of the output, and nothing depends
on it. Whatever does the unit's work calls `note_progress`, wherever it stands: nothing is written in a unit's
first `AFTER_SECONDS`, nor oftener than every `EVERY_SECONDS`, so that short units cost nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

_NAME = "progress.json"
AFTER_SECONDS = 3.0
EVERY_SECONDS = 1.0
_FINE = 1000  # steps that one of several parts is divided into


@dataclass(frozen=True)
class UnitProgress:
    """`done` of `total` parts, and what else there is to say."""

    done: int
    total: int
    text: str

    @property
    def share(self) -> float:
        """The share that is done, 0 to 1."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total > 0 else 0.0


@dataclass
class _Watch:
    """The unit in hand: its scratch folder, made when first asked for, and which part of it is at work."""

    scratch: Callable[[], Path]
    due: float
    part: tuple[int, int] = (0, 1)


_watch: ContextVar[_Watch | None] = ContextVar("the unit whose progress is noted", default=None)


@contextmanager
def progress_noted(scratch: Callable[[], Path]) -> Iterator[None]:
    """Within, `note_progress` writes to the folder that `scratch` makes."""
    token = _watch.set(_Watch(scratch, time.monotonic() + AFTER_SECONDS))
    try:
        yield
    finally:
        _watch.reset(token)


def note_part(index: int, count: int) -> None:
    """What is noted from here on is of part `index`, from 0, of `count` that the unit has."""
    watch = _watch.get()
    if watch is not None:
        watch.part = (index, count)


def note_progress(done: int, total: int, text: str) -> None:
    """Note that `done` of `total` are done of the unit, or of the part at work. Does nothing where no unit is
    watched."""
    watch = _watch.get()
    if watch is None or (now := time.monotonic()) < watch.due:
        return
    watch.due = now + EVERY_SECONDS
    index, count = watch.part
    if count > 1:
        done = index * _FINE + (done * _FINE // total if total else 0)
        total, text = count * _FINE, f"part {index + 1:,} of {count:,}, {text}"
    write_progress(watch.scratch(), done, total, text)


def write_progress(scratch: Path, done: int, total: int, text: str) -> None:
    """Replace the note. It is not synced: a crash may lose it."""
    temporary = scratch / f".{_NAME}.tmp"
    temporary.write_text(json.dumps([done, total, text]), encoding="utf-8")
    temporary.replace(scratch / _NAME)


def read_progress(scratch: Path) -> UnitProgress | None:
    """The note, or None where there is none (or none that a crash left whole)."""
    try:
        done, total, text = json.loads((scratch / _NAME).read_bytes())
    except (OSError, ValueError):
        return None
    return UnitProgress(int(done), int(total), str(text))
