"""A bound on the processor time of one piece of work, beyond which the worker ends.

Code of a library that never comes back to Python can be stopped by nothing else than a signal. Linux sends
SIGVTALRM once a process has used so much processor time of its own, and a process that does not listen for it
ends. The document that was in hand stands in a file then, which is written before (`naming`), so that it is
quarantined at once (see `blame`). Time of the processor, so a busy machine changes nothing. A process that is
not a worker's own, as with the engine `inline`, is never ended, and has no such bound.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_may_end = [False]
_NOTE = struct.Struct("<qq")  # as that of `marker.Marker`


def let_limits_end_this_process() -> None:
    """From now on limits hold: to be called by workers, which are replaced when they end."""
    _may_end[0] = True


class _Named:
    """The rows that work is done on: where to note the one in hand. The file is made with the first note."""

    def __init__(self, path: Path, stage: int, ordinals: npt.NDArray[np.int64]) -> None:
        self.path, self.stage, self.ordinals = path, stage, ordinals
        self._file: int | None = None

    def note(self, row: int | None) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
        found = (-1, -1) if row is None else (int(self.ordinals[row]), self.stage)
        os.pwrite(self._file, _NOTE.pack(*found), 0)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)


_named: list[_Named | None] = [None]


@contextmanager
def naming(path: Path | None, stage: int, ordinals: npt.NDArray[np.int64]) -> Iterator[None]:
    """Within, a row that `limited` is told of is noted in the file at `path` by its ordinal, with the number
    of its stage; `ordinals`: of each row. Nothing is noted without a path, or outside of workers."""
    if path is None or not _may_end[0]:
        yield
        return
    before, here = _named[0], _Named(path, stage, ordinals)
    _named[0] = here
    try:
        yield
    finally:
        here.close()
        _named[0] = before


@contextmanager
def limited(seconds: float, row: int | None = None) -> Iterator[None]:
    """End this process if the work inside uses more processor time than `seconds`, in a worker.

    `row`: of the documents that the stage was given, the one that the work is on.
    """
    if not _may_end[0]:
        yield
        return
    if (named := _named[0]) is not None:
        named.note(row)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
