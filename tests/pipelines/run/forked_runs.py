"""Runs recipes in processes of their own, forked from one that has imported everything.

    python -m tests.pipelines.run.forked_runs

Reads lines of the path of a recipe; for each it prints the process's number, and `end <status>` when it is
over. A lease is given up for lost after `LEASE_SECONDS`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow.parquet  # noqa: F401  # imported before it is forked

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.operators import read, scatter  # noqa: F401  # imported before it is forked
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.storage.remote import lease
from tests.writes import wait_for_no_disk

LEASE_SECONDS = 0.3


def main() -> None:
    lease.SECONDS = LEASE_SECONDS
    wait_for_no_disk()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            status = 2
            try:
                status = _run(Path(line.strip()))
            finally:
                os._exit(status)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print("end", os.waitstatus_to_exitcode(status), flush=True)


def _run(recipe: Path) -> int:
    try:
        Runner(load_recipe(recipe)).run()
    except CorpusmillError:
        traceback.print_exc()
        return 1
    return 0


class ForkedRuns:
    """The process that forks, and the run at work."""

    def __init__(self, commands: IO[str], answers: IO[str]) -> None:
        self._commands, self._answers = commands, answers
        self.process = 0  # of the run at work

    def start(self, recipe: Path) -> None:
        """Begin a run; its process is `process` from now on."""
        self._commands.write(f"{recipe}\n")
        self._commands.flush()
        self.process = int(self._answers.readline())

    def end(self) -> int:
        """The exit code of the run, when it is over; below 0 the number of the signal that ended it."""
        return int(self._answers.readline().split()[1])


@contextmanager
def forked_runs() -> Iterator[ForkedRuns]:
    """Start the process that forks; it ends with the context."""
    command = [sys.executable, "-m", "tests.pipelines.run.forked_runs"]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield ForkedRuns(process.stdin, process.stdout)
        process.stdin.close()


if __name__ == "__main__":
    main()
