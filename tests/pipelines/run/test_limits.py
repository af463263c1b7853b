"""Limits of time on units: what is late, what is silent, and what has not begun yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpusmill.pipelines.run.engines.engine import Beat, Done, Event
from corpusmill.pipelines.run.scheduler import Listener, Policy, Scheduler, Unit
from corpusmill.pipelines.run.task import Task
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_records import DONE
from tests.pipelines.run.scripted import Scripted, make_units, schedule


def test_a_unit_over_its_time_is_killed_and_tried_with_care(tmp_path: Path, clock: list[float]) -> None:
    beaten: set[int] = set()

    def hangs_once(ticket: int, task: Task) -> Event | None:
        clock[0] += 20
        if task.careful:
            return Done(ticket, DONE)
        if ticket in beaten:
            return None
        beaten.add(ticket)
        return Beat(ticket, 1)

    finished, engine = schedule(make_units(tmp_path, 1), hangs_once, Policy(unit_timeout=30))
    assert finished == [0]
    assert engine.cancelled == [1]


def test_time_counts_from_the_moment_a_worker_takes_the_unit_up(tmp_path: Path, clock: list[float]) -> None:
    """It starts slowly on a busy machine, then beats, works for nearly as long as it may, and is done."""
    told: list[str] = []
    moves = [None] * 5 + ["beat"] + [None] * 2 + ["beat"] * 2 + ["done"]

    def starved(ticket: int, task: Task) -> Event | None:
        clock[0] += 10
        move = moves.pop(0)
        return Done(ticket, DONE) if move == "done" else Beat(ticket, 1) if move == "beat" else None

    class Told(Listener):
        def unit_event(self, unit: Unit, what: str, detail: str) -> None:
            told.append(detail)

    waiting, finished = [make_units(tmp_path, 1)], []
    more = lambda: waiting.pop() if waiting else []  # noqa: E731
    policy = Policy(heartbeat=25, unit_timeout=55)
    Scheduler(Scripted(starved), policy, more, lambda unit, _: finished.append(unit), Told()).run()
    assert (len(finished), told, moves) == (1, [], [])

    def never(ticket: int, task: Task) -> Event | None:
        clock[0] += 10
        return Done(ticket, DONE) if task.attempt > 1 else None

    units = make_units(tmp_path, 1)  # one that no worker ever begins is tried again, and blames nobody
    assert schedule(units, never, policy)[1].cancelled == [1]
    assert (units[0].failures, units[0].losses, units[0].careful) == (0, 1, False)


@pytest.mark.parametrize("taken", [True, False])
def test_a_task_that_waits_in_an_engine_without_beats_is_not_late(
    tmp_path: Path, clock: list[float], taken: bool
) -> None:
    polls: list[int] = []

    def waits(ticket: int, task: Task) -> Event | None:
        clock[0] += 10
        polls.append(ticket)
        if taken and len(polls) == 5 and ticket == 1:
            StepFolder(tmp_path).attempt(0, 1)
        return Done(ticket, DONE) if len(polls) == 30 or task.attempt > 1 else None

    engine, finished, waiting = Scripted(waits), [], [make_units(tmp_path, 1)]
    engine.beats = False
    more = lambda: waiting.pop() if waiting else []  # noqa: E731
    Scheduler(engine, Policy(unit_timeout=95), more, lambda unit, _: finished.append(unit)).run()
    assert len(finished) == 1
    assert engine.cancelled == ([1] if taken else [])


def test_silence_is_death_but_a_heartbeat_is_life(tmp_path: Path, clock: list[float]) -> None:
    beats = {"left": 50}

    def slow(ticket: int, task: Task) -> Event | None:
        beats["left"] -= 1
        clock[0] += 20
        return Beat(ticket, 1) if beats["left"] else Done(ticket, DONE)

    assert schedule(make_units(tmp_path, 1), slow, Policy(heartbeat=30, unit_timeout=1e6))[1].cancelled == []

    beaten: set[int] = set()

    def silent(ticket: int, task: Task) -> Event | None:
        clock[0] += 20
        if task.attempt > 1:
            return Done(ticket, DONE)
        if ticket in beaten:
            return None
        beaten.add(ticket)
        return Beat(ticket, 1)

    assert schedule(make_units(tmp_path, 1), silent, Policy(heartbeat=30, unit_timeout=1e6))[1].cancelled == [
        1
    ]
