"""The line of a cell's copies, as far as sums by bins tell: where phases end, to a bin or a few.

Copies of a cell stand in a line: epoch after epoch all of its documents, in the order of
`(draw, id, unit, row)`. Which view of a document a copy has (`contract.encoded_views`) follows from the phase
and epoch that it begins in. A phase takes the line from where the phase before ended.

Where all phases have the views alike, their ends follow from sums alone, to the bin. Otherwise an end that
lies somewhere in a bin leaves it open where the next phase ends: by how much the views of the bin's documents
differ, and by the bin. Those few bins are all looked at (`Walk.bins`), so that the exact place is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpusmill.mixtures.plan.histogram import CellSums

Views = Sequence[Sequence[int]]


@dataclass(frozen=True)
class At:
    """A place on the line: an epoch, and the number of one of the cell's bins in it."""

    epoch: int
    place: int


class Walk:
    """The phases of one cell, taken one after the other.

    `views`: the view of a copy by phase and epoch; the last of a phase stands for later epochs. `taken`:
    tokens of the phases so far; `bins`: numbers of the cell's bins whose documents are to be looked at."""

    def __init__(self, sums: CellSums, views: Views) -> None:
        self.sums, self.views = sums, views
        zero = np.zeros((len(sums.tokens), 1), np.int64)
        self.ends = np.concatenate([zero, np.cumsum(sums.tokens, axis=1)], axis=1)
        self.taken: list[int] = []
        self.bins: set[int] = set()
        self._first = self._last = At(0, 0)  # between the beginnings of these bins the next phase begins
        self._alike = all(list(one) == list(views[0]) for one in views) and len(set(views[0])) == 1

    def view(self, phase: int, epoch: int) -> int:
        """The view of a copy that begins in this phase and epoch."""
        mine = self.views[min(phase, len(self.views) - 1)]
        return mine[min(epoch, len(mine) - 1)]

    def total(self, phase: int, epoch: int) -> int:
        """Tokens of a whole epoch."""
        return int(self.ends[self.view(phase, epoch), -1])

    def room(self, max_epochs: float) -> int:
        """Tokens that the next phase may take: as far as the line goes on for `max_epochs`. Where it is open
        within which bin the phase begins, as if it began behind the last one."""
        phase, whole = len(self.taken), int(max_epochs)
        part = int(max_epochs * self.total(phase, whole)) - whole * self.total(phase, whole)
        if self._alike or not any(self.taken):
            most = sum(self.total(phase, epoch) for epoch in range(whole)) + part
            return max(0, most - sum(self.taken))
        at = self._last
        if at.epoch > whole:
            return 0
        gone = int(self.ends[self.view(phase, at.epoch), at.place])
        most = sum(self.total(phase, epoch) for epoch in range(at.epoch, whole)) + part
        return max(0, most - gone)

    def take(self, tokens: int) -> None:
        """The next phase takes so many tokens."""
        phase = len(self.taken)
        self.taken.append(tokens)
        if tokens == 0 or self.ends[0, -1] == 0:
            return
        if self._alike:
            first = last = self._walk(At(0, 0), sum(self.taken), phase)
        else:
            first = self._walk(self._first, max(0, tokens - self._open()), phase)
            last = self._walk(self._last, tokens, phase)
        self.bins |= set(self._between(first, last))
        self._first = first
        # Behind the bin it ends in; at the beginning of an epoch nothing of it is taken.
        inside = last.place < len(self.sums.bins)
        self._last = At(last.epoch, last.place + 1) if inside else At(last.epoch + 1, 0)

    def _open(self) -> int:
        """Most tokens that the next phase may take of the copy that the one before ended in."""
        places = [] if self._first == self._last else self._between(self._first, self._last)
        return max((int(self.sums.tokens[:, place].max()) for place in places), default=0)

    def _walk(self, start: At, tokens: int, phase: int) -> At:
        """The bin in which so many tokens from a bin's beginning end."""
        epoch = start.epoch
        end = int(self.ends[self.view(phase, epoch), start.place]) + tokens
        while (total := self.total(phase, epoch)) <= end and total:
            end, epoch = end - total, epoch + 1
        ends = self.ends[self.view(phase, epoch)]
        place = int(np.searchsorted(ends, end, side="right")) - 1 if end else 0
        return At(epoch, place)

    def _between(self, first: At, last: At) -> list[int]:
        count = len(self.sums.bins)
        if first.epoch == last.epoch:
            return list(range(first.place, min(last.place + 1, count)))
        if first.epoch + 1 == last.epoch:
            return [*range(first.place, count), *range(min(last.place + 1, count))]
        return list(range(count))
