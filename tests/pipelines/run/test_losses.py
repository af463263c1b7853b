"""Lost nodes, evicted workers, full disks and removed folders: none is held against a document."""

from __future__ import annotations

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run import runner
from corpusmill.pipelines.run.blame import Patience
from corpusmill.pipelines.run.engines.engine import Culprit, Died, Event
from corpusmill.pipelines.run.engines.inline import InlineEngine
from corpusmill.pipelines.run.engines.ray_cluster import ANSWER_SECONDS, CONNECT_SECONDS
from corpusmill.pipelines.run.engines.worker import attempt
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.run.scheduler import Unit
from corpusmill.pipelines.run.task import Executed, Task
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.warm import NO_PAUSE, Warm

Call = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., Path]
Hashes = Callable[[Path], dict[str, str]]


class Losing(InlineEngine):
    """Loses ten nodes in turn before, after and in the middle of their work; `culprit` is what it knows."""

    def __init__(self, culprit: Culprit) -> None:
        super().__init__()
        self.culprit, self.tasks, self.lost = culprit, 0, 0

    def poll(self, timeout: float) -> list[Event]:
        waiting, self._waiting = self._waiting, []
        return [self._one(ticket, task) for ticket, task in waiting]

    def _one(self, ticket: int, task: Task) -> Event:
        self.tasks += 1
        if self.lost == 10 or task.alone is not None or self.tasks % 5 == 0:
            return attempt(ticket, task)
        self.lost += 1
        if self.lost % 3 == 0:
            attempt(ticket, task)  # the node is lost after its unit was committed
        if self.lost % 3 == 1 and task.careful:
            marker = StepFolder(Path(task.folder)).marker_path(task.number)
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.write_bytes(struct.pack("<qq", 2, 0))
        return Died(ticket, "node lost", self.culprit)


@pytest.mark.parametrize("culprit", ["outside", "unclear"])
def test_ten_lost_nodes_change_no_byte_and_quarantine_nothing(
    culprit: Culprit,
    recipe: Make,
    hashes_of: Hashes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = recipe(documents=1200, kind="inline", retries=0)
    Runner(load_recipe(path, [f"output={tmp_path / 'calm'}"])).run()
    engine = Losing(culprit)
    monkeypatch.setattr(runner, "make_engine", lambda *_: engine)
    monkeypatch.setattr(runner, "Patience", lambda losses: Patience(losses, pause=0))
    result = Runner(load_recipe(path, [f"output={tmp_path / 'stormy'}"])).run()
    assert engine.lost == 10
    assert hashes_of(tmp_path / "stormy") == hashes_of(tmp_path / "calm")
    ledgers = [entry for state in result.steps for entry in result.manifest(state.step.name).ledger]
    assert ledgers
    assert not any(entry.quarantined for entry in ledgers)


def test_a_document_whose_workers_are_killed_is_named(recipe: Make, warm: Warm, tmp_path: Path) -> None:
    """Nobody can tell who sent SIGKILL. The same holds of a worker of Ray (`test_ray`)."""
    path = recipe({30: "KILL"}, documents=60, workers=1)
    done = warm.call("run", path, code=NO_PAUSE)
    assert done.returncode == 0, done.stderr
    assert "document 30 quarantined in trouble" in done.stderr
    fingerprint = json.loads((tmp_path / "runs/small/current.json").read_text())["steps"]["a"]
    manifest = json.loads((tmp_path / "runs/small/steps/a" / fingerprint[:16] / "manifest.json").read_text())
    (entry,) = [entry for entry in manifest["ledger"] if entry["stage"] == "trouble"]
    assert {reason: tally[0] for reason, tally in entry["quarantined"].items()} == {"crash": 1}


def test_what_does_not_need_a_failed_source_is_done_first(recipe: Make, warm: Warm, tmp_path: Path) -> None:
    path = recipe(dict.fromkeys(range(40), "RAISE"), documents=40, retries=0, workers=1)
    failed = warm.call("run", path)
    assert failed.returncode == 2
    assert "step a, unit 0 failed" in failed.stderr
    steps = json.loads((tmp_path / "runs/small/current.json").read_text())["steps"]
    assert "b" in steps
    assert "a" not in steps


LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
"""


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_a_file_that_cannot_grow_is_the_users_to_mend(kind: str, recipe: Make, warm: Warm) -> None:
    """A limit on the size of files stands for a full disk: writing fails, in workers and in the runner."""
    path = recipe(documents=400, kind=kind, workers=1)
    done = warm.call("run", path, code=LIMIT.format(size=20_000))
    assert done.returncode == 1, done.stderr
    assert "file too large; the file system or a limit" in done.stderr
    assert "Traceback" not in done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_log_is_the_users_to_mend(recipe: Make, warm: Warm, tmp_path: Path) -> None:
    path = recipe(documents=20, kind="inline")
    logs = tmp_path / "runs" / "small" / "log"
    logs.mkdir(parents=True)
    (logs / "run.jsonl").symlink_to("/dev/full")
    done = warm.call("run", path)
    assert done.returncode == 1
    assert "run.jsonl: no space left on device; make room there, then run the same command" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("output", ["/proc/nowhere", "/dev/null/run"])
def test_a_place_that_cannot_be_written_is_the_users_to_mend(output: str, recipe: Make, warm: Warm) -> None:
    done = warm.call("run", recipe(documents=20, kind="inline"), "--out", output)
    assert done.returncode == 1
    assert f"error: {output}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("removed", [".", "steps"])
def test_a_run_folder_removed_in_mid_run_is_told(removed: str, recipe: Make, tmp_path: Path) -> None:
    path = recipe(documents=400, kind="inline")
    folder = tmp_path / "runs" / "small"

    class Removes(runner.RunListener):
        def unit_done(self, unit: Unit, done: Executed) -> None:
            if unit.step == "a":
                shutil.rmtree(folder / removed)

    with pytest.raises(UserError, match=r"removed while .* run the same command again"):
        Runner(load_recipe(path, []), Removes()).run()
    Runner(load_recipe(path, [])).run()


def test_a_working_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    code = (
        "import os, sys\nos.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')\n"
        "from corpusmill.__main__ import main\nsys.argv[:] = ['corpusmill', 'validate', 'r.yaml']\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_cluster_that_does_not_answer_is_told_within_a_minute(recipe: Make, corpusmill: Call) -> None:
    """Nobody listens there, and Ray itself would try for minutes; the limits are what bounds the wait."""
    assert CONNECT_SECONDS + ANSWER_SECONDS < 60
    settings = ["--set", "engine.kind=ray", "--set", "engine.address=127.0.0.1:1"]
    refused = corpusmill("run", recipe(documents=10), *settings, env={"RAY_AUTH_TOKEN": "0" * 32})
    assert refused.returncode == 1
    assert "engine.address: cannot join Ray at 127.0.0.1:1: " in refused.stderr
    assert "check that it runs" in refused.stderr
    assert os.environ.get("RAY_ADDRESS") is None
