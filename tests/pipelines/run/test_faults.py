"""Poisonous documents, dying workers, kills at every commit step, interrupts: nothing is lost or changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from corpusmill.pipelines.storage.committed import count_committed
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.pipelines.run.conftest import CLOCK
from tests.waiting import PATIENCE, wait_until
from tests.warm import Warm

Make = Callable[..., Path]
Hashes = Callable[[Path], dict[str, str]]


def ledger(run: Path, step: str) -> dict[str, dict[str, object]]:
    """Entries of a step by stage and source."""
    fingerprint = json.loads((run / "current.json").read_text())["steps"][step]
    manifest = json.loads((run / "steps" / step / fingerprint[:16] / "manifest.json").read_text())
    return {f"{entry['stage']}/{entry['source']}": entry for entry in manifest["ledger"]}


def test_documents_that_raise_crash_or_hang_are_quarantined_and_the_rest_goes_on(
    recipe: Make, warm: Warm, tmp_path: Path
) -> None:
    """One worker: where two units run, the time that one hangs for counts for the other's document too."""
    path = recipe({100: "RAISE", 300: "DIE", 700: "HANG"}, documents=1000, workers=1, heartbeat_s=10**6)
    done = warm.call("run", path, "--json", code=CLOCK.format(folder=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    entry = ledger(tmp_path / "runs" / "small", "a")["trouble/a"]
    quarantined = entry["quarantined"]
    assert isinstance(quarantined, dict)
    assert {reason: tally[0] for reason, tally in quarantined.items()} == {
        "ValueError": 1,
        "crash": 1,
        "timeout": 1,
    }
    assert entry["documents_in"] == 1000
    assert "document" in done.stderr
    assert "quarantined in trouble" in done.stderr


# Every commit step of a worker, and atomic writes (receipts, manifests, current.json) of a process that is
# runner and worker in one, each of which goes on from what the one before left.
FAULTPOINTS = [
    ("process", "commit-before-rename:1"),
    ("process", "commit-between-renames:3"),
    ("inline", "atomic-before-rename:2"),
    ("process", "commit-before-receipt:2"),
    ("process", "commit-after-receipt:2"),
    ("process", "manifest-before-clearing:1"),
    ("process", "atomic-before-rename:4"),
    ("inline", "atomic-before-rename:11"),
]


def test_a_kill_at_each_commit_step_changes_nothing(
    finished: Path, warm: Warm, hashes_of: Hashes, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    settings = ("--out", out, "--set", "engine.workers=1", "--set")
    for kind, point in FAULTPOINTS:
        killed = warm.call(
            *("run", finished, *settings, f"engine.kind={kind}"), env={"CORPUSMILL_FAULTPOINT": point}
        )
        assert killed.returncode == -signal.SIGKILL, point
    assert warm.call("run", finished, *settings, "engine.kind=process").returncode == 0
    assert hashes_of(out) == hashes_of(tmp_path / "runs" / "small")


WAITING_PLUGIN = '''
"""Counts words; a document of WAIT holds its unit up until a file named `go` is there."""

import time
from pathlib import Path

import numpy as np

from corpusmill.pipelines.contract.documents import reason_where
from corpusmill.pipelines.contract.stage import Filter


class Trouble(Filter):
    """Waits at WAIT."""

    def score(self, docs):
        words = []
        for text in docs.text.to_pylist():
            while text.startswith("WAIT") and not Path(__file__).with_name("go").exists():
                time.sleep(0.01)
            words.append(len(text.split()))
        return {"words": np.array(words, np.int64)}

    def judge(self, scores):
        return reason_where((np.asarray(scores["words"]) < 4, "too_few_words"))
'''


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(
    recipe: Make, warm: Warm, hashes_of: Hashes, tmp_path: Path
) -> None:
    """One worker takes the units of `a` in order and waits in that of document 1000: what is committed when
    the user asks, and what still waits for its turn, is then the same on any machine."""
    path = recipe({1000: "WAIT"}, documents=1500, workers=1, unit_timeout_s=240)
    (tmp_path / "faulty.py").write_text(WAITING_PLUGIN)
    before = b"".join((tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)[:1000])
    first = len(before) // 65536  # units that end before that document
    assert first >= 2
    process = subprocess.Popen(
        [sys.executable, "-m", "corpusmill", "run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    run = tmp_path / "runs" / "small"

    def committed() -> int:
        return sum(count_committed(StepFolder(path)) for path in run.glob("steps/a/*"))

    try:
        wait_until(lambda: committed() >= first, f"{first} units are committed", process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 2
    assert "interrupted" in errors
    assert "run the same command to go on" in errors
    assert committed() == first  # what was under way is given up, what was queued never began
    (tmp_path / "go").touch()
    done = warm.call("run", path, "--json")
    assert done.returncode == 0, done.stderr
    steps = {step["name"]: step for step in json.loads(done.stdout)["steps"]}
    assert steps["a.index"]["reused"]
    assert steps["a"]["done_now"] == steps["a"]["units"] - first > 0
    calm = ["--out", tmp_path / "calm", "--set", "engine.kind=inline"]
    assert warm.call("run", path, *calm).returncode == 0
    assert hashes_of(run) == hashes_of(tmp_path / "calm")


def test_two_runs_in_one_folder_are_refused(finished: Path, warm: Warm, tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "runs" / "small" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = warm.call("run", finished)
    assert refused.returncode == 1
    assert "another run is using this folder" in refused.stderr


def test_a_stage_that_fails_on_everything_fails_the_run_and_says_so(
    recipe: Make, warm: Warm, tmp_path: Path
) -> None:
    path = recipe(dict.fromkeys(range(200), "RAISE"), documents=200, retries=0, workers=1)
    failed = warm.call("run", path)
    assert failed.returncode == 2
    assert "trouble raised on each of the first 8 documents: ValueError: asked to" in failed.stderr
    events = map(json.loads, (tmp_path / "runs" / "small" / "log" / "run.jsonl").read_text().splitlines())
    told = [event for event in events if event["event"] == "failure"]
    assert told
    assert {(event["step"], event["failure"]) for event in told} == {("a", "failed")}
    assert all("faulty.py" in event["detail"] and "ValueError: asked to" in event["detail"] for event in told)
