"""Small units go to a worker together, are drawn as workers are free, and are told one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.pipelines.run import scheduler
from corpusmill.pipelines.run.blame import Patience
from corpusmill.pipelines.run.engines.engine import Beat, Culprit, Died, Done, Event, Order, Returned
from corpusmill.pipelines.run.pace import MOST_UNITS, Pace
from corpusmill.pipelines.run.scheduler import Listener, Policy, Scheduler, Unit
from corpusmill.pipelines.run.task import Task
from tests.made_records import DONE
from tests.pipelines.run.scripted import Scripted, make_units

AT_ONCE = Policy(retries=0, patience=Patience(pause=0))


class Batching(Scripted):
    """Takes batches: every poll ends the first one under way as `ends(orders)` says."""

    def __init__(self, ends: Callable[[Sequence[Order]], list[Event]], slots: int = 1, room: int = 1) -> None:
        super().__init__(lambda *_: None, slots)
        self.room, self.batch_seconds, self.ends = room, 40.0, ends
        self.batches: list[list[int]] = []  # numbers of units, by batch
        self.waiting: list[Sequence[Order]] = []

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        self.batches.append([task.number for _, task in batch])
        self.waiting.append(batch)
        self.most = max(self.most, len(self.waiting))

    def poll(self, timeout: float) -> list[Event]:
        return self.ends(self.waiting.pop(0)) if self.waiting else []


def done(orders: Sequence[Order], seconds: float = 1.0) -> list[Event]:
    return [Done(ticket, replace(DONE, seconds=seconds)) for ticket, _ in orders]


def run(engine: Batching, units: Sequence[Unit] | Iterator[Unit], policy: Policy = AT_ONCE) -> list[int]:
    finished: list[int] = []
    waiting = [units]
    more = lambda: waiting.pop() if waiting else ()  # noqa: E731
    Scheduler(engine, policy, more, lambda unit, _: finished.append(unit.number)).run()
    return finished


def test_batches_grow_with_what_is_known_up_to_the_time_they_should_take(tmp_path: Path) -> None:
    engine = Batching(done)
    assert run(engine, make_units(tmp_path, 400)) == list(range(400))
    sizes = [len(batch) for batch in engine.batches]
    assert sizes[:4] == [1, 1, 1, 1]
    assert sizes[:-1] == sorted(sizes[:-1])
    assert max(sizes) == 39  # of a second each


def test_units_that_take_long_are_never_put_together(tmp_path: Path) -> None:
    engine = Batching(lambda orders: done(orders, 50.0))
    run(engine, make_units(tmp_path, 20))
    assert all(len(batch) == 1 for batch in engine.batches)


def test_a_heavy_unit_counts_by_its_weight() -> None:
    pace = Pace()
    for weight in (10, 10, 40):
        pace.note(6.0, weight)
    assert pace.estimate(20) == pace._seconds / 3
    assert pace.estimate(60) == 2 * pace.estimate(20)
    assert Pace().estimate(1) == float("inf")


def test_the_engine_has_as_many_batches_as_it_has_room_for(tmp_path: Path) -> None:
    engine = Batching(done, slots=2, room=6)
    run(engine, make_units(tmp_path, 60))
    assert engine.most == 6


def test_units_are_drawn_only_as_there_is_room(tmp_path: Path) -> None:
    drawn: list[int] = []
    finished: list[int] = []
    ahead: list[int] = []

    def lazily() -> Iterator[Unit]:
        for unit in make_units(tmp_path, 50):
            drawn.append(unit.number)
            yield unit

    given = [iter(()), lazily(), iter(()), make_units(tmp_path, 1)]  # each end may have made others eligible
    engine = Scripted(lambda ticket, _: Done(ticket, DONE), slots=3)

    def complete(unit: Unit, _: object) -> None:
        finished.append(unit.number)
        ahead.append(len(drawn) - len(finished))

    Scheduler(engine, Policy(), lambda: given.pop(0) if given else (), complete).run()
    assert sorted(finished) == [0, *range(50)]
    assert max(ahead) <= 3


def test_units_that_wait_in_the_engine_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many batches the engine has room for."""
    monkeypatch.setattr(scheduler, "MOST_WAITING", 40)
    drawn: list[int] = []
    finished: list[int] = []

    def lazily() -> Iterator[Unit]:
        for unit in make_units(tmp_path, 2000):
            drawn.append(unit.number)
            yield unit

    given = [lazily()]
    most = [0, 0]

    def complete(unit: Unit, _: object) -> None:
        finished.append(unit.number)
        most[:] = [max(most[0], len(drawn) - len(finished)), max(most[1], len(engine.waiting))]

    engine = Batching(lambda orders: done(orders, 0.0), slots=2, room=1000)
    Scheduler(engine, AT_ONCE, lambda: given.pop() if given else (), complete).run()
    assert len(finished) == 2000
    assert max(map(len, engine.batches)) == MOST_UNITS
    assert most[0] <= 40 + 3 * MOST_UNITS
    assert most[1] <= 40


