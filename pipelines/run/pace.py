"""How long units of a step take: for how many go into a batch, and which ones are late."""

from __future__ import annotations

from collections import deque
from statistics import median

MOST_UNITS = 250  # of one batch
_LAST = 101  # units whose median is taken
_LEAST_SECONDS = 0.002  # what a worker spends on a unit of nothing


class Pace:
    """The seconds that units of one step took, with their weights (bytes of input)."""

    def __init__(self) -> None:
        self.count = 0
        self._seconds = 0.0
        self._weight = 0
        self._last: deque[float] = deque(maxlen=_LAST)

    def note(self, seconds: float, weight: int) -> None:
        """Note a unit that was done."""
        self.count += 1
        self._seconds += seconds + _LEAST_SECONDS
        self._weight += weight
        self._last.append(seconds)

    def estimate(self, weight: int) -> float:
        """Seconds that a unit is expected to take: half the mean, and half by its weight. Infinite while no
        unit was done."""
        if not self.count:
            return float("inf")
        mean = self._seconds / self.count
        return mean if not self._weight else (mean + self._seconds / self._weight * weight) / 2

    def most(self, slots: int) -> int:
        """Units that one batch may have: 1 at first, then more as more were done.

        A slot's batch is at most half of what each slot has done on average, so that at the end of a step no
        slot works long after the others are idle.
        """
        return max(1, min(MOST_UNITS, self.count // (2 * max(1, slots))))

    @property
    def median(self) -> float:
        """Median seconds of the last units. Raises StatisticsError where there are none."""
        return median(self._last)
