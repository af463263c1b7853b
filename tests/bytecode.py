"""Bytecode of what tests import, kept where the environment has Python write none beside the sources.

Otherwise every process that a test starts compiles all that it imports: half of the seconds that a process
with torch takes to begin.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def keep() -> None:
    """For this process and those it starts: a folder of the user's cache, unless there is one already."""
    if not sys.dont_write_bytecode or sys.pycache_prefix is not None:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = str(home / "corpusmill-tests" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = folder
    sys.dont_write_bytecode, sys.pycache_prefix = False, folder


@contextmanager
def compiled_once() -> Iterator[None]:
    """Of processes that import the tests at the same moment, the first compiles them, and the others then
    read its bytecode; else each compiles all. Nobody waits where a process has done so before."""
    if sys.dont_write_bytecode or sys.pycache_prefix is None:
        yield
        return
    folder = Path(sys.pycache_prefix)
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "tests.compiled"
    with (folder / "tests.lock").open("w") as lock:
        if not done.exists():
            fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():  # meanwhile
            fcntl.flock(lock, fcntl.LOCK_UN)
        yield
        done.touch()
