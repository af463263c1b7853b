"""Reads of tables that polars has under way in threads of its own, and their end.

A query with a LIMIT has its answer before the threads that read for it have stopped. Python ends by ending
threads that come back to it, which polars does not survive: the process aborts after a right answer. So
whoever has an answer ends the reads made for it, and the interpreter waits for those that are left.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")
_SECONDS = 5.0  # for a batch that is being read to be done
_ROUNDS = 0.05  # a thread that has dropped a read is given so long to leave Python


class LiveReads:
    """Iterators that polars is given, each counted until it has dropped it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._live = 0
        self._ended = False

    def read(self, batches: Iterator[T]) -> Iterator[T]:
        """The same batches, until `end` is called."""
        with self._changed:
            self._live += 1
        try:
            for batch in batches:
                if self._ended:
                    return
                yield batch
        finally:
            with self._changed:
                self._live -= 1
                self._changed.notify_all()

    def end(self, seconds: float = _SECONDS) -> bool:
        """Let no read give another batch; whether all have ended within these seconds."""
        with self._changed:
            self._ended = True
            return self._changed.wait_for(lambda: self._live == 0, seconds)


EVERYWHERE = LiveReads()  # those of frames that users have in hand, until the interpreter ends


def _end() -> None:
    EVERYWHERE.end()
    threading.Event().wait(_ROUNDS)


atexit.register(_end)
