"""How far a run has come, asked again and again while it runs: steps, the ledger so far, what falls.

The log is read on from where it was read to, and receipts once each, so that a look costs what is new.
Nothing is written, and the run's lock is not touched: whether someone has it is read from the system's list
of locks.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpusmill.pipelines.inspection.run_log import LONGEST_LINE

_RECENT = 30.0  # seconds over which rates are taken
_FAILURES = 20
_LATEST = 200  # units among which samples are looked for


@dataclass
class StepProgress:
    """A step of the last execution: units in all (None until they are listed), done before it and in it."""

    name: str
    units: int | None = None
    before: int = 0
    done: int = 0
    rows: int = 0
    seconds: float = 0.0
    complete: bool = False
    reused: bool = False
    began: float | None = None
    version: str = ""  # the name of its folder
    times: deque[float] = field(default_factory=deque)  # of units of the last half minute


@dataclass(frozen=True)
class Failure:
    """An attempt that failed and may have been tried again."""

    step: str
    unit: int
    words: str


class LogReader:
    """Follows `log/run.jsonl`: what the last execution has done so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._inode = -1
        self._begin()

    def _begin(self) -> None:
        self.started: float | None = None
        self.ended: float | None = None
        self.engine: str | None = None
        self.steps: dict[str, StepProgress] = {}
        self.failures: deque[Failure] = deque(maxlen=_FAILURES)
        self.latest: deque[tuple[str, int]] = deque(maxlen=_LATEST)  # step and number of units

    def read(self) -> None:
        """Take in what was written since the last call."""
        try:
            with self._path.open("rb") as file:
                stat = os.fstat(file.fileno())
                if stat.st_ino != self._inode or stat.st_size < self._at:
                    self._inode, self._at = stat.st_ino, 0
                    self._begin()
                file.seek(self._at)
                for line in iter(lambda: file.readline(LONGEST_LINE), b""):
                    if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                        break  # half a line: it is being written
                    self._at += len(line)
                    self._line(line)
        except FileNotFoundError:
            self._begin()

    def _line(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return  # a line that a killed run left; `inspect` counts them
        if isinstance(event, dict):
            self._event(event)

    def _event(self, event: dict[str, Any]) -> None:
        kind, moment = event.get("event"), float(event.get("time") or 0.0)
        if kind == "start":
            self._begin()
            self.started, self.engine = moment, event.get("engine")
        elif kind == "end":
            self.ended = moment
        elif kind == "failure":
            words = (
                str(event.get("failure")) + ": " + (str(event.get("detail")).strip().splitlines() or [""])[-1]
            )
            self.failures.append(Failure(str(event.get("step")), int(event.get("unit") or 0), words[:300]))
        elif kind in ("step", "unit", "step_done"):
            step = self.steps.setdefault(str(event.get("step")), StepProgress(str(event.get("step"))))
            if kind == "step":
                step.units = int(event.get("units") or 0)
                step.version = str(event.get("version") or "")
                if step.began is None:
                    step.began, step.before = moment, int(event.get("done") or 0)
            elif kind == "step_done":
                step.complete, step.reused = True, event.get("reused") is True
            else:
                step.done += 1
                self.latest.append((step.name, int(event.get("unit") or 0)))
                step.rows += int(event.get("rows") or 0)
                step.seconds += float(event.get("seconds") or 0.0)
                step.times.append(moment)
                while step.times and step.times[0] < moment - _RECENT:
                    step.times.popleft()

    def rate(self, step: StepProgress, now: float) -> float | None:
        """Units a second, over the last half minute, or since the step began where that is shorter."""
        if step.began is None or not step.done:
            return None
        span = min(_RECENT, now - step.began)
        recent = [moment for moment in step.times if moment > now - span]
        return len(recent) / span if span > 0 else None

    def left(self, step: StepProgress, now: float) -> float | None:
        """Seconds until the units that are listed are done, at this rate; None where nothing tells."""
        rate = self.rate(step, now)
        if not rate or step.units is None:
            return None
        return max(0.0, (step.units - step.before - step.done) / rate)


def in_use(folder: Path) -> bool | None:
    """Whether a run has the lock of the folder now; None where the system does not list locks."""
    try:
        stat = (folder / ".lock").stat()
        listed = Path("/proc/locks").read_text("ascii")
    except FileNotFoundError:
        return None if (folder / ".lock").exists() else False
    wanted = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
    return any(wanted in line.split() and "FLOCK" in line for line in listed.splitlines())


def moment() -> float:
    """Now, as the log counts time."""
    return time.time()
