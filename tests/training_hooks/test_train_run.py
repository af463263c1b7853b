"""Training as a step of a run: kills and signals from outside, and the same bytes in the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest

from corpusmill.pipelines.cli.main import app
from tests.training_runs import STEPS, checkpoints, forked, hashes, said_by, started, write_recipe
from tests.warm import Warm


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path / "recipe")


@pytest.fixture
def calm(recipe: Path, tmp_path: Path) -> Path:
    """A run that nobody disturbed, finished in this process."""
    out = tmp_path / "calm"
    app(["run", str(recipe), "--out", str(out), "--set", "engine.kind=inline"], standalone_mode=False)
    assert not list(out.rglob("scratch"))
    return out


@pytest.fixture
def run(calm: Path, tmp_path: Path) -> Path:
    """A run that has done everything but the training."""
    return Path(shutil.copytree(calm, tmp_path / "run", ignore=shutil.ignore_patterns("train", "*.log")))


def test_signals_on_every_engine_and_a_kill_change_nothing(
    recipe: Path, run: Path, calm: Path, training: Warm
) -> None:
    """One run, stopped by a signal after another and then killed, each time gone on with by the same command.

    A signal costs no step: exit code 2 and a checkpoint of the step in hand, the only one that is written.
    A kill of the process group costs a few. The first command is a process started in full.
    """
    signals = [
        (signal.SIGTERM, "process", True),  # as a service manager sends it: the worker hears it twice
        (signal.SIGINT, "process", False),
        (signal.SIGTERM, "inline", False),
    ]
    for step, (number, engine, group) in enumerate(signals, start=1):
        flags = ("--set", f"engine.kind={engine}", "--set", "train.checkpoint={every: 1000, keep: 1}")
        reached = run.with_name(f"reached-{step}")
        point = {"CORPUSMILL_FAULTPOINT": f"training-step:1:{reached}"}
        way = started if step == 1 else partial(forked, training)
        with way(recipe, run, *flags, **point) as command:
            command.reaches(reached.exists, f"training reaches step {step}")
            if step == 1:  # training tells how far it is
                command.reaches(lambda: f"train: 1/{STEPS}: loss " in said_by(run), "the command tells it")
            os.killpg(command.pid, number) if group else os.kill(command.pid, number)
            code, said = command.ended()
        assert code == 2, said
        assert "run the same command to go on" in said
        if step == 1:
            assert "of peak" in said
            assert "tokens/s" in said
        if not group:  # a worker that hears of it by itself may have ended before the runner tells it
            assert ("stopping: train may take a minute" in said) == (engine == "process")
        assert checkpoints(run) == [step]
    with forked(training, recipe, run, CORPUSMILL_FAULTPOINT="training-step:3") as command:
        code, said = command.ended()
    assert code == -signal.SIGKILL, said
    assert checkpoints(run) == [3, 4]
    with forked(training, recipe, run) as command:
        code, said = command.ended()
    assert code == 0, said
    assert hashes(run) == hashes(calm)
    assert not list(run.rglob("scratch"))
    lines = next(run.glob("steps/train/*/data/metrics.jsonl")).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, STEPS + 1))
    log = (run / "log" / "workers.log").read_text()
    for step in (1, 3, 4):  # what was stopped by SIGINT went on within the runner, which has no such log
        assert f"going on from step {step} of {STEPS}" in log
