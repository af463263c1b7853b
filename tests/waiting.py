"""How long a test waits: for an event, up to a bound that only something hung exceeds.

A bound guards against a test that never ends; it says nothing of speed. Machines are slow, or busy with other
work, by a factor of a hundred, so every bound is the same generous one, below pytest's own (`timeout` in
pyproject.toml), which would end the whole process.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

PATIENCE = 1500.0
"""Seconds that a command, or the wait for an event, may take."""


def wait_until(
    happened: Callable[[], bool],
    what: str,
    process: subprocess.Popen[str] | subprocess.Popen[bytes] | None = None,
) -> None:
    """Return once `happened()`. Raises AssertionError with `what` after PATIENCE seconds, and as soon as the
    process that ought to make it happen has ended without it."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if process is not None and process.poll() is not None:
            assert happened(), f"{what}: the process ended with {process.returncode} before"
            return
        assert time.monotonic() < deadline, f"{what}: waited {PATIENCE:g} s in vain"
        time.sleep(0.02)
