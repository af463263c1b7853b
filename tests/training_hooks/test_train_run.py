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
from dataclasses import dataclass
from pathlib import Path

import pytest

from corpusmill.pipelines.cli.main import app
from tests.waiting import PATIENCE, wait_until

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
    """`corpusmill run` in a process and a group of its own, and the file that takes what it says."""

    process: subprocess.Popen[bytes]
    said: Path

    def ended(self) -> tuple[int, str]:
        return self.process.wait(timeout=PATIENCE), self.said.read_text()

    def says(self, text: str) -> None:
        """Returns once it has said `text`."""
        wait_until(lambda: text in self.said.read_text(), f"the command says {text}", self.process)


def start(recipe: Path, out: Path, *flags: str, **environment: str) -> Command:
    said = out.with_name("said.txt")
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "corpusmill", "run", str(recipe), "--out", str(out), *flags],
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    return Command(process, said)


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


def test_signals_on_every_engine_and_a_kill_change_nothing(recipe: Path, run: Path, calm: Path) -> None:
    """One run, stopped by a signal after another and then killed, each time gone on with by the same command.

    A signal costs no step: exit code 2 and a checkpoint of the step in hand, the only one that is written.
    A kill of the process group costs a few.
    """
    signals = [
        (signal.SIGTERM, "process", True),  # as a service manager sends it: the worker hears it twice
        (signal.SIGINT, "process", False),
        (signal.SIGTERM, "inline", False),
    ]
    for step, (number, engine, group) in enumerate(signals, start=1):
        flags = ("--set", f"engine.kind={engine}", "--set", "train.checkpoint={every: 1000, keep: 1}")
        reached = run.with_name(f"reached-{step}")
        command = start(recipe, run, *flags, CORPUSMILL_FAULTPOINT=f"training-step:1:{reached}")
        process = command.process
        wait_until(reached.exists, f"training reaches step {step}", process)
        if step == 1:  # training tells how far it is
            command.says(f"train: 1/{STEPS}: loss ")
        os.killpg(process.pid, number) if group else process.send_signal(number)
        code, said = command.ended()
        assert code == 2, said
        assert "run the same command to go on" in said
        if step == 1:
            assert "of peak" in said
            assert "tokens/s" in said
        if not group:  # a worker that hears of it by itself may have ended before the runner tells it
            assert ("stopping: train may take a minute" in said) == (engine == "process")
        assert checkpoints(run) == [step]
    code, said = start(recipe, run, CORPUSMILL_FAULTPOINT="training-step:3").ended()
    assert code == -signal.SIGKILL, said
    assert checkpoints(run) == [3, 4]
    code, said = start(recipe, run).ended()
    assert code == 0, said
    assert hashes(run) == hashes(calm)
    assert not list(run.rglob("scratch"))
    lines = next(run.glob("steps/train/*/data/metrics.jsonl")).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, STEPS + 1))
    log = (run / "log" / "workers.log").read_text()
    for step in (1, 3, 4):  # what was stopped by SIGINT went on within the runner, which has no such log
        assert f"going on from step {step} of {STEPS}" in log
