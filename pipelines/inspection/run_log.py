"""What the log of a run says of its last execution: engine, wall time, and the units done per step.

The log is the only place of times; manifests have none. It is read line by line, so its size does not
matter. A line that a killed process left half-written is counted, not fatal, and so is one of over
`LONGEST_LINE` characters, which no run writes.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import PROGRAM, repairing
from corpusmill.pipelines.storage.remote.mirrors import location_of

LONGEST_LINE = 2**20


@dataclass
class StepLog:
    """Units of one step done in the last execution: how many, seconds of work, repeated attempts."""

    units: int = 0
    seconds: float = 0.0
    retries: int = 0
    peak_rss: int = 0


@dataclass
class RunLog:
    """The last execution. `seconds` is its wall time, None where it never came to its end; `command` what the
    user called, without `--repair`."""

    executions: int = 0
    started: float | None = None
    engine: str | None = None
    command: str | None = None
    seconds: float | None = None
    steps: dict[str, StepLog] = field(default_factory=dict)
    unreadable_lines: int = 0

    @property
    def work_seconds(self) -> float:
        """Seconds of work of all units together, whatever ran side by side."""
        return sum(step.seconds for step in self.steps.values())


def read_log(path: Path) -> RunLog:
    """The summary of `log/run.jsonl`; an empty one where there is no log."""
    log = RunLog()
    if not path.exists():
        return log
    with path.open(encoding="utf-8", errors="replace") as lines:
        going_on = False  # within a line that is too long
        for line in iter(partial(lines.readline, LONGEST_LINE), ""):
            whole, going_on = not going_on, not line.endswith("\n") and len(line) == LONGEST_LINE
            if going_on or not whole:
                log.unreadable_lines += whole
                continue
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                log.unreadable_lines += bool(line.strip())
                continue
            if isinstance(event, dict):
                _apply(log, event)
    return log


def repair_command(folder: Path) -> str | None:
    """The command that repairs the run in `folder`, or None where its log names none.

    It is the last command the log names, with `folder` as `--out`: a run that was copied or moved is repaired
    where it lies, not where it was made. Of a run that a program made it is what the program writes.
    """
    command = read_log(folder / "log" / "run.jsonl").command
    if command is None or command == PROGRAM:
        return None if command is None else repairing(command)
    try:
        words = shlex.split(command)
    except ValueError:  # the log has no seal: a quote may be missing
        return None
    if "--out" in words:
        at = words.index("--out")
        del words[at : at + 2]
    rest = shlex.join([*words[3:], "--out", location_of(folder.absolute()), "--repair"])
    return " ".join([shlex.join(words[:2]), *map(_expanding, words[2:3]), rest])  # corpusmill run RECIPE


def _expanding(path: str) -> str:
    """A path for a shell, which puts in what the log does not tell: values of variables."""
    return f'"{path}"' if "${" in path and not set(path) & set('"`\\') else shlex.quote(path)


def _apply(log: RunLog, event: dict[str, Any]) -> None:
    kind = event.get("event")
    if kind == "start":
        log.executions += 1
        log.started, log.engine, log.seconds = event.get("time"), event.get("engine"), None
        command = event.get("command")
        log.command = command if isinstance(command, str) else None
        log.steps = {}
    elif kind == "end":
        log.seconds = event.get("seconds")
    elif kind == "unit":
        step = log.steps.setdefault(str(event.get("step")), StepLog())
        step.units += 1
        step.seconds += float(event.get("seconds") or 0.0)
        step.retries += int(event.get("attempt") or 1) > 1
        step.peak_rss = max(step.peak_rss, int(event.get("rss") or 0))
