"""The scheduler against an engine whose every move is scripted."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

import pytest

from corpusmill.pipelines.contract.errors import UnitFailed, UserError
from corpusmill.pipelines.run.blame import STREAK_ALONE, STREAK_LOST, Patience
from corpusmill.pipelines.run.engines.engine import Culprit, Died, Done, Event, Failed
from corpusmill.pipelines.run.scheduler import Policy, Scheduler
from corpusmill.pipelines.run.task import Task
from corpusmill.pipelines.run.tries import MOST_POISON
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_records import DONE
from tests.pipelines.run.scripted import Scripted, make_units, schedule


def test_every_unit_runs_once_within_the_slots(tmp_path: Path) -> None:
    finished, engine = schedule(make_units(tmp_path, 7), lambda t, _: Done(t, DONE), slots=3)
    assert sorted(finished) == list(range(7))
    assert engine.most == 3
    assert engine.closed


def test_a_unit_that_raises_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    def fails_twice(ticket: int, task: Task) -> Event:
        return Done(ticket, DONE) if task.attempt > 2 else Failed(ticket, "internal", "odd", "trace")

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
    seen: list[Task] = []

    def crashes_on_seven(ticket: int, task: Task) -> Event:
        seen.append(task)
        if 7 in task.poison:
            return Done(ticket, DONE)
        if task.careful:
            blame(tmp_path, 7, 2)
        return Died(ticket, "killed by signal 11", "task")

    assert schedule(make_units(tmp_path, 1), crashes_on_seven)[0] == [0]
    assert [task.careful for task in seen] == [False, True, True, True, True]
    assert [task.alone for task in seen] == [None, None, 7, 7, None]
    assert seen[-1].poison == {7: ("second", "crash: its worker died with this document in hand")}


def test_a_unit_of_nothing_but_poison_is_given_up(tmp_path: Path) -> None:
    def always(ticket: int, task: Task) -> Event:
        blame(tmp_path, len(task.poison), 0)
        return Died(ticket, "killed", "task")

    with pytest.raises(UnitFailed, match=f"over {MOST_POISON} poisonous documents"):
        schedule(make_units(tmp_path, 1), always)


def test_a_worker_lost_for_no_document_is_given_up_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UnitFailed, match=r"worker was lost 3 times.*engine\.memory"):
        schedule(make_units(tmp_path, 1), lambda t, _: Died(t, "exited with 1", "task"), Policy(retries=2))


AT_ONCE = Patience(losses=12, pause=0)


@pytest.mark.parametrize("culprit", ["outside", "unclear"])
def test_ten_lost_nodes_are_no_evidence(tmp_path: Path, culprit: Culprit) -> None:
    """Always with the same document in hand, but never when it is alone."""
    seen: list[Task] = []

    def loses(ticket: int, task: Task) -> Event:
        alone = task.alone is not None
        lost = len([task for task in seen if task.alone is None]) < 10 and not alone
        seen.append(task)
        if lost:
            blame(tmp_path, 3, 0)
        return Died(ticket, "node lost", culprit) if lost else Done(ticket, DONE)

    units = make_units(tmp_path, 1)
    finished, _ = schedule(units, loses, Policy(retries=0, patience=AT_ONCE))
    assert finished == [0]
    assert units[0].losses == 10
    assert not any(task.poison for task in seen)
    assert any(task.alone == 3 for task in seen) is (culprit == "unclear")


def test_a_document_that_kills_every_worker_that_has_it_alone_is_named(tmp_path: Path) -> None:
    """SIGKILL may come from anywhere, so two workers have to die of the document alone."""
    seen: list[Task] = []

    def killed_at_five(ticket: int, task: Task) -> Event:
        seen.append(task)
        if 5 in task.poison:
            return Done(ticket, DONE)
        if task.careful:
            blame(tmp_path, 5, 1)
        return Died(ticket, "killed by signal 9")

    schedule(make_units(tmp_path, 1), killed_at_five, Policy(retries=0, patience=AT_ONCE))
    assert [task.alone for task in seen] == [None, None, None, 5, 5, None]
    assert [task.careful for task in seen] == [False, False, True, True, True, True]


def test_a_crash_that_no_document_repeats_alone_is_the_units(tmp_path: Path) -> None:
    def dies_in_company(ticket: int, task: Task) -> Event:
        if task.alone is not None:
            return Done(ticket, DONE)
        blame(tmp_path, 4, 0)
        return Died(ticket, "killed by signal 11", "task")

    with pytest.raises(UnitFailed, match=r"lost 3 times.*document 4, which alone does no harm"):
        schedule(make_units(tmp_path, 1), dies_in_company, Policy(retries=2))


def test_losses_without_end_are_given_up_with_the_cure(tmp_path: Path) -> None:
    units = make_units(tmp_path, 1)
    with pytest.raises(UnitFailed, match=r"worker was lost 13 times, last: crash, node lost\..*same command"):
        schedule(units, lambda t, _: Died(t, "node lost", "outside"), Policy(patience=AT_ONCE))
    assert units[0].failures == 0


def test_a_unit_that_alone_loses_every_worker_is_given_up_sooner(tmp_path: Path, clock: list[float]) -> None:
    beside: list[int] = []

    def dies(ticket: int, task: Task) -> Event:
        if task.number == 0:
            beside.append(len(engine.running) - 1)
        return Died(ticket, "killed by signal 9") if task.number == 0 else Done(ticket, DONE)

    engine, began, waiting = Scripted(dies), clock[0], [make_units(tmp_path, 3)]
    more = lambda: waiting.pop() if waiting else []  # noqa: E731
    with pytest.raises(UnitFailed, match=r"lost 12 times, 12 of them in a row for no reason known"):
        Scheduler(engine, Policy(), more, lambda *_: None).run()
    assert len(beside) == STREAK_LOST
    assert beside[0] == 1
    assert not any(beside[STREAK_ALONE:])
    assert clock[0] - began < 120


def test_units_that_all_kill_their_workers_are_each_given_up_after_the_others_are_done(
    tmp_path: Path, clock: list[float]
) -> None:
    """Losses of one unit do not end the row of another."""
    tried, finished, waiting = [0] * 6, [], [make_units(tmp_path, 6)]

    def some_kill(ticket: int, task: Task) -> Event:
        tried[task.number] += 1
        return Died(ticket, "killed by signal 9") if task.number in (0, 1, 4) else Done(ticket, DONE)

    more = lambda: waiting.pop() if waiting else []  # noqa: E731
    done = lambda unit, _: finished.append(unit.number)  # noqa: E731
    with pytest.raises(UnitFailed) as failed:
        Scheduler(Scripted(some_kill), Policy(), more, done).run()
    assert sorted(finished) == [2, 3, 5]
    assert [tried[n] for n in (0, 1, 4)] == [STREAK_LOST] * 3
    for n in (0, 1, 4):
        assert f"step web, unit {n}: its worker was lost {STREAK_LOST} times" in str(failed.value)


def test_a_loss_from_outside_ends_the_row(tmp_path: Path, clock: list[float]) -> None:
    lost: list[Culprit] = []

    def stormy(ticket: int, task: Task) -> Event:
        if len(lost) == 2 * STREAK_LOST:
            return Done(ticket, DONE)
        lost.append("outside" if len(lost) % STREAK_LOST == STREAK_LOST - 1 else "unclear")
        return Died(ticket, "node lost", lost[-1])

    assert schedule(make_units(tmp_path, 1), stormy)[0] == [0]


def test_many_documents_that_kill_their_workers_are_all_named(tmp_path: Path, clock: list[float]) -> None:
    """Their losses together are more than a unit may have: each that is quarantined is progress."""
    bad = 20

    def kills(ticket: int, task: Task) -> Event:
        if len(task.poison) == bad:
            return Done(ticket, DONE)
        if task.careful:
            blame(tmp_path, len(task.poison), 0)
        return Died(ticket, "WorkerCrashedError")

    units = make_units(tmp_path, 1)
    assert schedule(units, kills)[0] == [0]
    assert sorted(units[0].poison) == list(range(bad))


def test_the_pause_after_a_loss_doubles_to_a_limit() -> None:
    patience = Patience(pause=0.5, longest=5)
    assert [patience.wait(losses) for losses in range(1, 7)] == [0.5, 1, 2, 4, 5, 5]
    assert patience.wait(10_000) == 5


def test_other_units_run_while_one_waits_after_a_loss(tmp_path: Path) -> None:
    order: list[int] = []

    def loses_the_first(ticket: int, task: Task) -> Event:
        order.append(task.number)
        lost = task.number == 0 and len(order) == 1
        return Died(ticket, "evicted", "outside") if lost else Done(ticket, DONE)

    patience = Patience(pause=0.5)
    schedule(make_units(tmp_path, 4), loses_the_first, Policy(patience=patience), slots=1)
    assert order == [0, 1, 2, 3, 0]


def test_what_does_not_depend_on_a_failed_unit_is_done_and_every_fault_is_named(tmp_path: Path) -> None:
    def some_fail(ticket: int, task: Task) -> Event:
        kinds: dict[int, Literal["internal", "user"]] = {1: "internal", 4: "user"}
        kind = kinds.get(task.number)
        return Failed(ticket, kind, f"odd {task.number}", "trace") if kind else Done(ticket, DONE)

    engine, finished, waiting = Scripted(some_fail), [], [make_units(tmp_path, 6)]
    more = lambda: waiting.pop() if waiting else []  # noqa: E731
    with pytest.raises(UnitFailed, match=r"(?s)2 units failed.*unit 1 failed 1 times: odd 1.*odd 4"):
        Scheduler(engine, Policy(retries=0), more, lambda unit, _: finished.append(unit.number)).run()
    assert sorted(finished) == [0, 2, 3, 5]


def test_faults_that_the_user_can_mend_stay_the_users(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)^mend 0\nmend 1\nmend 2$"):
        schedule(make_units(tmp_path, 3), lambda t, task: Failed(t, "user", f"mend {task.number}", ""))


def test_a_step_of_which_nothing_succeeds_is_given_up_early(tmp_path: Path) -> None:
    tried: list[int] = []

    def fails(ticket: int, task: Task) -> Event:
        tried.append(task.number)
        return Failed(ticket, "internal", "odd", "trace")

    with pytest.raises(UnitFailed, match="8 units failed"):
        schedule(make_units(tmp_path, 50), fails, Policy(retries=0), slots=1)
    assert tried == list(range(8))


def test_a_full_disk_stops_the_run_at_once(tmp_path: Path) -> None:
    tried: list[int] = []

    def full(ticket: int, task: Task) -> Event:
        tried.append(task.number)
        return Failed(ticket, "halt", "no space left", "trace")

    with pytest.raises(UserError, match="no space left"):
        schedule(make_units(tmp_path, 5), full, slots=1)
    assert tried == [0]


def test_a_failure_that_the_surroundings_explain_is_told_as_that(tmp_path: Path) -> None:
    engine, waiting = Scripted(lambda t, _: Died(t, "killed by signal 7", "task")), [make_units(tmp_path, 2)]
    more = lambda: waiting.pop() if waiting else []  # noqa: E731
    with pytest.raises(UserError, match="make room"):
        Scheduler(
            engine, Policy(), more, lambda *_: None, surroundings=lambda: UserError("make room there")
        ).run()


def test_memory_admits_one_unit_at_least_and_no_more_than_fit(tmp_path: Path) -> None:
    heavy = make_units(tmp_path, 3, weight=2**30)
    finished, engine = schedule(heavy, lambda t, _: Done(t, DONE), Policy(memory=2**30), slots=3)
    assert len(finished) == 3
    assert engine.most == 1


def test_a_solo_unit_runs_alone(tmp_path: Path) -> None:
    units = make_units(tmp_path, 2) + make_units(tmp_path, 1, solo=True)
    together: list[int] = []

    def watch(ticket: int, task: Task) -> Event:
        together.append(len(engine_running))
        return Done(ticket, DONE)

    engine_running: dict[int, Task] = {}
    engine = Scripted(watch, slots=3)
    engine.running = engine_running
    waiting = [units]
    Scheduler(engine, Policy(), lambda: waiting.pop() if waiting else [], lambda *_: None).run()
    assert together[-1] == 1
    assert max(together) == 2
