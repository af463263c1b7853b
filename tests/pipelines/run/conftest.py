"""Small recipes over generated text, and a way to run them as a user would."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run import scheduler
from corpusmill.pipelines.run.runner import Runner
from tests.waiting import PATIENCE

WORDS = ("stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass")

FAULTY_PLUGIN = '''
"""Filters that fail in every way a filter can."""

import os
import signal
from pathlib import Path

import numpy as np

from corpusmill.pipelines.contract.documents import reason_where
from corpusmill.pipelines.contract.stage import Filter


class Trouble(Filter):
    """Raises on RAISE, dies on DIE, is killed on KILL; on HANG leaves a file that tells of it, and never
    returns."""

    def score(self, docs):
        words = []
        for text in docs.text.to_pylist():
            if text.startswith("RAISE"):
                raise ValueError("asked to")
            if text.startswith("DIE"):
                os.kill(os.getpid(), signal.SIGSEGV)
            if text.startswith("KILL"):  # as where memory runs out
                os.kill(os.getpid(), signal.SIGKILL)
            if text.startswith("HANG"):
                Path(__file__).with_name(f"hangs.{os.getpid()}").touch()
                signal.pause()
            words.append(len(text.split()))
        return {"words": np.array(words, np.int64)}

    def judge(self, scores):
        return reason_where((np.asarray(scores["words"]) < 4, "too_few_words"))
'''


def write_lines(path: Path, documents: int, seed: int, special: dict[int, str] | None = None) -> None:
    """A JSONL file of generated text; `special` puts a word before chosen documents. Some lines repeat."""
    draw = random.Random(seed)
    lines: list[str] = []
    for number in range(documents):
        text = " ".join(draw.choices(WORDS, k=draw.randint(2, 60)))
        if number % 10 == 9:
            text = json.loads(lines[draw.randrange(len(lines))])["text"]
        if special and number in special:
            text = f"{special[number]} {text}"
        lines.append(json.dumps({"id": f"{path.stem}-{number}", "text": text}))
    path.write_text("\n".join(lines) + "\n", "utf-8")


def write_recipe(folder: Path, special: dict[int, str] | None, documents: int, engine: object) -> Path:
    """A recipe with a plugin and two sources in `folder`; returns its path."""
    (folder / "faulty.py").write_text(FAULTY_PLUGIN)
    write_lines(folder / "a.jsonl", documents, 1, special)
    write_lines(folder / "b.jsonl", documents // 2, 2)
    text = f"""
name: small
plugins: [faulty.py]
engine: {json.dumps(engine)}
sources:
  a: {{read: {{jsonl: {{files: a.jsonl, split_bytes: 65536}}}}, steps: [trouble]}}
  b: {{read: {{jsonl: {{files: b.jsonl, split_bytes: 65536}}}}, steps: [trouble]}}
dedup: [exact]
"""
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe with a plugin and two sources; returns its path."""

    def make(special: dict[int, str] | None = None, documents: int = 3000, **engine: object) -> Path:
        return write_recipe(tmp_path, special, documents, {"kind": "process", "workers": 2, **engine})

    return make


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe and its finished run of the driver's own process, in one folder; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    path = write_recipe(folder, None, 1500, {"kind": "inline"})
    Runner(load_recipe(path)).run()
    plugins.clear_plugins()
    return folder


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """The recipe in a copy of the folder that holds its finished run, `runs/small`. Indexes are made again:
    they hold where files lie."""
    ignored = shutil.ignore_patterns("*.index")
    shutil.copytree(finished_once, tmp_path, ignore=ignored, dirs_exist_ok=True)
    Runner(load_recipe(tmp_path / "recipe.yaml")).run()
    plugins.clear_plugins()
    return tmp_path / "recipe.yaml"


def hashes(run: Path) -> dict[str, str]:
    """SHA-256 of every file below `steps`, by its path in the run: receipts and manifests included."""
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run / "steps").rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def hashes_of() -> Callable[[Path], dict[str, str]]:
    return hashes


# Another clock in the scheduler: while a document hangs, every look at the clock finds 100
# seconds gone, and otherwise none, so that limits of minutes find what hangs, not what is merely slow.
CLOCK = """
import os, types
from pathlib import Path
from corpusmill.pipelines.run import scheduler
folder, now = Path({folder!r}), 0.0
def hangs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
def monotonic():
    global now
    now += 100.0 * any(hangs(int(path.suffix[1:])) for path in folder.glob("hangs.*"))
    return now
def sleep(seconds):
    global now
    now += seconds
scheduler.time = types.SimpleNamespace(monotonic=monotonic, sleep=sleep)
"""


@pytest.fixture
def corpusmill() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line to its end, in processes started in full."""

    def call(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "corpusmill", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )

    return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The scheduler's clock, which stands still but for what a test adds to its one number, in seconds, and
    for the scheduler's own sleep, which takes none."""
    now = [1000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(scheduler, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return now
