"""The scheduler: which unit runs when, and what happens when one fails, dies, hangs or is interrupted.

One thread drives any engine. Units of every step whose inputs are complete are eligible, in step order, so
independent sources keep all workers busy. A unit that raises is tried again up to `retries` times; one
that kills its worker or outlives `unit_timeout` is tried again *carefully*, one document at a time with
the document in hand noted on disk, so that the next crash names the culprit: it is quarantined and the
unit goes on. None of this touches the output: a unit's bytes do not depend on its attempts, only on which
documents were found poisonous.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from corpusmill.pipelines.engines.engine import Beat, Died, Done, Engine, Event, Failed
from corpusmill.pipelines.errors import IntegrityError, Interrupted, UnitFailed, UserError
from corpusmill.pipelines.operators.job import can_be_careful
from corpusmill.pipelines.operators.marker import PARTS, Marker, named
from corpusmill.pipelines.storage import Json, StepFolder
from corpusmill.pipelines.unit_progress import UnitProgress, read_progress

log = logging.getLogger("corpusmill.run")

POLL_SECONDS = 0.25
# Poisonous documents one unit may have before the unit itself is given up.
MOST_POISON = 64

# What the output says of a poisonous document. How the worker died is for the log: engines tell it in words
# of their own, and the output is the same on all of them.
_POISON = {
    "crash": "crash: its worker died with this document in hand",
    "timeout": "timeout: it was not done in the time a document may take",
}
_PART_POISON = {
    "crash": "crash: its worker died with this in hand",
    "timeout": "timeout: it was not done in the time a unit may take",
}
_CURES = {
    "crash": "If memory ran out, lower engine.workers or engine.memory; see log/workers.log of the run",
    "timeout": "If its work is merely slow, raise engine.unit_timeout_s (or engine.heartbeat_s for silence)",
}


@dataclass(frozen=True)
class Policy:
    """Limits on units: tries after the first, seconds a unit, seconds a document in careful mode, seconds
    without a sign of life, and bytes of memory for all workers together (None: no limit)."""

    retries: int = 2
    unit_timeout: float = 600.0
    document_timeout: float = 60.0
    heartbeat: float = 60.0
    memory: int | None = None


@dataclass
class Unit:
    """One unit of one step and what was learnt of it so far."""

    step: str
    number: int
    task: Json
    folder: StepFolder
    weight: int = 0  # input bytes, for memory admission
    solo: bool = False  # uses every core itself
    attempt: int = 0
    failures: int = 0
    careful: bool = False
    poison: dict[int, tuple[str, str]] = field(default_factory=dict)


def _may_follow_from_a_signal(event: Event) -> bool:
    """Whether the signal that stops the run may have taken this event's worker along."""
    return isinstance(event, Died) or (isinstance(event, Failed) and event.kind != "user")


@dataclass
class _Running:
    unit: Unit
    seen: float
    marked: float  # when the unit started, or its marker last moved
    marker: tuple[int, int] | None = None
    rss: int = 0
    progress: UnitProgress | None = None


class Listener:
    """What the runner hears; the default ignores everything."""

    def unit_done(self, unit: Unit, receipt: Json) -> None: ...
    def unit_event(self, unit: Unit, what: str, detail: str) -> None: ...
    def unit_progress(self, unit: Unit, progress: UnitProgress) -> None: ...
    def memory(self, resident: int) -> None: ...


