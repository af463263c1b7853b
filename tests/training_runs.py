"""A small recipe that trains, commands that run it as processes of their own, and what they leave."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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


def write_recipe(folder: Path) -> Path:
    """A recipe of two small sources, and what it reads, in a new folder; gives its path."""
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
    """A process as a shell starts one; its output so far is in `said.txt` beside `out`."""
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
def forked(
    training: Warm, recipe: Path, out: Path, *flags: str, code: str = "", **environment: str
) -> Iterator[Command]:
    """A fork of the process that has imported everything, likewise with a group of its own; `code` runs in it
    first."""
    told = out.with_name("pid.txt")
    tell = f"import os; open({str(told)!r} + '.new', 'w').write(str(os.getpid()))\n"
    tell += f"os.rename({str(told)!r} + '.new', {str(told)!r})"
    told.unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(
            training.call, "run", recipe, "--out", out, *flags, env=environment, code=f"{tell}\n{code}"
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
