"""Progress of a run on standard error: a live table on a terminal, plain lines elsewhere.

Both show, for each step, units done, megabytes a second, the time left and the workers' memory. NO_COLOR and
dumb terminals are honoured (by rich).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from corpusmill.pipelines.runner import RunListener, StepState
from corpusmill.pipelines.scheduler import Unit
from corpusmill.pipelines.storage import Json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class PlainProgress(RunListener):
    """One line when a step starts and one when it is done; nothing for steps used as they are."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._bytes: dict[str, int] = {}

    def _say(self, line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def step_started(self, state: StepState) -> None:
        self._started[state.step.name] = time.monotonic()
        kept = f", {len(state.receipts)} done before" if state.receipts else ""
        self._say(f"{state.step.name}: {state.total} unit{'s' if state.total != 1 else ''}{kept}")

    def unit_done(self, unit: Unit, receipt: Json) -> None:
        self._bytes[unit.step] = self._bytes.get(unit.step, 0) + unit.weight

    def unit_event(self, unit: Unit, what: str, detail: str) -> None:
        self._say(
            f"{unit.step}: unit {unit.number}: {what}: {detail.strip().splitlines()[-1] if detail else ''}"
        )

    def step_done(self, state: StepState) -> None:
        if state.reused:
            self._say(f"{state.step.name}: unchanged, used as it is")
            return
        seconds = time.monotonic() - self._started.get(state.step.name, time.monotonic())
        size = self._bytes.get(state.step.name, 0)
        rate = f", {size / 1e6 / seconds:.1f} MB/s" if size and seconds > 0.05 else ""
        self._say(f"{state.step.name}: done in {seconds:.1f} s{rate}")


class LiveProgress(RunListener):
    """A bar for each step under way."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._bytes: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._memory = 0

    def step_started(self, state: StepState) -> None:
        name = state.step.name
        self._started[name] = time.monotonic()
        self._tasks[name] = self._bars.add_task(
            name, total=state.total, completed=len(state.receipts), rate="", memory=""
        )

    def unit_done(self, unit: Unit, receipt: Json) -> None:
        name = unit.step
        self._bytes[name] = self._bytes.get(name, 0) + unit.weight
        seconds = max(time.monotonic() - self._started[name], 1e-3)
        rate = f"{self._bytes[name] / 1e6 / seconds:.1f} MB/s" if self._bytes[name] else ""
        self._bars.update(self._tasks[name], advance=1, rate=rate, memory=self._held())

    def unit_event(self, unit: Unit, what: str, detail: str) -> None:
        last = detail.strip().splitlines()[-1] if detail else ""
        self._bars.console.print(f"{unit.step}: unit {unit.number}: {what}: {last}", markup=False)

    def memory(self, resident: int) -> None:
        self._memory = max(0, resident)
        for task in self._bars.tasks:
            if not task.finished:
                self._bars.update(task.id, memory=self._held())

    def step_done(self, state: StepState) -> None:
        name = state.step.name
        if name in self._tasks:
            self._bars.update(self._tasks[name], completed=state.total)
        else:
            self._bars.console.print(f"{name}: unchanged, used as it is", markup=False)

    def _held(self) -> str:
        return f"{self._memory / 2**30:.2f} GiB" if self._memory else ""


@contextmanager
def progress() -> Iterator[RunListener]:
    """The listener that suits standard error."""
    logging.basicConfig(level="WARNING", format="%(message)s", stream=sys.stderr)
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[memory]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield LiveProgress(bars)
