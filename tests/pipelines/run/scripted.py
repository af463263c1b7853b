"""An engine whose every move is scripted, for tests of the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.run.engines.engine import Beat, Event, Order
from corpusmill.pipelines.run.scheduler import Listener, Policy, Scheduler, Unit
from corpusmill.pipelines.run.step import StageSpec
from corpusmill.pipelines.run.task import Task
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_records import made_task

Script = Callable[[int, Task], Event | None]


class Scripted:
    """An engine whose tasks end as `script(ticket, task)` says; None means: still running."""

    beats = True
    batch_seconds = 0.0

    def __init__(self, script: Script, slots: int = 2) -> None:
        self.slots = self.room = slots
        self.script = script
        self.running: dict[int, Task] = {}
        self.most = 0
        self.cancelled: list[int] = []
        self.closed = False

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        self.running.update(batch)
        self.most = max(self.most, len(self.running))

    def poll(self, timeout: float) -> list[Event]:
        events = []
        for ticket, task in list(self.running.items()):
            event = self.script(ticket, task)
            if event is not None:
                events.append(event)
                if not isinstance(event, Beat):
                    del self.running[ticket]
        return events

    def cancel(self, ticket: int) -> None:
        self.cancelled.append(ticket)
        del self.running[ticket]

    def close(self) -> None:
        self.closed = True


def make_units(tmp_path: Path, count: int, **more: Any) -> list[Unit]:
    stages = tuple(StageSpec("", "", name, {}) for name in ("jsonl", "first", "second"))
    return [Unit("web", n, made_task(n, stages=stages), StepFolder(tmp_path), **more) for n in range(count)]


def schedule(
    units: list[Unit], script: Script, policy: Policy | None = None, slots: int = 2
) -> tuple[list[int], Scripted]:
    engine, finished, waiting = Scripted(script, slots), [], [units]
    more = lambda: waiting.pop() if waiting else []  # noqa: E731
    Scheduler(
        engine, policy or Policy(), more, lambda unit, _: finished.append(unit.number), Listener()
    ).run()
    return finished, engine