class Scheduler:
    """Runs units on an engine: `more()` gives newly eligible units, `complete(unit, receipt)` records one."""

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        more: Callable[[], Sequence[Unit]],
        complete: Callable[[Unit, Json], None],
        listener: Listener | None = None,
    ) -> None:
        self._engine, self._policy = engine, policy
        self._more, self._complete = more, complete
        self._listener = listener or Listener()
        self._queue: deque[Unit] = deque()
        self._running: dict[int, _Running] = {}
        self._tickets = 0
        self._stop = False

    def run(self) -> None:
        """Run until nothing is eligible or running.

        Raises UserError at the first unit the user must mend, IntegrityError at the first that meets damage
        to what the run wrote, UnitFailed when a unit fails on every try, Interrupted on SIGINT or SIGTERM.
        Running units are killed first; what was committed stays.
        """
        restore = self._catch_signals()
        try:
            self._queue.extend(self._more())
            while self._queue or self._running:
                if self._asked_to_stop():
                    self._announce_stop()
                    raise Interrupted("stopped; what was committed stays, run the same command to go on")
                self._submit()
                events = self._engine.poll(POLL_SECONDS)
                heard = time.monotonic()  # not later: while we work on the events, nobody listens to workers
                for event in events:
                    if self._asked_to_stop() and _may_follow_from_a_signal(event):
                        stopped = self._running.pop(event.ticket, None)
                        self._queue.extendleft([stopped.unit] if stopped is not None else [])
                    else:
                        self._handle(event)
                self._check_limits(heard)
        finally:
            self._engine.close()
            restore()

    def _catch_signals(self) -> Callable[[], None]:
        if threading.current_thread() is not threading.main_thread():
            return lambda: None

        def stop(number: int, frame: FrameType | None) -> None:
            if self._stop:  # asked twice: do not wait for the current poll
                raise Interrupted("stopped at once; run the same command to go on")
            self._stop = True

        before: dict[int, Any] = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore

    def _asked_to_stop(self) -> bool:
        """Whether a signal came; it may at any time."""
        return self._stop

    def _announce_stop(self) -> None:
        """Tell the user why it may take a moment."""
        names = sorted({running.unit.step for running in self._running.values() if running.unit.solo})
        if names:
            log.warning(
                "stopping: %s may take a minute to leave its work in order; ask again to stop at once",
                ", ".join(names),
            )

    def _submit(self) -> None:
        while (
            not self._asked_to_stop()
            and self._queue
            and len(self._running) < self._engine.slots
            and self._admits(self._queue[0])
        ):
            unit = self._queue.popleft()
            unit.attempt += 1
            self._tickets += 1
            now = time.monotonic()
            unit.folder.marker_path(unit.number).unlink(missing_ok=True)  # an earlier attempt's word is void
            self._running[self._tickets] = _Running(unit, now, now)
            task = {
                **unit.task,
                "attempt": unit.attempt,
                "careful": unit.careful,
                "poison": {str(k): list(v) for k, v in unit.poison.items()},
            }
            self._engine.submit(self._tickets, task)

    def _admits(self, unit: Unit) -> bool:
        """Whether memory allows one more unit. One unit always runs, or nothing ever would."""
        if not self._running:
            return True
        if unit.solo or any(running.unit.solo for running in self._running.values()):
            return False
        if self._policy.memory is None:
            return True
        held = sum(max(r.rss, _estimate(r.unit)) for r in self._running.values())
        return held + _estimate(unit) <= self._policy.memory

    def _handle(self, event: Event) -> None:
        running = self._running.get(event.ticket)
        if running is None:
            return
        running.seen = time.monotonic()
        if isinstance(event, Beat):
            running.rss = event.rss
            self._listener.memory(sum(r.rss for r in self._running.values()))
            return
        del self._running[event.ticket]
        unit = running.unit
        if isinstance(event, Done):
            self._listener.unit_done(unit, event.receipt)
            self._complete(unit, event.receipt)
            self._queue.extend(self._more())
        elif isinstance(event, Failed):
            self._failed(unit, event)
        else:
            self._lost(unit, "crash", event.cause)

    def _failed(self, unit: Unit, event: Failed) -> None:
        if event.kind == "user":
            raise UserError(event.message)
        if event.kind == "damage":
            raise IntegrityError(event.message)
        unit.failures += 1
        self._listener.unit_event(unit, "failed", event.traceback)
        if unit.failures > self._policy.retries:
            raise UnitFailed(
                f"step {unit.step}, unit {unit.number} failed {unit.failures} times: {event.message}\n"
                f"{event.traceback}"
            )
        self._queue.appendleft(unit)

    def _lost(self, unit: Unit, cause: str, detail: str) -> None:
        """A worker died or was killed under `unit`: blame a document if the marker names one."""
        self._listener.unit_event(unit, cause, detail)
        marker = Marker.read(unit.folder.marker_path(unit.number)) if unit.careful else None
        if marker is not None and marker[1] >= 0:
            ordinal, position = marker
            stage = unit.task["step"]["stages"][position]["name"]
            unit.poison[ordinal] = (stage, (_POISON if ordinal < PARTS else _PART_POISON)[cause])
            log.warning("step %s, unit %s: %s quarantined in %s (%s: %s)",
                        unit.step, unit.number, named(ordinal), stage, cause, detail)  # fmt: skip
            if len(unit.poison) > MOST_POISON:
                raise UnitFailed(
                    f"step {unit.step}, unit {unit.number}: over {MOST_POISON} poisonous documents"
                )
        else:
            unit.failures += 1
            if unit.failures > self._policy.retries:
                raise UnitFailed(
                    f"step {unit.step}, unit {unit.number}: its worker was lost {unit.failures} times, last: "
                    f"{cause}, {detail}. {_CURES[cause]}"
                )
            unit.careful = can_be_careful(unit.task["step"]["operator"])
        self._queue.appendleft(unit)

    def _check_limits(self, now: float) -> None:
        for ticket, running in list(self._running.items()):
            unit = running.unit
            if unit.solo:
                self._look_at(running)
                continue
            marker = Marker.read(unit.folder.marker_path(unit.number)) if unit.careful else None
            if marker != running.marker:
                running.marker, running.marked = marker, now
            if marker is not None and marker[1] >= 0 and marker[0] < PARTS:
                late = now - running.marked > self._policy.document_timeout
                limit = f"no document done for {self._policy.document_timeout:g} s"
            else:  # a careful unit may take long as a whole, but not without progress
                late = now - running.marked > self._policy.unit_timeout
                limit = f"over {self._policy.unit_timeout:g} s"
            silent = self._engine.beats and now - running.seen > self._policy.heartbeat
            if late or silent:
                self._engine.cancel(ticket)
                del self._running[ticket]
                why = limit if late else f"no sign of life for {self._policy.heartbeat:g} s"
                self._lost(unit, "timeout", why)

    def _look_at(self, running: _Running) -> None:
        """Pass on how far a unit says it has got."""
        progress = read_progress(running.unit.folder.scratch(running.unit.number))
        if progress is not None and progress != running.progress:
            running.progress = progress
            self._listener.unit_progress(running.unit, progress)


def _estimate(unit: Unit) -> int:
    """Bytes a unit is expected to hold: a worker's libraries, and its input several times over."""
    return 300 * 2**20 + 4 * unit.weight
