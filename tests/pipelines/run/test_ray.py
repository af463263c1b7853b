"""Joining a Ray cluster by its address, with its token and never without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.run.engines.ray import culprit_of
from corpusmill.pipelines.run.engines.ray_cluster import join
from tests.pipelines.run.ray_nodes import TOKEN, head
from tests.warm import Warm

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A one-node cluster with a token; yields its address."""
    with head(tmp_path / "ray.log", cpus=1) as address:
        yield address


def test_a_joined_cluster_that_loses_a_worker_gives_the_same_bytes(
    cluster: str,
    recipe: Callable[..., Path],
    corpusmill: Call,
    warm: Warm,
    hashes_of: Callable[[Path], dict[str, str]],
    tmp_path: Path,
) -> None:
    """Of a worker of Ray nobody can tell more than that it died: the unit is tried again, as `test_losses`
    tells of any worker that SIGKILL ends."""
    path = recipe({30: "KILL"}, documents=300, kind="ray")
    plugin = path.with_name("faulty.py")
    killed = path.with_name("killed")
    plugin.write_text(
        plugin.read_text().replace(
            'if text.startswith("KILL"):',
            'if text.startswith("KILL") and not Path(__file__).with_name("killed").exists():\n'
            '                Path(__file__).with_name("killed").touch()',
        )
    )
    settings = ["--set", f"engine.address={cluster}"]
    joined = corpusmill("run", path, "--out", tmp_path / "two", *settings, env={"RAY_AUTH_TOKEN": TOKEN})
    assert joined.returncode == 0, joined.stderr
    assert killed.exists()
    assert "a: unit 0: crash: WorkerCrashedError" in joined.stderr
    calm = warm.call("run", path, "--set", "engine.kind=inline")
    assert calm.returncode == 0, calm.stderr
    assert hashes_of(tmp_path / "runs" / "small") == hashes_of(tmp_path / "two")


def test_a_local_cluster_that_does_not_start_is_a_fault_with_its_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside a stand-in for Ray, which changes a process for good once it is imported."""
    ray, config, ended = ModuleType("ray"), ModuleType("ray.job_config"), []

    def late(**options: object) -> None:
        raise Exception("The current node timed out during startup.")  # as `ray._private.node` does

    members = {"init": late, "is_initialized": lambda: False, "shutdown": lambda: ended.append(True)}
    for name, member in members.items():
        monkeypatch.setattr(ray, name, member, raising=False)
    monkeypatch.setattr(config, "JobConfig", type("JobConfig", (), {}), raising=False)
    for module in (ray, config):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, "0")
    before = dict(os.environ)
    with pytest.raises(
        UserError, match=r"does not start: Exception: The current node .* engine.kind=process"
    ):
        join(None, 1)
    assert ended == [True]
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("name", "culprit"),
    [("WorkerCrashedError", "unclear"), ("OutOfMemoryError", "unclear"), ("NodeDiedError", "outside")],
)
def test_only_the_death_of_a_worker_may_be_the_tasks_doing(name: str, culprit: str) -> None:
    assert culprit_of(type(name, (Exception,), {})()) == culprit


def test_a_cluster_is_never_joined_without_authentication(
    recipe: Callable[..., Path], corpusmill: Call
) -> None:
    settings = ["--set", "engine.kind=ray", "--set", "engine.address=127.0.0.1:1"]
    refused = corpusmill("run", recipe(documents=10), *settings, env={"RAY_AUTH_MODE": "disabled"})
    assert refused.returncode == 1
    assert "would join Ray at 127.0.0.1:1 without authentication" in refused.stderr
