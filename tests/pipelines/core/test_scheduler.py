"""The scheduler against an engine whose every move is scripted."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.engines.engine import Beat, Died, Done, Event, Failed
from corpusmill.pipelines.errors import UnitFailed, UserError
from corpusmill.pipelines.scheduler import MOST_POISON, Listener, Policy, Scheduler, Unit
from corpusmill.pipelines.storage import Json, StepFolder

Script = Callable[[int, Json], Event | None]


class Scripted:
    """An engine whose tasks end as `script(ticket, task)` says; None means: still running."""

    beats = True

    def __init__(self, script: Script, slots: int = 2) -> None:
        self.slots, self.script = slots, script
        self.running: dict[int, Json] = {}
        self.most = 0
        self.cancelled: list[int] = []
        self.closed = False

    def submit(self, ticket: int, task: Json) -> None:
        self.running[ticket] = task
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


def make_units(tmp_path: Path, count: int, **more: object) -> list[Unit]:
    step = {"operator": "read", "stages": [{"name": "jsonl"}, {"name": "first"}, {"name": "second"}]}
    return [
        Unit("web", n, {"step": step, "n": n}, StepFolder(tmp_path), **more)  # type: ignore[arg-type]
        for n in range(count)
    ]


def schedule(
    units: list[Unit], script: Script, policy: Policy | None = None, slots: int = 2
) -> tuple[list[int], Scripted]:
    engine, finished, waiting = Scripted(script, slots), [], [units]
    more = lambda: waiting.pop() if waiting else []  # noqa: E731
    Scheduler(
        engine, policy or Policy(), more, lambda unit, _: finished.append(unit.number), Listener()
    ).run()
    return finished, engine


def test_every_unit_runs_once_within_the_slots(tmp_path: Path) -> None:
    finished, engine = schedule(make_units(tmp_path, 7), lambda t, _: Done(t, {}), slots=3)
    assert sorted(finished) == list(range(7))
    assert engine.most == 3
    assert engine.closed


def test_a_unit_that_raises_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    def fails_twice(ticket: int, task: Json) -> Event:
        return Done(ticket, {}) if task["attempt"] > 2 else Failed(ticket, "internal", "odd", "trace")

    assert schedule(make_units(tmp_path, 1), fails_twice, Policy(retries=2))[0] == [0]
    with pytest.raises(UnitFailed, match="step web, unit 0 failed 2 times: odd"):
        schedule(make_units(tmp_path, 1), fails_twice, Policy(retries=1))


def test_a_fault_of_the_user_stops_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mend line 3"):
        schedule(
            make_units(tmp_path, 3), lambda t, _: Failed(t, "user", "mend line 3", ""), Policy(retries=9)
        )


def blame(tmp_path: Path, ordinal: int, stage: int) -> None:
    marker = StepFolder(tmp_path).marker_path(0)
    marker.parent.mkdir(exist_ok=True)
    marker.write_bytes(struct.pack("<qq", ordinal, stage))


def test_a_crash_is_blamed_on_the_document_in_hand(tmp_path: Path) -> None:
    seen: list[Json] = []

    def crashes_on_seven(ticket: int, task: Json) -> Event:
        seen.append(task)
        if "7" in task["poison"]:
            return Done(ticket, {})
        if task["careful"]:
            blame(tmp_path, 7, 2)
        return Died(ticket, "killed by signal 11")

    assert schedule(make_units(tmp_path, 1), crashes_on_seven)[0] == [0]
    assert [task["careful"] for task in seen] == [False, True, True]
    assert seen[-1]["poison"] == {"7": ["second", "crash: its worker died with this document in hand"]}


def test_a_unit_of_nothing_but_poison_is_given_up(tmp_path: Path) -> None:
    def always(ticket: int, task: Json) -> Event:
        blame(tmp_path, len(task["poison"]), 0)
        return Died(ticket, "killed")

    with pytest.raises(UnitFailed, match=f"over {MOST_POISON} poisonous documents"):
        schedule(make_units(tmp_path, 1), always)


def test_a_worker_lost_for_no_document_is_given_up_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UnitFailed, match=r"worker was lost 3 times.*engine\.memory"):
        schedule(make_units(tmp_path, 1), lambda t, _: Died(t, "exited with 1"), Policy(retries=2))


def test_a_unit_over_its_time_is_killed_and_tried_with_care(tmp_path: Path, clock: list[float]) -> None:
    def hangs_once(ticket: int, task: Json) -> Event | None:
        clock[0] += 20
        return Done(ticket, {}) if task["careful"] else None

    finished, engine = schedule(make_units(tmp_path, 1), hangs_once, Policy(unit_timeout=30))
    assert finished == [0]
    assert engine.cancelled == [1]


def test_silence_is_death_but_a_heartbeat_is_life(tmp_path: Path, clock: list[float]) -> None:
    beats = {"left": 50}

    def slow(ticket: int, task: Json) -> Event | None:
        beats["left"] -= 1
        clock[0] += 20
        return Beat(ticket, 1) if beats["left"] else Done(ticket, {})

    assert schedule(make_units(tmp_path, 1), slow, Policy(heartbeat=30, unit_timeout=1e6))[1].cancelled == []

    def silent(ticket: int, task: Json) -> Event | None:
        clock[0] += 20
        return Done(ticket, {}) if task["attempt"] > 1 else None

    assert schedule(make_units(tmp_path, 1), silent, Policy(heartbeat=30, unit_timeout=1e6))[1].cancelled == [
        1
    ]


def test_memory_admits_one_unit_at_least_and_no_more_than_fit(tmp_path: Path) -> None:
    heavy = make_units(tmp_path, 3, weight=2**30)
    finished, engine = schedule(heavy, lambda t, _: Done(t, {}), Policy(memory=2**30), slots=3)
    assert len(finished) == 3
    assert engine.most == 1


def test_a_solo_unit_runs_alone(tmp_path: Path) -> None:
    units = make_units(tmp_path, 2) + make_units(tmp_path, 1, solo=True)
    together: list[int] = []

    def watch(ticket: int, task: Json) -> Event:
        together.append(len(engine_running))
        return Done(ticket, {})

    engine_running: dict[int, Json] = {}
    engine = Scripted(watch, slots=3)
    engine.running = engine_running
    waiting = [units]
    Scheduler(engine, Policy(), lambda: waiting.pop() if waiting else [], lambda *_: None).run()
    assert together[-1] == 1
    assert max(together) == 2
