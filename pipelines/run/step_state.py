"""One step in a run: its folder, its key, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from corpusmill.pipelines.records.manifest import StepKey
from corpusmill.pipelines.run.levels import Levels
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.run.unit import Unit
from corpusmill.pipelines.storage.committed import Committed
from corpusmill.pipelines.storage.run_folder import StepFolder


@dataclass
class StepState:
    """One step in this run. `reused`: it was complete before the run began."""

    step: Step
    folder: StepFolder | None = None
    key: StepKey | None = None
    fingerprint: str = ""
    total: int = 0
    committed: Committed | None = None  # of a step that is not complete
    levels: Levels | None = None  # likewise
    make: Callable[[int, object], Unit] | None = None  # likewise; from its number and specification
    opened: bool = False  # whether its units were listed; not before what it needs is there
    complete: bool = False
    reused: bool = False
    remade: bool = False  # done again since its files were not kept
    redone: int = 0  # units executed now
    adopted: int = 0  # units taken over from an earlier version of the step
    seconds: float = 0.0  # work of units executed now

    def advance(self) -> bool:
        """As `Levels.advance`."""
        assert self.levels is not None
        more = self.levels.advance()
        self.total, self.adopted = self.levels.total, self.levels.adopted
        return more

    def pending(self) -> Iterator[Unit]:
        """The units of this level that are not committed, made as they are asked for."""
        assert self.levels is not None
        assert self.make is not None
        return (self.make(number, spec) for number, spec in self.levels.pending())

    @property
    def done(self) -> int:
        """Units that are committed."""
        return self.total if self.complete else len(self.committed or ())
