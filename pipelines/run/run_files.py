"""Files of a run folder that a run holds open: the lock that keeps other runs out, and the logs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from corpusmill.pipelines.contract.errors import UserError


@contextmanager
def logs(folder: Path) -> Iterator[tuple[IO[str], IO[bytes]]]:
    """The log of events and that of workers' output, to append to."""
    log = folder / "log"
    log.mkdir(parents=True, exist_ok=True)
    with (
        (log / "run.jsonl").open("a", encoding="utf-8") as events,
        (log / "workers.log").open("ab") as workers,
    ):
        yield events, workers


@contextmanager
def locked(folder: Path) -> Iterator[os.stat_result]:
    """Keep other runs out of a folder, which is made where it is not there; the lock file's `fstat`.

    Raises UserError where another run uses the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{folder}: another run is using this folder; wait for it, or choose another output"
            ) from error
        yield os.fstat(lock.fileno())
