"""Nodes of a Ray cluster with a token, all on this machine, for tests of joining it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import PATIENCE, wait_until

TOKEN = "0123456789abcdef0123456789abcdef"


def free_port() -> int:
    """A port that nobody uses: the suite may run several times at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def node(log: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A node that `ray start` starts with these arguments; it is taken down at the end, and no other is."""
    ray = str(Path(sys.executable).with_name("ray"))
    variables = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, **(env or {})}
    variables["RAY_worker_niceness"] = "0"  # or workers wait long where all cores are at work
    start = [ray, "start", *arguments, "--block"]
    with log.open("wb") as output:
        process = subprocess.Popen(start, env=variables, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until(lambda: "Ray runtime started" in log.read_text(), "Ray starts", process)
        yield process
    finally:
        process.terminate()  # with --block this takes its node down, and no other
        process.wait(timeout=PATIENCE)


@contextmanager
def head(log: Path, cpus: int) -> Iterator[str]:
    """A cluster of one node; gives its address."""
    port = free_port()
    arguments = ["--head", f"--port={port}", f"--num-cpus={cpus}", "--include-dashboard=false"]
    with node(log, *arguments):
        yield f"127.0.0.1:{port}"
