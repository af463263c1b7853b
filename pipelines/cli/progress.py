"""Progress of a run on standard error: bars for what is under way on a terminal, plain lines elsewhere.

Both show units done and megabytes a second of each step; the bars also show the time left and the workers'
memory, and give way to the same plain line once a step is done. NO_COLOR and dumb terminals are honoured
(by rich).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.unit_progress import UnitProgress
from corpusmill.pipelines.recipe.environment import hide_values
from corpusmill.pipelines.run.runner import RunListener
from corpusmill.pipelines.run.scheduler import Unit
from corpusmill.pipelines.run.step_state import StepState
from corpusmill.pipelines.run.task import Executed
from corpusmill.pipelines.system.terminal import guard_streams, harmless, one_line, unguarded

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


EVERY_SECONDS = 30.0  # between plain lines of one long unit
MANY_PARTS = 100_000  # of a unit, beyond which a percentage tells more


class PlainProgress(RunListener):
    """A line when a step starts and one when it is done; one line for all steps in a row used as they are.
    Every half minute a line tells how far a unit has got that takes long."""

    def __init__(self) -> None:
        self._told = -EVERY_SECONDS
        self._started: dict[str, float] = {}
        self._bytes: dict[str, int] = {}
        self._units: dict[str, int] = {}  # done in this run
        self._done: dict[str, StepState] = {}  # whose last unit has yet to be told
        self._reused: list[str] = []

    @property
    def began(self) -> bool:
        """Whether any step was begun, rather than used as it is."""
        return bool(self._started)

    def say(self, line: str) -> None:
        """Print a line, after what is owed about steps used as they are."""
        reused, self._reused = self._reused, []
        if len(reused) == 1:
            self._write(f"{reused[0]}: unchanged, used as it is")
        elif reused:
            self._write(f"{reused[0]} ... {reused[-1]}: {len(reused)} steps unchanged, used as they are")
        if line:
            self._write(line)

    def close(self) -> None:
        """Say what is still owed."""
        self.say("")

    def _write(self, line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def step_started(self, state: StepState) -> None:
        self._started[state.step.name] = time.monotonic()
        kept = f", {state.done} done before" if state.done else ""
        self.say(f"{state.step.name}: {state.total} unit{'s' if state.total != 1 else ''}{kept}")

    def unit_done(self, unit: Unit, done: Executed) -> None:
        self._bytes[unit.step] = self._bytes.get(unit.step, 0) + unit.weight
        self._units[unit.step] = self._units.get(unit.step, 0) + 1
        if unit.step in self._done:
            self._finished(self._done.pop(unit.step))

    def unit_event(self, unit: Unit, what: str, detail: str) -> None:
        last = detail.strip().splitlines()[-1] if detail.strip() else ""
        self.say(f"{unit.step}: unit {unit.number}: {what}: {last}")

    def unit_progress(self, unit: Unit, progress: UnitProgress) -> None:
        now = time.monotonic()
        if now - self._told >= EVERY_SECONDS:
            self._told = now
            which = "" if unit.solo else f"unit {unit.number}: "
            self.say(f"{unit.step}: {which}{how_far(progress)}: {progress.text}")

    def step_done(self, state: StepState) -> None:
        name = state.step.name
        if state.reused:
            self._reused.append(name)
        elif state.redone > self._units.get(name, 0):  # the last unit is told after its step
            self._done[name] = state
        else:
            self._finished(state)

    def _finished(self, state: StepState) -> None:
        name = state.step.name
        seconds = time.monotonic() - self._started.get(name, time.monotonic())
        rate = self._rate(name, seconds) if seconds > 0.05 else ""
        self.say(f"{name}: done in {seconds:.1f} s{', ' if rate else ''}{rate}")

    def _rate(self, name: str, seconds: float) -> str:
        from corpusmill.pipelines.inspection.plain_text import size as bytes_in_words

        size = self._bytes.get(name, 0)
        return f"{bytes_in_words(size / max(seconds, 1e-3))}/s" if size else ""


def how_far(progress: UnitProgress) -> str:
    """`40/200` of few parts, as steps of a training are, else a percentage."""
    if progress.total < MANY_PARTS:
        return f"{progress.done}/{progress.total}"
    return f"{progress.share:.0%}"


class LiveProgress(PlainProgress):
    """A bar for each step under way, above them a line for each that is done.

    A bar counts units, with what is done of those at work; where a unit has the engine to itself, as a
    training has, its bar counts the parts of the unit.
    """

    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._watched: set[str] = set()  # whose bar shows the parts of one unit
        self._finished_units: dict[str, int] = {}
        self._shares: dict[str, dict[int, float]] = {}  # by step and unit at work: what is done of it
        self._memory = 0

    def _write(self, line: str) -> None:
        self._bars.console.print(harmless(hide_values(line)), markup=False, highlight=False)

    def step_started(self, state: StepState) -> None:
        name = state.step.name
        self._started[name] = time.monotonic()
        self._finished_units[name], self._shares[name] = state.done, {}
        self._tasks[name] = self._bars.add_task(
            name, total=state.total, completed=state.done, rate="", memory=self._held()
        )

    def unit_done(self, unit: Unit, done: Executed) -> None:
        super().unit_done(unit, done)
        if unit.step in self._tasks:
            seconds = time.monotonic() - self._started[unit.step]
            self._finished_units[unit.step] += 1
            self._shares[unit.step].pop(unit.number, None)
            self._bars.update(
                self._tasks[unit.step],
                completed=None if unit.step in self._watched else self._units_done(unit.step),
                rate=self._rate(unit.step, seconds),
                memory=self._held(),
            )

    def _units_done(self, step: str) -> float:
        """Units that are done, and the shares of those at work."""
        return self._finished_units[step] + sum(self._shares[step].values())

    def unit_progress(self, unit: Unit, progress: UnitProgress) -> None:
        if unit.step not in self._tasks:
            return
        if not unit.solo:
            self._shares[unit.step][unit.number] = progress.share
            self._bars.update(self._tasks[unit.step], completed=self._units_done(unit.step))
        else:
            self._watched.add(unit.step)
            self._bars.update(
                self._tasks[unit.step],
                total=progress.total,
                completed=progress.done,
                rate=one_line(progress.text),
            )

    def memory(self, resident: int) -> None:
        self._memory = max(0, resident)
        for task in self._tasks.values():
            self._bars.update(task, memory=self._held())

    def _finished(self, state: StepState) -> None:
        super()._finished(state)
        if state.step.name in self._tasks:
            self._bars.remove_task(self._tasks.pop(state.step.name))

    def _held(self) -> str:
        return f"{self._memory / 2**30:.2f} GiB" if self._memory else ""


class EstimateProgress(RunListener):
    """How far the run of a cut has got from which `plan` estimates: how many of its steps are done.

    `tell`: shows the steps done, and words for what is at work.
    """

    def __init__(self, tell: Callable[[int, str], None]) -> None:
        self._tell = tell
        self._done: set[str] = set()

    def step_started(self, state: StepState) -> None:
        self._tell(len(self._done), f"{state.step.name} is run on a cut of the input")

    def unit_progress(self, unit: Unit, progress: UnitProgress) -> None:
        self._tell(len(self._done), f"{unit.step}: {how_far(progress)}: {one_line(progress.text)}")

    def step_done(self, state: StepState) -> None:
        self._done.add(state.step.name)
        self._tell(len(self._done), f"{state.step.name} is done")


@contextmanager
def estimating(steps: int) -> Iterator[RunListener]:
    """The listener for an estimate of a recipe of so many steps: one bar, which leaves nothing behind, or
    without a terminal a line every half minute."""
    if not sys.stderr.isatty():
        told = time.monotonic()

        def tell(done: int, words: str) -> None:
            nonlocal told
            if (now := time.monotonic()) - told >= EVERY_SECONDS:
                told = now
                sys.stderr.write(f"estimate: {done} of {steps} steps: {words}\n")
                sys.stderr.flush()

        yield EstimateProgress(tell)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("estimate"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}", markup=False),
    )
    with Progress(*columns, console=Console(file=unguarded(sys.stderr)), transient=True) as bars:
        guard_streams(hide_values)
        bar = bars.add_task("estimate", total=steps, words="")
        yield EstimateProgress(lambda done, words: bars.update(bar, completed=done, words=harmless(words)))


@contextmanager
def progress() -> Iterator[PlainProgress]:
    """The listener that suits standard error."""
    logging.basicConfig(level="WARNING", format="%(message)s", stream=sys.stderr)
    if not sys.stderr.isatty():
        plain = PlainProgress()
        try:
            yield plain
        finally:
            plain.close()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
        TextColumn("{task.fields[memory]}", markup=False),
    )
    # The bars write escape sequences of their own, so they write to the stream itself.
    with Progress(*columns, console=Console(file=unguarded(sys.stderr))) as bars:
        guard_streams(
            hide_values
        )  # rich has put its own streams in their place; it puts them back at the end
        live = LiveProgress(bars)
        try:
            yield live
        finally:
            live.close()
