"""The units of a step, level by level.

Most steps have one level. One with more, such as the combination of partial results in a tree, is asked for
the units of its next level when all units before it are committed; it sees their receipts. Numbers of units
run through all levels. What a level is made of follows from the levels before it, so that a run that goes on
finds the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any

from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.run.operators.job import Done, Preparation
from corpusmill.pipelines.run.reuse import Earlier, adopt, unit_key
from corpusmill.pipelines.storage.committed import Committed
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.system.process import sync


class Levels:
    """The levels of a step, whose receipts so far are `committed`."""

    def __init__(self, preparation: Preparation, committed: Committed) -> None:
        self._preparation, self._committed = preparation, committed
        self._counts: list[int] = []
        self._missing = 0  # units of the level at work that are not committed
        self._specs: Sequence[Any] = ()
        self._adopt: Callable[[int, Sequence[Any]], None] | None = None
        self.adopted = 0  # units taken over so far

    @property
    def total(self) -> int:
        """Units of all levels so far."""
        return sum(self._counts)

    def adopt_from(self, folder: StepFolder, base: str, *, prove: bool) -> None:
        """Let `advance` take over units from earlier versions of the step. `prove`: as `Earlier`."""
        self._forget_others(base)
        earlier = Earlier(folder, prove=prove)
        self._adopt = partial(self._take_over, folder, base, earlier) if earlier else None

    def _take_over(
        self, folder: StepFolder, base: str, earlier: Earlier, first: int, specs: Sequence[Any]
    ) -> None:
        """Take over units of a level, whose first one has the number `first`."""
        before = self.adopted
        operator = self._preparation.step.operator
        for number, key in self._keys(base, first, specs):
            place = earlier.find(key) if number not in self._committed else None
            if place is not None:
                receipt = adopt(folder, number, *place, partial(operator.placed, specs[number - first]))
                if operator.has_levels:  # whose units read it
                    folder.write_receipt(number, receipt)
                self._committed.add(receipt)
                self.adopted += 1
        if self.adopted > before:
            sync(folder.data)

    def _forget_others(self, base: str) -> None:
        """Of an index that was interrupted, let all be done again where units have other files by now.

        Files are put together by their sizes, and that of a repository of git depends on how it is packed.
        """
        if self._preparation.step.operator.reads == "files" and len(self._committed):
            wanted = dict(self.keys(base))
            if any(key not in (None, wanted.get(number)) for number, key in self._committed.keys().items()):
                self._committed.forget()

    def keys(self, base: str) -> Iterator[tuple[int, str]]:
        """Numbers and keys of units of the first level that have one."""
        return self._keys(base, 0, self._first)

    def _keys(self, base: str, first: int, specs: Sequence[Any]) -> Iterator[tuple[int, str]]:
        operator = self._preparation.step.operator
        for number, spec in enumerate(specs, first):
            content = operator.content(self._preparation, spec)
            if content is not None:
                yield number, unit_key(base, content)

    def count(self) -> tuple[int, bool]:
        """How many units there are in all levels, as far as is known before the first is done, and whether
        these are all."""
        first = len(self._first)
        later = self._preparation.step.operator.later(self._preparation, first)
        return first + (later or 0), later is not None

    @cached_property
    def _first(self) -> Sequence[Any]:
        """The first level, listed once: files, whose sizes bound units, may change meanwhile."""
        return self._preparation.step.operator.units(self._preparation)

    def advance(self) -> bool:
        """Go on to the next level that has units to do. False where there is none: the step is done.

        Call it when all units so far are committed.
        """
        operator = self._preparation.step.operator
        while True:
            if not self._counts:
                self._specs = self._first
            else:
                done = Done(tuple(self._counts), self._committed)
                self._specs = operator.then(self._preparation, done)
                if not len(self._specs):
                    return False
            first = self.total
            self._counts.append(len(self._specs))
            if self._adopt is not None:
                self._adopt(first, self._specs)
            self._missing = sum(number not in self._committed for number in range(first, self.total))
            if self._missing:
                return True

    def commit(self, receipt: Receipt) -> bool:
        """Enter a unit that has just been done. Returns whether it was the last one of its level.

        Of a run that goes on, units of later levels may be committed already.
        """
        self._missing -= receipt.unit not in self._committed
        self._committed.add(receipt)
        return not self._missing

    def pending(self) -> Iterator[tuple[int, Any]]:
        """Numbers and specifications of this level's units that are not committed, as they are asked for."""
        first = self.total - self._counts[-1]
        return (
            (first + place, spec)
            for place, spec in enumerate(self._specs)
            if first + place not in self._committed
        )
