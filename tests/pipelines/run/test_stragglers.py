"""A unit that takes far longer than others of its step is done a second time, and the first one wins."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.engines.engine import (
    Beat,
    Died,
    Done,
    Engine,
    Event,
    Failed,
    Order,
    Returned,
)
from corpusmill.pipelines.run.scheduler import Policy, Scheduler
from corpusmill.pipelines.run.stragglers import LATE_UNITS
from corpusmill.pipelines.run.task import Task
from corpusmill.pipelines.storage import run_folder, sealed
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_records import DONE
from tests.pipelines.run.scripted import Scripted, make_units
from tests.warm import Warm

LATE = LATE_UNITS + 3  # the number of the unit that is late
NO_LIMIT = Policy(unit_timeout=1e9, heartbeat=1e9)


class Slow(Scripted):
    """Every unit takes a second, but the first attempt at one, which beats and goes on."""

    def __init__(self, clock: list[float], then: Callable[[int, Task], Event | None], slots: int = 2) -> None:
        super().__init__(self.move, slots)
        self.clock, self.then = clock, then
        self.attempts: list[tuple[int, int]] = []  # ticket and attempt at the unit that is late
        self.batches: list[list[int]] = []

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        super().submit(batch, memory)
        self.batches.append([task.number for _, task in batch])
        self.attempts += [(ticket, task.attempt) for ticket, task in batch if task.number == LATE]

    def move(self, ticket: int, task: Task) -> Event | None:
        if task.number != LATE:
            return Done(ticket, replace(DONE, seconds=1.0))
        self.clock[0] += 1
        return self.then(ticket, task)


def finish(engine: Engine, tmp_path: Path, count: int = LATE + 1) -> list[int]:
    finished: list[int] = []
    waiting = [make_units(tmp_path, count)]
    more = lambda: waiting.pop() if waiting else ()  # noqa: E731
    Scheduler(engine, NO_LIMIT, more, lambda unit, _: finished.append(unit.number)).run()
    return sorted(finished)


@pytest.mark.parametrize("winner", [1, 2])
def test_whichever_attempt_is_done_first_counts_and_the_other_is_ended(
    winner: int, tmp_path: Path, clock: list[float]
) -> None:
    folder = StepFolder(tmp_path)

    def both(ticket: int, task: Task) -> Event | None:
        if not folder.attempt_path(LATE, task.attempt).exists():
            folder.attempt(LATE, task.attempt)
        if len(engine.attempts) == 2 and task.attempt == winner:
            return Done(ticket, DONE)
        return Beat(ticket, 1)

    engine = Slow(clock, both)
    began = clock[0]
    assert finish(engine, tmp_path) == list(range(LATE + 1))
    assert clock[0] - began > 30
    assert [attempt for _, attempt in engine.attempts] == [1, 2]
    loser = 3 - winner
    assert engine.cancelled == [engine.attempts[loser - 1][0]]
    assert folder.attempt_path(LATE, winner).is_dir()  # the engine is scripted: nobody committed it
    assert folder.attempt_path(LATE, loser).is_file()


@pytest.mark.parametrize("first", ["died", "failed", "returned"])
def test_an_attempt_that_comes_to_nothing_leaves_it_to_the_other(
    first: str, tmp_path: Path, clock: list[float]
) -> None:
    ends: dict[str, Callable[[int], Event]] = {
        "died": lambda t: Died(t, "killed by signal 9"),
        "failed": lambda t: Failed(t, "user", "odd", "trace"),
        "returned": lambda t: Returned(t, "node lost"),
    }

    def loses_one(ticket: int, task: Task) -> Event | None:
        if len(engine.attempts) == 2:
            return ends[first](ticket) if task.attempt == 1 else Done(ticket, DONE)
        return Beat(ticket, 1)

    engine = Slow(clock, loses_one)
    assert finish(engine, tmp_path) == list(range(LATE + 1))
    assert [attempt for _, attempt in engine.attempts] == [1, 2]


def test_a_fault_of_both_attempts_is_told_once(tmp_path: Path, clock: list[float]) -> None:
    def both_fail(ticket: int, task: Task) -> Event | None:
        if len(engine.attempts) == 2:
            return Failed(ticket, "user", "mend it", "trace")
        return Beat(ticket, 1)

    engine = Slow(clock, both_fail)
    with pytest.raises(UserError, match=r"^mend it$"):
        finish(engine, tmp_path)


def test_no_unit_is_late_while_others_wait_or_too_few_are_known(tmp_path: Path, clock: list[float]) -> None:
    def takes_its_time(ticket: int, task: Task) -> Event | None:
        return Beat(ticket, 1) if clock[0] < 2000 else Done(ticket, DONE)

    busy = Slow(clock, takes_its_time, slots=1)  # no slot is free
    assert finish(busy, tmp_path) == list(range(LATE + 1))
    assert len(busy.attempts) == 1

    def few(ticket: int, task: Task) -> Event | None:
        clock[0] += 50
        return Done(ticket, DONE) if task.number or clock[0] > 4000 else Beat(ticket, 1)

    engine = Scripted(few)
    assert finish(engine, tmp_path, LATE_UNITS) == list(range(LATE_UNITS))
    assert engine.cancelled == []


class Batches:
    """Takes batches of up to three units, each a second long; unit `late` goes on at its first attempt."""

    slots, room, beats, batch_seconds = 3, 3, True, 3.5

    def __init__(self, clock: list[float], late: int) -> None:
        self.clock, self.late = clock, late
        self.live: list[list[Order]] = []
        self.taken: list[list[int]] = []  # numbers of units, by batch
        self.cancelled: list[int] = []  # numbers
        self.returned: list[Event] = []

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        self.live.append(list(batch))
        self.taken.append([task.number for _, task in batch])

    def poll(self, timeout: float) -> list[Event]:
        self.clock[0] += 1
        events, self.returned = self.returned, []
        for batch in self.live:
            ticket, task = batch[0]
            if task.number == self.late and task.attempt == 1:
                events.append(Beat(ticket, 1))
            else:
                events += [Beat(ticket, 1), Done(ticket, replace(DONE, seconds=1.0))]
                del batch[0]
        self.live = [batch for batch in self.live if batch]
        return events

    def cancel(self, ticket: int) -> None:
        batch = next(batch for batch in self.live if ticket in dict(batch))
        self.live.remove(batch)
        self.cancelled.append(dict(batch)[ticket].number)
        self.returned = [Returned(other) for other, _ in batch if other != ticket]

    def close(self) -> None: ...


def test_what_waits_behind_a_late_unit_is_done_elsewhere(tmp_path: Path, clock: list[float]) -> None:
    order = Batches(clock, -1)
    finish(order, tmp_path, 90)
    late = next(batch for batch in reversed(order.taken) if len(batch) == 3)[0]
    engine = Batches(clock, late)
    assert finish(engine, tmp_path, 90) == list(range(90))
    behind = next(batch for batch in engine.taken if late in batch)[1:]
    assert len(behind) == 2
    assert [late] in engine.taken
    assert behind in engine.taken
    assert engine.cancelled == [late]


def test_a_unit_that_hangs_on_one_worker_is_done_by_another(
    recipe: Callable[..., Path], warm: Warm, hashes_of: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    """In processes: the first attempt never ends, and waits for nothing but its end."""
    path = recipe({0: "ONCE"}, documents=3000)
    with_it, start = set(), 0
    for line in path.with_name("a.jsonl").read_bytes().splitlines(keepends=True):
        if b'"ONCE' in line:  # the document and its copy
            with_it.add(start // 65536)
        start += len(line)
    plugin = path.with_name("faulty.py")
    once = """if text.startswith("ONCE"):
                try:
                    Path(__file__).with_name("hung").touch(exist_ok=False)
                except FileExistsError:
                    pass
                else:
                    while True:
                        signal.pause()
            if text.startswith("RAISE"):"""
    plugin.write_text(plugin.read_text().replace('if text.startswith("RAISE"):', once))
    code = (
        "from corpusmill.pipelines.run import stragglers\n"
        "stragglers.LATE_UNITS, stragglers.LATE_SECONDS = 2, 0.0\n"
    )
    done = warm.call("run", path, code=code)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "small"
    events = [json.loads(line) for line in (run / "log" / "run.jsonl").read_text().splitlines()]
    of_a = [each for each in events if each.get("step") == "a" and "unit" in each]
    attempts = {each["unit"]: each["attempt"] for each in of_a}
    assert sum(attempts.values()) == len(attempts) + 1
    assert max(attempts[unit] for unit in with_it) == 2  # whichever was reached first
    found = hashes_of(run)
    run.rename(tmp_path / "hung run")
    calm = warm.call("run", path, "--set", "engine.kind=inline")
    assert calm.returncode == 0, calm.stderr
    assert hashes_of(run) == found


POINTS = (
    "commit-before-rename",
    "commit-between-renames",
    "commit-before-receipt",
    "atomic-before-rename",
    "commit-after-receipt",
)


@pytest.mark.parametrize("point", POINTS)
def test_two_attempts_that_commit_at_the_same_time_leave_one_whole_unit(
    point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second commits as a whole while the first is at each of the points of its own commit."""
    folder = StepFolder(tmp_path)
    first, second = folder.attempt(0, 1), folder.attempt(0, 2)
    for attempt in (first, second):
        for suffix in ("x", "y"):
            attempt.file(suffix).write_text(f"bytes of {suffix}")
    receipts = []

    def at(name: str) -> None:
        if name == point and not receipts:
            receipts.append(None)
            receipts[0] = second.commit(UnitResult(0))
            assert folder.receipt(0) == receipts[0]

    monkeypatch.setattr(run_folder, "faultpoint", at)
    monkeypatch.setattr(sealed, "faultpoint", at)
    assert first.commit(UnitResult(0)) == receipts[0]
    assert folder.receipt(0) == receipts[0]
    assert sorted(path.name for path in folder.data.iterdir()) == ["00000.x", "00000.y"]
    assert list(folder.receipt_path(0).parent.iterdir()) == [folder.receipt_path(0)]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("point", POINTS[:-1])
def test_an_attempt_that_was_revoked_commits_nothing_more(
    point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that is about to leave its receipt: a later attempt may leave out what is poisonous."""
    folder = StepFolder(tmp_path)
    late = folder.attempt(0, 1)
    for suffix in ("x", "y"):
        late.file(suffix).write_text("old bytes")

    def at(name: str) -> None:
        if name == point:
            folder.revoke(0, 1)

    monkeypatch.setattr(run_folder, "faultpoint", at)
    monkeypatch.setattr(sealed, "faultpoint", at)
    with pytest.raises(NotADirectoryError):
        late.commit(UnitResult(0))
    assert folder.receipt(0) is None


def test_an_attempt_that_was_revoked_before_it_began_does_not_begin(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    folder.attempt(0, 2)
    folder.revoke(0, 1)
    with pytest.raises(FileExistsError):
        folder.attempt(0, 1)
    folder.clear_attempts()
    assert folder.attempt(0, 1).folder.is_dir()  # of another run
