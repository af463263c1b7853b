"""Files of a run folder that a run has open: the lock that keeps other runs out, and the logs."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.unit_progress import UnitProgress
from corpusmill.pipelines.recipe.environment import hide_values
from corpusmill.pipelines.run.scheduler import Listener, Unit
from corpusmill.pipelines.run.task import Executed
from corpusmill.pipelines.storage.remote.mirrors import store_of_run
from corpusmill.pipelines.system.faults import naming

_LONGEST_DETAIL = 2**16  # characters of one failure that the log keeps, from the end: there stands the cause


@dataclass(frozen=True)
class EventLog:
    """`log/run.jsonl`: one JSON object a line, with the time of what it tells in seconds since 1970."""

    path: Path
    file: IO[str]

    def note(self, event: Mapping[str, object]) -> None:
        """Append one event. An OSError names the file."""
        with naming(self.path):
            self.file.write(json.dumps({"time": round(time.time(), 3), **event}) + "\n")
            self.file.flush()


@dataclass(frozen=True)
class LoggedFailures(Listener):
    """Hands everything on to `listener`, and notes attempts that failed and may be tried again."""

    listener: Listener
    events: EventLog

    def unit_done(self, unit: Unit, done: Executed) -> None:
        self.listener.unit_done(unit, done)

    def unit_event(self, unit: Unit, what: str, detail: str) -> None:
        where = {"step": unit.step, "unit": unit.number, "attempt": unit.attempt}
        told = hide_values(detail)[-_LONGEST_DETAIL:]
        self.events.note({"event": "failure", **where, "failure": what, "detail": told})
        self.listener.unit_event(unit, what, detail)

    def unit_progress(self, unit: Unit, progress: UnitProgress) -> None:
        self.listener.unit_progress(unit, progress)

    def memory(self, resident: int) -> None:
        self.listener.memory(resident)


@contextmanager
def logs(folder: Path) -> Iterator[tuple[EventLog, IO[bytes]]]:
    """The log of events and that of workers' output, to append to."""
    log = folder / "log"
    log.mkdir(parents=True, exist_ok=True)
    with (
        (log / "run.jsonl").open("a", encoding="utf-8") as events,
        (log / "workers.log").open("ab") as workers,
    ):
        store = store_of_run(folder)
        try:
            yield EventLog(log / "run.jsonl", events), workers
        except BaseException:
            if store is not None:
                with suppress(UserError):  # what ends the run is told, not that its log cannot be kept
                    store.keep_log()
            raise
        if store is not None:
            store.keep_log()


@contextmanager
def locked(folder: Path) -> Iterator[os.stat_result]:
    """Keep other runs out of a folder, which is made where it is not there; the lock file's `fstat`.

    Of a run on object storage the lock keeps other drivers out of the mirror, and a lease those of other
    machines (`remote/lease.py`). Raises UserError where another run uses the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{folder}: another run is using this folder; wait for it, or choose another output"
            ) from error
        store = store_of_run(folder)
        with nullcontext() if store is None else store.driving():
            yield os.fstat(lock.fileno())
