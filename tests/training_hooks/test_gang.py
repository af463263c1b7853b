"""Ranks as processes that really die, hang, raise and are stopped: one error comes out, and no process stays.

The stage is one that stands in for a training, so that ranks start fast.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from corpusmill.pipelines.contract.errors import DataError, IntegrityError, Interrupted
from corpusmill.pipelines.run.engines.isolation import python_command
from corpusmill.pipelines.run.step import StageSpec
from corpusmill.training_hooks.launch.fault import End, Fault, RankError, cause, fault_of
from corpusmill.training_hooks.launch.launch import train_on_ranks
from tests.waiting import wait_until

STAND_IN = Path(__file__).parents[1] / "oracles" / "standing_in_ranks.py"
RANKS = 2
Gang = Callable[..., dict[str, Any]]


@pytest.fixture
def gang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gang:
    """Runs ranks of the stage that stands in; its options are given by name."""
    modules = tmp_path / "modules"
    modules.mkdir()
    shutil.copy(STAND_IN, modules)
    monkeypatch.syspath_prepend(str(modules))
    (tmp_path / "out").mkdir()

    def call(silence: float = 60.0, **options: Any) -> dict[str, Any]:
        spec = StageSpec("standing_in_ranks", "StandingIn", "standing_in", options)
        inputs = {"shards": [Path("0.arrow"), Path("1.arrow")]}
        return train_on_ranks(
            spec,
            7,
            inputs,
            tmp_path / "out",
            tmp_path / "kept",
            ranks=RANKS,
            threads=3,
            silence=silence,
            gpus=False,
        )

    return call


def numbers(folder: Path) -> list[int]:
    """The processes of all ranks, once they have begun."""
    wait_until(lambda: len(list(folder.glob("*.begun"))) == RANKS, "all ranks begin")
    wait_until(lambda: all(path.read_text() for path in folder.glob("*.begun")), "they tell their numbers")
    return [int(path.read_text()) for path in sorted(folder.glob("*.begun"))]


def ended(pid: int) -> bool:
    """Whether there is no such process but for one that nobody has asked after yet."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_the_summary_is_rank_0s_and_what_ranks_write_is_logged(
    gang: Gang, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "corpusmill.train")
    found = gang(then="done", others="done")
    assert found == {"seed": 7, "rank": 0, "inputs": {"shards": ["0.arrow", "1.arrow"]}, "scratch": "kept"}
    assert {"rank 0: said by 0 3", "rank 1: said by 1 3"} <= set(caplog.messages)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"then": "kill"}, RankError, r"rank 1 of 2 was killed by signal 9 \(SIGKILL\)"),
        ({"then": "kill", "others": "deaf"}, RankError, "rank 1 of 2 was killed by signal 9"),
        ({"then": "value", "others": "peer"}, RankError, "rank 1 of 2: ValueError: an expert of 9"),
        ({"then": "data"}, DataError, r"^shard-7.arrow: row 3 is cut off; write it again$"),
        ({"then": "freeze", "silence": 10.0}, RankError, "rank 1 of 2 gave no sign of life for 10 s"),
    ],
    ids=lambda value: value["then"] if isinstance(value, dict) else "",
)
def test_the_first_that_fails_ends_all_with_its_error(
    gang: Gang, tmp_path: Path, options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as raised:
        gang(at=1, **options)
    assert re.search(words, str(raised.value))
    assert all(ended(pid) for pid in numbers(tmp_path / "out"))


SCRIPT = """
import sys
from pathlib import Path
from corpusmill.pipelines.run.step import StageSpec
from corpusmill.training_hooks.launch.launch import train_on_ranks
folder = Path(sys.argv[1])
spec = StageSpec("standing_in_ranks", "StandingIn", "standing_in", {"then": "wait"})
train_on_ranks(spec, 7, {}, folder, folder.parent / "kept", ranks=2, threads=1, silence=60, gpus=False)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_rank_outlives_the_process_that_started_it(
    gang: Gang, tmp_path: Path, number: signal.Signals
) -> None:
    """Stopped, ranks leave their work in order; killed, it takes them along."""
    out = tmp_path / "out"
    process = subprocess.Popen(
        python_command(SCRIPT, str(out)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        pids = numbers(out)
        os.kill(process.pid, number)
        said, _ = process.communicate()
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: all(ended(pid) for pid in pids), "the ranks end")
    # Killed, it leaves the place where they met in the run's scratch folder; the next attempt removes it.
    assert len(list((tmp_path / "kept").iterdir())) == (number == signal.SIGKILL)
    gang(then="done", others="done")
    assert not list((tmp_path / "kept").iterdir())
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert re.search(r"errors\.Interrupted: stopped with [01]; run the same command", said), said
        assert process.returncode == 1


def test_of_several_ends_that_is_told_which_tells_most() -> None:
    lost = End(0, Fault("RuntimeError", "Connection closed by peer", "", of_peers=True))
    stopped = End(1, Fault("Interrupted", "stopped after 3 steps", ""))
    killed, asked = End(2, code=-9), End(3, code=-15)
    assert (
        str(cause([lost, stopped, killed], 4, stopped=False))
        == "rank 2 of 4 was killed by signal 9 (SIGKILL)"
    )
    assert str(cause([lost, killed], 4, stopped=True)) == "rank 2 of 4 was killed by signal 9 (SIGKILL)"
    assert isinstance(cause([lost, stopped], 4, stopped=False), Interrupted)
    assert str(cause([lost, asked, stopped], 4, stopped=True)) == "stopped after 3 steps"
    assert isinstance(cause([lost, asked], 4, stopped=True), Interrupted)
    assert str(cause([lost], 4, stopped=False)).startswith("rank 0 of 4: RuntimeError: Connection closed")
    assert str(cause([End(1, code=0)], 4, stopped=False)).endswith("exit code 0 before its work was done")
    assert cause([End(0), End(1)], 2, stopped=True) is None


def test_an_error_of_a_rank_is_what_it_was_where_that_decides_what_becomes_of_the_run() -> None:
    full = OSError(errno.ENOSPC, "no", "/data/x")
    denied = PermissionError(errno.EACCES, "no", "/data/y")
    for error in (DataError("x.arrow: cut off"), IntegrityError("x.arrow: changed"), full, denied):
        found = fault_of(error).error("rank 1 of 2")
        assert type(found) is type(error)
        if isinstance(error, OSError):
            assert isinstance(found, OSError)
            assert (found.errno, found.filename) == (error.errno, error.filename)
        else:
            assert str(found) == str(error)
    found = fault_of(SystemExit(3)).error("rank 1 of 2")
    assert isinstance(found, RankError)
    assert str(found) == "rank 1 of 2: SystemExit: 3"
    missing = fault_of(FileNotFoundError(errno.ENOENT, "no", "/data/z")).error("rank 1 of 2")
    assert isinstance(missing, RankError)


def test_the_loss_of_another_rank_is_known_by_its_error() -> None:
    assert fault_of(RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:1] no")).of_peers
    assert fault_of(ConnectionResetError()).of_peers
    assert not fault_of(RuntimeError("shape [3] is invalid")).of_peers
    assert not fault_of(ValueError("gloo/")).of_peers
