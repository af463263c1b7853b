"""Joining a Ray cluster by its address, with its token and never without."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE, wait_until

Call = Callable[..., subprocess.CompletedProcess[str]]
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A one-node cluster with a token; yields its address."""
    with socket.socket() as free:  # the suite may run several times at once
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = str(Path(sys.executable).with_name("ray"))
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    start = [ray, "start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--block"]
    log = tmp_path / "ray.log"
    with log.open("wb") as output:
        process = subprocess.Popen(start, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until(lambda: "Ray runtime started" in log.read_text(), "Ray starts", process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()  # with --block this takes its node down, and no other
        process.wait(timeout=PATIENCE)


def test_a_joined_cluster_gives_the_same_bytes(
    cluster: str,
    finished: Path,
    corpusmill: Call,
    hashes_of: Callable[[Path], dict[str, str]],
    tmp_path: Path,
) -> None:
    settings = ["--set", "engine.kind=ray", "--set", f"engine.address={cluster}"]
    joined = corpusmill("run", finished, "--out", tmp_path / "two", *settings, env={"RAY_AUTH_TOKEN": TOKEN})
    assert joined.returncode == 0, joined.stderr
    assert hashes_of(tmp_path / "runs" / "small") == hashes_of(tmp_path / "two")


def test_a_cluster_is_never_joined_without_authentication(
    recipe: Callable[..., Path], corpusmill: Call
) -> None:
    settings = ["--set", "engine.kind=ray", "--set", "engine.address=127.0.0.1:1"]
    refused = corpusmill("run", recipe(documents=10), *settings, env={"RAY_AUTH_MODE": "disabled"})
    assert refused.returncode == 1
    assert "would join Ray at 127.0.0.1:1 without authentication" in refused.stderr
