"""What a careful attempt has in hand, on disk, so that whoever finds its worker dead can name it."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

# Ordinals below this number documents of a unit in order; from here on its parts: input files, ranges of
# them, groups of rows. A part may take the time of a unit, a document that of a document.
PARTS = 2**48


class SuspectPassed(Exception):  # noqa: N818  # named for what happened; it ends an attempt and is no error
    """The one document or part that an attempt was for did its worker no harm."""


class Marker:
    """16 bytes on disk: the ordinal of the document or part in hand, and the number of its stage in the step.

    Stage -1: nothing is in hand, because the unit is reading or writing; the ordinal still tells how far it
    got, so that progress shows and no innocent document is blamed.

    `alone`: the attempt is for this document or part and works on no other (see `skips`). Once it was in
    hand, the next note raises SuspectPassed.
    """

    def __init__(self, path: Path, alone: int | None = None) -> None:
        self.alone = alone
        self._met = False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<qq", -1, -1))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)

    def skips(self, ordinal: int) -> bool:
        """Whether the attempt has nothing to do with a document or part, since it is for another.

        The documents of a part belong to it.
        """
        return self.alone is not None and ordinal != self.alone and not ordinal < PARTS <= self.alone

    @property
    def skips_documents(self) -> bool:
        """Whether the attempt is for a part, such as a range of a file, and not for what is read from it."""
        return self.alone is not None and self.alone >= PARTS

    def note(self, ordinal: int, stage: int) -> None:
        here = ordinal == self.alone and stage >= 0
        if self._met and not here:
            raise SuspectPassed
        self._met = here
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
