"""Runs on object storage for tests: recipes, what a run holds, and units that other machines do."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.run import runner as runner_module
from corpusmill.pipelines.run.engines.engine import Order
from corpusmill.pipelines.run.engines.inline import InlineEngine
from corpusmill.pipelines.run.runner import RunListener, Runner, RunResult
from corpusmill.pipelines.run.scheduler import Unit
from corpusmill.pipelines.run.task import Executed
from corpusmill.pipelines.storage.objects.current import use_storage
from corpusmill.pipelines.storage.remote import sent_files
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.fault_proxy import Fault, Seen
from tests.object_server import ObjectServer
from tests.pipelines.run.forked_runs import ForkedRuns

Kind = Literal["drop", "lost"]

BUCKET = "runs-of-tests"
SHORT = """
name: short
seed: 3
data: corpus
{storage}
sources:
  lines: {{read: {{jsonl: {{files: lines/**/*.jsonl*, split_bytes: 65536}}}}, steps: [gopher_repetition]}}
dedup: [exact]
"""


def storage(server: ObjectServer, run: str, cache: str = "cache", keep: str = "all") -> str:
    """The lines of a recipe that let its run lie in the bucket under the name `run`."""
    return (
        f"output: s3://{BUCKET}/{run}\nkeep: {keep}\n"
        f"storage: {{schemes: [s3], endpoint: '{server.proxy.url}', cache: {cache}, retry_wait_s: 0.01}}"
    )


def short(folder: Path, corpus: Path, lines: str = "") -> Path:
    """A recipe of few steps in a folder of its own, with `lines` of storage or none."""
    folder.mkdir(exist_ok=True)
    if not (folder / "corpus").exists():
        (folder / "corpus").symlink_to(corpus)
    path = folder / "recipe.yaml"
    if "engine:" not in lines:
        lines = f"engine: {{kind: inline}}\n{lines}"
    path.write_text(SHORT.format(storage=lines))
    return path


def run(recipe: Path, until: Sequence[str] | None = None) -> RunResult:
    return Runner(load_recipe(recipe, inputs=True)).run(until)


def contents(recipe: Recipe) -> dict[str, tuple[str, str]]:
    """Version and content hash of each step of a recipe's run: the hash is of all files and receipts."""
    folder = RunFolder(recipe.output_folder)
    steps = {name: folder.step(name, version) for name, version in folder.current().steps.items()}
    return {name: (step.path.name, step.need_manifest().content) for name, step in steps.items()}


def of_recipe(path: Path) -> dict[str, tuple[str, str]]:
    recipe = load_recipe(path)
    use_storage(recipe.storage)
    return contents(recipe)


def events(recipe: Path) -> list[dict[str, object]]:
    """What the log of the run says of its units."""
    log = load_recipe(recipe).output_folder / "log" / "run.jsonl"
    found = map(json.loads, log.read_text("utf-8").splitlines())
    return [event for event in found if event["event"] == "unit"]


class Elsewhere(InlineEngine):
    """Does each unit on one of `machines`, which share nothing but the store."""

    machines: Sequence[Path] = ()

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        moved = []
        for ticket, task in batch:
            cache = self.machines[task.number % len(self.machines)]
            there = {**task.storage, "cache": str(cache)} if task.storage else {}
            moved.append((ticket, replace(task, storage=there)))
        super().submit(moved, memory)


def run_on_machines(recipe: Path, folder: Path, whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a recipe on three machines, folders in `folder`. They fetch ranges of files of exchanges that are
    larger than `whole` bytes."""
    monkeypatch.setattr(sent_files, "WHOLE_BYTES", whole)
    monkeypatch.setattr(Elsewhere, "machines", [folder / name for name in ("one", "two", "three")])
    monkeypatch.setattr(runner_module, "make_engine", lambda recipe, log: Elsewhere())
    run(recipe)


def told(*command: str) -> str:
    """What a command writes to its standard output."""
    result = CliRunner().invoke(app, list(command), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def requests_of_a_run(
    runs: ForkedRuns, server: ObjectServer, corpus: Path, folder: Path, keep: str = "all"
) -> int:
    """How many requests a run of the short recipe sends, but for its lease."""
    server.proxy.fresh()
    runs.start(short(folder, corpus, storage(server, folder.name, keep=keep)))
    assert runs.end() == 0
    return len(asked(server))


def kill_at(
    runs: ForkedRuns,
    server: ObjectServer,
    corpus: Path,
    folder: Path,
    number: int,
    kind: Kind,
    keep: str = "all",
) -> dict[str, tuple[str, str]]:
    """Kill a run of the short recipe at its request of this number, let it go on, and tell what it holds.

    `drop`: before the server has seen the request, `lost`: after. It goes on from another machine where
    `number` is odd.
    """
    server.proxy.fresh()
    left = itertools.count(-number)
    dead = threading.Event()

    def kill() -> None:
        os.kill(runs.process, signal.SIGKILL)
        dead.set()

    def of(seen: Seen) -> bool:
        return not _of_lease(seen) and next(left) == 0

    server.proxy.faults.append(Fault(kind, of, action=kill))
    recipe = short(folder, corpus, storage(server, folder.name, keep=keep))
    runs.start(recipe)
    assert runs.end() == -signal.SIGKILL
    assert dead.wait(10)
    server.proxy.fresh()
    if number % 2:
        recipe = short(
            folder.with_name(f"{folder.name}-other"), corpus, storage(server, folder.name, keep=keep)
        )
    runs.start(recipe)
    assert runs.end() == 0
    return of_recipe(recipe)


def _of_lease(seen: Seen) -> bool:
    return "lease.json" in seen.path


def asked(server: ObjectServer) -> list[Seen]:
    """Requests but those of leases, which come by the clock."""
    return [seen for seen in server.proxy.seen if not _of_lease(seen)]


class Meddling(RunListener):
    """Calls something when so many units are done."""

    def __init__(self, after: int) -> None:
        self.left = after

    def unit_done(self, unit: Unit, done: Executed) -> None:
        self.left -= 1
        if self.left == 0:
            self.meddle()

    def meddle(self) -> None:
        raise NotImplementedError
