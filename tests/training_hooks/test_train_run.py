"""Training as a step of a run: kills and signals from outside, and the same bytes in the end."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from corpusmill.pipelines.cli.main import app
from tests.waiting import PATIENCE, wait_until
from tests.warm import Warm

RECIPE = """\
name: small
seed: 5
data: .
engine: {kind: process, workers: 1}
sources:
  a: {read: {jsonl: a.jsonl}, steps: []}
  b: {read: {jsonl: b.jsonl}, steps: []}
tokenizer: {train: {vocab_size: 300}}
pack: {sequence_length: 64}
train:
  steps: 8
  batch_size: 2
  context: 16
  threads: 1
  ema: 0.9
  checkpoint: {every: 2}
"""
STEPS = 8


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "recipe"
    folder.mkdir()
    draw = random.Random(3)
    words = ["stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass"]
    for name in ("a", "b"):
        texts = [" ".join(draw.choices(words, k=40)) for _ in range(60)]
        lines = [json.dumps({"id": f"{name}{i}", "text": text}) for i, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder / "recipe.yaml"


@dataclass
class Command:
    """`corpusmill run` in a process and a group of its own, and how it ended: code and what it said."""

    pid: int
    ended: Callable[[], tuple[int, str]]
    over: Callable[[], bool]

    def reaches(self, happened: Callable[[], bool], what: str) -> None:
        """Returns once `happened()`, which it must before the command ends."""
        wait_until(lambda: happened() or self.over(), what)
        assert happened(), f"{what}: the command ended before: {self.ended()}"


def said_by(out: Path) -> str:
    return out.with_name("said.txt").read_text()


@contextmanager
def started(recipe: Path, out: Path, *flags: str, **environment: str) -> Iterator[Command]:
    """A process as a shell starts one; what it says so far is in `said.txt` beside `out`."""
    with out.with_name("said.txt").open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "corpusmill", "run", str(recipe), "--out", str(out), *flags],
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield Command(
            process.pid,
            ended=lambda: (process.wait(timeout=PATIENCE), said_by(out)),
            over=lambda: process.poll() is not None,
        )
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def forked(training: Warm, recipe: Path, out: Path, *flags: str, **environment: str) -> Iterator[Command]:
    """A fork of the process that has imported everything, likewise with a group of its own."""
    told = out.with_name("pid.txt")
    tell = f"import os; open({str(told)!r} + '.new', 'w').write(str(os.getpid()))\n"
    tell += f"os.rename({str(told)!r} + '.new', {str(told)!r})"
    told.unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(
            training.call, "run", recipe, "--out", out, *flags, env=environment, code=tell
        )  # fmt: skip
        wait_until(lambda: told.exists() or call.done(), "the command tells its number")
        pid = int(told.read_text())

        def ended() -> tuple[int, str]:
            done = call.result(timeout=PATIENCE)
            return done.returncode, done.stdout + done.stderr

        try:
            yield Command(pid, ended, call.done)
        finally:
            if not call.done():
                os.killpg(pid, signal.SIGKILL)


def hashes(run: Path) -> dict[str, str]:
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run / "steps").rglob("*"))
        if path.is_file()
    }


def checkpoints(run: Path) -> list[int]:
    found = run.glob("steps/train/*/scratch/00000/checkpoints/step-*")
    return sorted(int(path.name.removeprefix("step-")) for path in found)


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
