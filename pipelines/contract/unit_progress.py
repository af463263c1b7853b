"""How far one long unit has got, noted in its scratch folder for whoever watches the run.

A note is a few words for people, replaced as work goes on. It is no part of the output, and nothing depends
on it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_NAME = "progress.json"


@dataclass(frozen=True)
class UnitProgress:
    """`done` of `total` parts, and what else there is to say."""

    done: int
    total: int
    text: str


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