def test_what_a_lost_batch_leaves_comes_back_one_by_one(tmp_path: Path) -> None:
    """Of a batch nobody knows which task was in hand; alone, the guilty one is found as ever."""
    culprits: list[tuple[int, Culprit]] = []

    def ends(orders: Sequence[Order]) -> list[Event]:
        guilty = [place for place, (_, task) in enumerate(orders) if task.number == 30 and not task.careful]
        if not guilty:
            return done(orders)
        if len(orders) == 1:
            culprits.append((orders[0][1].number, "task"))
            return [Died(orders[0][0], "killed by signal 11", "task")]
        left = orders[max(guilty[0] - 1, 0) :]
        return done(orders[: len(orders) - len(left)]) + [
            Returned(ticket, "WorkerCrashedError" if ticket == left[0][0] else "") for ticket, _ in left
        ]

    class Told(Listener):
        def unit_event(self, unit: Unit, what: str, detail: str) -> None:
            told.append(detail)

    told: list[str] = []
    finished: list[int] = []
    engine, waiting = Batching(ends), [make_units(tmp_path, 80)]
    units = waiting[0]
    more = lambda: waiting.pop() if waiting else ()  # noqa: E731
    complete = lambda unit, _: finished.append(unit.number)  # noqa: E731
    Scheduler(engine, Policy(retries=1, patience=Patience(pause=0)), more, complete, Told()).run()
    assert sorted(finished) == list(range(80))
    together = next(batch for batch in engine.batches if 30 in batch)
    again = [unit.number for unit in units if unit.by_itself]
    assert len(together) > 1
    assert set(again) <= set(together)
    assert all([number] in engine.batches for number in again)
    assert culprits == [(30, "task")]
    assert [unit.number for unit in units if unit.failures] == [30]
    assert told == ["WorkerCrashedError", "killed by signal 11"]


def test_units_of_a_lost_node_stay_together_once(tmp_path: Path) -> None:
    lost: list[int] = []

    def ends(orders: Sequence[Order]) -> list[Event]:
        if len(orders) > 4 and len(lost) < 2:
            lost.append(len(orders))
            return [Returned(ticket, alone=False) for ticket, _ in orders]
        return done(orders)

    engine = Batching(ends)
    units = make_units(tmp_path, 60)
    assert sorted(run(engine, units)) == list(range(60))
    assert len(lost) == 2
    assert all(unit.by_itself == (unit.returns > 1) for unit in units)
    assert not any(unit.losses or unit.failures for unit in units)


def test_the_first_attempt_is_the_task_as_it_was_made(tmp_path: Path) -> None:
    """Nothing is copied for the many units that are done at once."""
    given: list[Task] = []

    def ends(orders: Sequence[Order]) -> list[Event]:
        given.extend(task for _, task in orders)
        return [Beat(orders[0][0], 5), *done(orders)]

    units = make_units(tmp_path, 3)
    run(Batching(ends), units)
    assert all(task is unit.task for task, unit in zip(given, units, strict=True))
