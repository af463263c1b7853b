"""What the batches under way take: slots, memory, and whether one of them wants to be alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.pipelines.run.unit import Unit


@dataclass(eq=False)
class Batch:
    """Units that one worker does one after the other.

    `left`: units not ended; `memory`: the most that one of them is expected to hold, `rss` what their worker
    holds, in bytes; `exclusive`: whether nothing may run beside it.
    """

    left: int
    memory: int
    exclusive: bool
    rss: int = 0

    @classmethod
    def of(cls, units: Sequence[Unit]) -> Batch:
        memory = max(unit.memory for unit in units)
        return cls(len(units), memory, any(unit.exclusive for unit in units))

    @property
    def claim(self) -> int:
        return max(self.rss, self.memory)


class Load:
    """The sums over all batches under way, kept as they come and go. `limit`: bytes for all of them."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._claimed = 0
        self._exclusive = 0
        self.batches = 0
        self.resident = 0

    def admits(self, unit: Unit) -> bool:
        """Whether one more unit may run. One always may, or nothing ever would."""
        if not self.batches:
            return True
        if unit.exclusive or self._exclusive:
            return False
        return self._limit is None or self._claimed + unit.memory <= self._limit

    def begin(self, batch: Batch) -> None:
        self.batches += 1
        self._claimed += batch.claim
        self._exclusive += batch.exclusive

    def beat(self, batch: Batch, rss: int) -> None:
        """Note what the worker of a batch holds."""
        before = batch.claim
        self.resident += rss - batch.rss
        batch.rss = rss
        self._claimed += batch.claim - before

    def end(self, batch: Batch) -> None:
        """Note the end of one unit of a batch, and of the batch with its last one."""
        batch.left -= 1
        if not batch.left:
            self.batches -= 1
            self.resident -= batch.rss
            self._claimed -= batch.claim
            self._exclusive -= batch.exclusive
