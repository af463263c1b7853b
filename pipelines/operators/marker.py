"""What a careful attempt has in hand, on disk, so that whoever finds its worker dead can name it."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

# Ordinals below this number documents of a unit in order; from here on its parts: input files, ranges of
# them, groups of rows. A part may take the time of a unit, a document that of a document.
PARTS = 2**48


class Marker:
    """16 bytes on disk: the ordinal of the document or part in hand, and the number of its stage in the step.

    Stage -1: nothing is in hand, because the unit is reading or writing; the ordinal still tells how far it
    got, so that progress shows and no innocent document is blamed.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<qq", -1, -1))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)

    def note(self, ordinal: int, stage: int) -> None:
        self._map[:] = struct.pack("<qq", ordinal, stage)

    def rest(self, ordinal: int) -> None:
        """Nothing is in hand; `ordinal` are done."""
        self.note(ordinal, -1)

    @staticmethod
    def read(path: Path) -> tuple[int, int] | None:
        """(ordinal, stage), stage -1 with nothing in hand; None where no marker was written."""
        try:
            ordinal, stage = struct.unpack("<qq", path.read_bytes())
        except (FileNotFoundError, struct.error):
            return None
        return ordinal, stage


def named(ordinal: int) -> str:
    """An ordinal for people: `document 7`, or `part 2` of a unit's files, ranges or groups."""
    return f"document {ordinal}" if ordinal < PARTS else f"part {ordinal - PARTS}"
