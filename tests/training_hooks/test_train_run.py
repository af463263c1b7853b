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
from pathlib import Path

import pytest

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
  steps: 16
  batch_size: 4
  context: 32
  threads: 1
  ema: 0.9
  checkpoint: {every: 3}
"""
STEPS = 16


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    draw = random.Random(3)
    words = ["stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass"]
    for name in ("a", "b"):
        texts = [" ".join(draw.choices(words, k=40)) for _ in range(60)]
        lines = [json.dumps({"id": f"{name}{i}", "text": text}) for i, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder / "recipe.yaml"


def start(recipe: Path, out: Path, *flags: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "corpusmill", "run", str(recipe), "--out", str(out), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def hashes(run: Path) -> dict[str, str]:
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run / "steps").rglob("*"))
        if path.is_file()
    }


def checkpoints(run: Path) -> list[int]:
    found = run.glob("steps/train/*/scratch/00000/checkpoints/step-*")
    return sorted(int(path.name.removeprefix("step-")) for path in found)


@pytest.fixture(scope="module")
def calm(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that nobody disturbed; training told how far it was."""
    out = tmp_path_factory.mktemp("calm") / "run"
    code, said = ended(start(recipe, out))
    assert code == 0, said
    assert not list(out.rglob("scratch"))
    assert "of peak" in said
    assert "tokens/s" in said
    return out


@pytest.fixture
def run(calm: Path, tmp_path: Path) -> Path:
    """A run that has done everything but the training."""
    return Path(shutil.copytree(calm, tmp_path / "run", ignore=shutil.ignore_patterns("train", "*.log")))


def finish(recipe: Path, run: Path, calm: Path, *flags: str) -> None:
    """The same command again ends with the bytes of the calm run, and nothing of the attempts is left."""
    code, said = ended(start(recipe, run, *flags))
    assert code == 0, said
    assert hashes(run) == hashes(calm)
    lines = next(run.glob("steps/train/*/data/metrics.jsonl")).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, STEPS + 1))


def test_a_kill_of_the_process_group_costs_a_few_steps(recipe: Path, run: Path, calm: Path) -> None:
    code, said = ended(start(recipe, run, CORPUSMILL_FAULTPOINT="training-step:14"))
    assert code == -signal.SIGKILL, said
    assert checkpoints(run) == [9, 12]
    finish(recipe, run, calm)
    assert "going on from step 12 of 16" in (run / "log" / "workers.log").read_text()


@pytest.mark.parametrize(
    ("number", "engine", "group"),
    [
        (signal.SIGTERM, "process", True),  # as a service manager sends it: the worker hears it twice
        (signal.SIGINT, "process", False),
        (signal.SIGTERM, "inline", False),
    ],
)
def test_a_signal_stops_cleanly(
    number: signal.Signals, engine: str, group: bool, recipe: Path, run: Path, calm: Path
) -> None:
    """Exit code 2 and a checkpoint of the step in hand, the only one that is written; and on it goes."""
    flags = ("--set", f"engine.kind={engine}", "--set", "train.checkpoint.every=1000")
    reached = run.with_name("reached")
    process = start(recipe, run, *flags, CORPUSMILL_FAULTPOINT=f"training-step:5:{reached}")
    wait_until(reached.exists, "training reaches step 5", process)
    os.killpg(process.pid, number) if group else process.send_signal(number)
    code, said = ended(process)
    assert code == 2, said
    assert "run the same command to go on" in said
    if not group:  # a worker that hears of it by itself may have ended before the runner says so
        assert ("stopping: train may take a minute" in said) == (engine == "process")
    assert checkpoints(run) == [5]
    if number == signal.SIGTERM:  # what either signal leaves is the same
        finish(recipe, run, calm, *flags)
