"""When the end of one rank ends the others."""

from __future__ import annotations

from collections.abc import Iterable

from corpusmill.training_hooks.launch.fault import End

TELLING_SECONDS = 2.0  # that a lost rank's end may be seen after those of ranks that lost it
TOGETHER_SECONDS = 60.0  # that ranks which were asked to stop may end after the first of them
_WAIT = (0.0, TOGETHER_SECONDS, TELLING_SECONDS)  # by how much an end tells


class Ending:
    """The time from which ranks that are left are ended: at once after an end that tells why, a moment later
    after one that may follow from another."""

    def __init__(self) -> None:
        self._from = float("inf")

    def due(self, ends: Iterable[End], now: float) -> bool:
        """Whether that time has come, given how ranks ended so far; `now` in monotonic seconds."""
        bad = [end.telling for end in ends if not end.well]
        if bad:
            self._from = min(self._from, now + _WAIT[min(bad)])
        return now >= self._from
