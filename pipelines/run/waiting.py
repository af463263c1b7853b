"""Units that wait for a worker: a million new ones without holding them, and those to be tried again."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from corpusmill.pipelines.run.unit import Unit


class Waiting:
    """The scheduler's queue: units to be tried again come first, then new ones in the order they were added.

    What is added may be an iterator over units that do not exist yet: one is drawn when a worker is there
    for it, and no more than one is held. A unit whose `not_before` lies ahead waits aside, and others
    overtake it. An operation takes O(log n) of the units aside.
    """

    def __init__(self) -> None:
        self._again: deque[Unit] = deque()
        self._aside: list[tuple[float, int, Unit]] = []  # a heap
        self._numbers = count()
        self._new: deque[tuple[Iterator[Unit], bool]] = deque()
        self._head: Unit | None = None  # the next new one
        self._dropped: set[str] = set()
        self._ended = False
        self.steps: dict[str, int] = {}  # steps in the order of their first unit, numbered

    def add(self, units: Iterable[Unit]) -> None:
        """Add new units behind all others; an iterator is drawn from only as workers are free."""
        lazy = not isinstance(units, Sequence)
        if lazy or units:
            self._new.append((iter(units), lazy))

    def again(self, unit: Unit, now: float) -> None:
        """Put a unit before all others, or aside until `not_before`."""
        if unit.not_before > now:
            heapq.heappush(self._aside, (unit.not_before, next(self._numbers), unit))
        else:
            self._again.appendleft(unit)

    def drop(self, step: str) -> None:
        """Forget every unit of a step, those that have yet to be drawn included."""
        self._dropped.add(step)
        self._aside = [entry for entry in self._aside if entry[2].step != step]
        heapq.heapify(self._aside)

    def next(self, now: float) -> Unit | None:
        """The unit that is due first, which stays; None where none is."""
        while self._aside and self._aside[0][0] <= now:
            self._again.append(heapq.heappop(self._aside)[2])
        while self._again and self._again[0].step in self._dropped:
            self._again.popleft()
        return self._again[0] if self._again else self._next_new()

    def take(self) -> Unit:
        """Take out the unit that `next` gave."""
        if self._again:
            return self._again.popleft()
        unit, self._head = self._head, None
        assert unit is not None, "nothing was due"
        return unit

    def lazily_ended(self) -> bool:
        """Whether an iterator has come to its end since this was last asked."""
        ended, self._ended = self._ended, False
        return ended

    def __bool__(self) -> bool:
        """Whether any unit waits, aside or not."""
        return bool(self._aside) or self.next(float("-inf")) is not None

    def _next_new(self) -> Unit | None:
        while self._head is None or self._head.step in self._dropped:
            if not self._new:
                self._head = None
                return None
            units, lazy = self._new[0]
            self._head = next(units, None)
            if self._head is None:
                self._new.popleft()
                self._ended = self._ended or lazy
            else:
                self.steps.setdefault(self._head.step, len(self.steps))
        return self._head
