"""What a task has beyond other units: a scratch folder between attempts, progress, and time to stop."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from corpusmill.pipelines.cli.progress import LiveProgress, PlainProgress
from corpusmill.pipelines.contract import stage
from corpusmill.pipelines.contract.unit_progress import UnitProgress, read_progress, write_progress
from corpusmill.pipelines.records.manifest import StepKey
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.engines import process
from corpusmill.pipelines.run.engines.engine import Done, Event, Order
from corpusmill.pipelines.run.engines.process import ProcessEngine
from corpusmill.pipelines.run.fingerprint import step_key
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.scheduler import Listener, Policy, Scheduler, Unit
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.run.step_state import StepState
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_records import DONE, made_task
from tests.waiting import PATIENCE


class Sum(stage.Task):
    """A task of the simplest kind."""

    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        return {"inputs": len(inputs)}


def test_a_task_that_cannot_resume_starts_over(tmp_path: Path) -> None:
    assert Sum().resume({"a": []}, tmp_path, tmp_path / "scratch") == {"inputs": 1}


def test_scratch_outlives_attempts_and_goes_with_the_step(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path / "step")
    first = folder.attempt(0, 1)
    (first.scratch() / "state").write_text("half")
    folder.clear_attempts()
    assert not first.folder.exists()
    second = folder.attempt(0, 2)
    assert second.scratch() == first.scratch() != folder.attempt(1, 1).scratch()
    assert (second.scratch() / "state").read_text() == "half"
    (second.folder / "out").write_text("whole")
    receipt = second.commit(UnitResult(0))
    assert [file.name for file in receipt.files] == ["out"]
    folder.clear_scratch()
    assert not (tmp_path / "step" / "scratch").exists()


def test_progress_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None
    write_progress(tmp_path, 3, 9, "loss 2.5")
    write_progress(tmp_path, 4, 9, "loss 2.4")
    assert read_progress(tmp_path) == UnitProgress(4, 9, "loss 2.4")
    (tmp_path / "progress.json").write_text("[4, 9")
    assert read_progress(tmp_path) is None


class Working:
    """An engine with one task, which notes its progress and is done at the third look."""

    slots = room = 1
    beats, batch_seconds = False, 0.0

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.looks, self.ticket = scratch, 0, 0

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        ((self.ticket, _),) = batch
        self.scratch.mkdir(parents=True)

    def poll(self, timeout: float) -> list[Event]:
        self.looks += 1
        write_progress(self.scratch, self.looks, 3, "going")
        return [Done(self.ticket, DONE)] if self.looks == 4 else []

    def cancel(self, ticket: int) -> None: ...
    def close(self) -> None: ...


def test_the_scheduler_passes_progress_on(tmp_path: Path) -> None:
    heard: list[UnitProgress] = []

    class Ear(Listener):
        def unit_progress(self, unit: Unit, progress: UnitProgress) -> None:
            heard.append(progress)

    folder = StepFolder(tmp_path)
    unit = Unit("train", 0, made_task(), folder, solo=True)
    units = [[unit], []]
    engine = Working(folder.scratch(0))
    Scheduler(engine, Policy(), lambda: units.pop(0), lambda unit, receipt: None, Ear()).run()
    assert [progress.done for progress in heard] == [1, 2, 3]


def test_plain_lines_come_every_half_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    listener, unit = PlainProgress(), Unit("train", 0, {}, StepFolder(tmp_path), solo=True)
    for done in range(1, 8):
        listener.unit_progress(unit, UnitProgress(done, 7, "words"))
        clock[0] += 10
    clock[0] += 20
    listener.unit_progress(Unit("web", 4, {}, StepFolder(tmp_path)), UnitProgress(250_000, 10**6, "read"))
    assert capsys.readouterr().err.splitlines() == [
        "train: 1/7: words",
        "train: 4/7: words",
        "train: 7/7: words",
        "web: unit 4: 25%: read",
    ]


def test_a_bar_shows_the_parts_of_one_unit(tmp_path: Path) -> None:
    with Progress(TextColumn("{task.description}"), console=Console(file=io.StringIO())) as bars:
        listener = LiveProgress(bars)
        step = Step("train", operator_named("task"))
        state = StepState(step, total=1, redone=1)
        listener.step_started(state)
        unit = Unit("train", 0, {}, StepFolder(tmp_path), solo=True)
        listener.unit_progress(unit, UnitProgress(5, 20, "loss 3"))
        assert (bars.tasks[0].completed, bars.tasks[0].total) == (5, 20)
        assert bars.tasks[0].fields["rate"] == "loss 3"
        listener.unit_progress(unit, UnitProgress(20, 20, "loss 2"))
        listener.unit_done(unit, {})
        assert bars.tasks[0].completed == 20


LISTENING = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), open(sys.argv[1], "w").close(), os._exit(0)))
print("ready", flush=True)
time.sleep(3600)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(3600)
"""


def holding(*codes: list[str]) -> ProcessEngine:
    """An engine whose workers are these programs, ready and waiting."""
    engine = ProcessEngine(slots=len(codes))
    for code in codes:
        worker = engine._start()
        worker.process.kill()
        worker.process.communicate()
        worker.process = subprocess.Popen(
            [sys.executable, "-c", *code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert worker.process.stdout is not None
        assert worker.process.stdout.readline() == b"ready\n"
        worker.process.stdout.close()
    return engine


def test_closing_gives_a_task_time_to_leave_its_work_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", PATIENCE)
    engine = holding([LISTENING, str(tmp_path / "left in order")])
    (program,) = [worker.process for worker in engine._workers]
    engine.close()
    assert program.returncode == 0
    assert (tmp_path / "left in order").exists()
    engine.close()


def test_closing_takes_the_time_from_the_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.3)
    engine = holding([DEAF])
    (program,) = [worker.process for worker in engine._workers]
    engine.close()
    assert program.returncode == -signal.SIGKILL


def test_workers_that_do_not_listen_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 1e6)
    engine = ProcessEngine(slots=2)
    programs = [engine._start().process for _ in range(2)]
    engine.close()
    assert all(program.returncode is not None for program in programs)


def test_incidental_options_stay_out_of_the_key() -> None:
    def key(**options: Any) -> StepKey:
        spec = StageSpec("corpusmill.training_hooks.train", "Train", "train", options)
        return step_key(Step("train", operator_named("task"), (spec,)), 1, {})

    base = {"steps": 3, "log_every": 20, "checkpoint": {"every": 5, "keep": 2}}
    assert key(**base) == key(**{**base, "log_every": 1, "checkpoint": {"every": None, "keep": 9}})
    assert key(**base) != key(**{**base, "steps": 4})
