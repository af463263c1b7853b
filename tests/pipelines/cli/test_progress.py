"""Progress lines: one when a step starts, one when it is done, whatever order the news comes in."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from corpusmill.pipelines.cli import progress as module
from corpusmill.pipelines.cli.progress import (
    EVERY_SECONDS,
    LiveProgress,
    PlainProgress,
    estimating,
    progress,
)
from corpusmill.pipelines.contract import unit_progress
from corpusmill.pipelines.contract.unit_progress import UnitProgress, note_progress
from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.scheduler import Unit
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.run.step_state import StepState
from corpusmill.pipelines.storage.committed import Committed
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_records import DONE, made_task


class Clock:
    """Time that stands still unless told to pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def unit(step: str, number: int, weight: int = 4_000_000) -> Unit:
    return Unit(step, number, made_task(number), StepFolder(Path("nowhere")), weight)


def work(listener: PlainProgress, clock: Clock, name: str, units: int) -> None:
    """A step as the runner and the scheduler tell of it: the step is done before its last unit is told."""
    state = StepState(Step(name, operator_named("read")), total=units)
    listener.step_started(state)
    for number in range(units):
        clock.now += 1
        state.redone += 1
        if state.redone == units:
            listener.step_done(state)
        listener.unit_done(unit(name, number), DONE)


def reused(name: str) -> StepState:
    return StepState(Step(name, operator_named("read")), total=3, complete=True, reused=True)


def test_the_rate_counts_every_unit(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    work(PlainProgress(), clock, "web", 2)
    assert capsys.readouterr().err.splitlines() == ["web: 2 units", "web: done in 2.0 s, 4.0 MB/s"]


def test_a_single_unit_has_a_rate_too(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    work(PlainProgress(), clock, "web", 1)
    assert capsys.readouterr().err.splitlines() == ["web: 1 unit", "web: done in 1.0 s, 4.0 MB/s"]


def test_a_step_with_nothing_left_to_do_is_done_at_once(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = PlainProgress()
    state = StepState(Step("web", operator_named("read")), total=2, complete=True)
    listener.step_started(state)
    listener.step_done(state)
    assert capsys.readouterr().err.splitlines() == ["web: 2 units, 2 done before", "web: done in 0.0 s"]


def test_steps_used_as_they_are_share_a_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    listener = PlainProgress()
    for name in ("a", "b", "c"):
        listener.step_done(reused(name))
    work(listener, clock, "d", 1)
    listener.step_done(reused("e"))
    listener.close()
    listener.close()
    assert capsys.readouterr().err.splitlines() == [
        "a ... c: 3 steps unchanged, used as they are",
        "d: 1 unit",
        "d: done in 1.0 s, 4.0 MB/s",
        "e: unchanged, used as it is",
    ]


def test_a_failed_attempt_shows_its_last_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    PlainProgress().unit_event(unit("web", 7), "failed", "Traceback\n  ...\nKeyError: 'x'\n")
    PlainProgress().unit_event(unit("web", 8), "lost", " \n")
    assert capsys.readouterr().err.splitlines() == [
        "web: unit 7: failed: KeyError: 'x'",
        "web: unit 8: lost: ",
    ]


def test_without_a_terminal_lines_are_plain_and_nothing_is_owed(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with progress() as listener:
            listener.step_done(reused("a"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capsys.readouterr().err == "a: unchanged, used as it is\n"


def test_bars_give_way_to_lines(clock: Clock, tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, no_color=True)
    bars = Progress(TextColumn("{task.description}"), console=console, auto_refresh=False)
    listener = LiveProgress(bars)
    with bars:
        listener.step_done(reused("a"))
        state = StepState(Step("web", operator_named("read")), total=3)
        state.committed = Committed(StepFolder(tmp_path))
        state.committed.add(Receipt(0, 0, ()))
        listener.step_started(state)
        (task,) = bars.tasks
        assert (task.completed, task.total) == (1, 3)
        listener.unit_done(unit("web", 1), DONE)
        listener.memory(3 * 2**30)
        assert task.completed == 2
        assert task.fields["memory"] == "3.00 GiB"
        work(listener, clock, "[bold]code", 2)  # a name is no markup
        assert [task.description for task in bars.tasks] == ["web"]
    text = out.getvalue()
    assert "a: unchanged, used as it is" in text
    assert "[bold]code: done in 2.0 s, 4.0 MB/s" in text


def test_a_unit_at_work_moves_the_bar_of_its_step(clock: Clock, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, no_color=True)
    bars = Progress(TextColumn("{task.description}"), console=console, auto_refresh=False)
    listener = LiveProgress(bars)
    with bars:
        listener.step_started(StepState(Step("web", operator_named("read")), total=3))
        (task,) = bars.tasks
        listener.unit_progress(unit("web", 0), UnitProgress(1, 4, "100 documents read"))
        listener.unit_progress(unit("web", 1), UnitProgress(1, 2, "100 documents read"))
        assert task.completed == 0.75
        listener.unit_done(unit("web", 0), DONE)
        assert task.completed == 1.5
        listener.unit_progress(replace(unit("web", 2), solo=True), UnitProgress(40, 80, "loss 7.1"))
        assert (task.completed, task.total) == (40, 80)


def test_a_long_unit_has_a_line_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    listener = PlainProgress()
    clock.now += EVERY_SECONDS
    listener.unit_progress(unit("web", 4), UnitProgress(250_000, 1_000_000, "9 documents read"))
    listener.unit_progress(unit("web", 5), UnitProgress(1, 2, "too soon for another"))
    clock.now += EVERY_SECONDS
    listener.unit_progress(replace(unit("train", 0), solo=True), UnitProgress(40, 80, "loss 7.1"))
    assert capsys.readouterr().err.splitlines() == [
        "web: unit 4: 25%: 9 documents read",
        "train: 40/80: loss 7.1",
    ]


def test_notes_are_written_once_they_are_due_and_by_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(unit_progress, "time", clock)
    note_progress(1, 2, "nobody watches")
    with unit_progress.progress_noted(lambda: tmp_path):
        note_progress(1, 4, "too soon")
        assert unit_progress.read_progress(tmp_path) is None
        clock.now += unit_progress.AFTER_SECONDS
        note_progress(1, 4, "5 documents")
        assert unit_progress.read_progress(tmp_path) == UnitProgress(1, 4, "5 documents")
        note_progress(2, 4, "too soon after it")
        clock.now += unit_progress.EVERY_SECONDS
        unit_progress.note_part(2, 4)
        note_progress(1, 2, "7 documents")
        found = unit_progress.read_progress(tmp_path)
    assert found == UnitProgress(2500, 4000, "part 3 of 4, 7 documents")
    assert found.share == 0.625


def test_an_estimate_without_a_terminal_tells_now_and_then(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    state = StepState(Step("web", operator_named("read")), total=1)
    with estimating(5) as listener:
        listener.step_started(state)
        clock.now += EVERY_SECONDS
        listener.step_done(state)
        listener.step_started(StepState(Step("dedup", operator_named("match"))))
    assert capsys.readouterr().err == "estimate: 1 of 5 steps: web is done\n"
