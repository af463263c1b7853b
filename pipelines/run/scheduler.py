"""The scheduler: which unit runs when, and what happens when one fails, dies, hangs or is interrupted.

One thread drives any engine. Units of every step whose inputs are complete are eligible, in step order, so
independent sources keep all workers busy. A unit that raises is tried again up to `retries` times. One whose
worker is lost is tried again after a pause, within a budget of its own; what such losses prove against a
document is in `blame`. A unit that fails for good stops nothing but what needs it: the run goes on with all
other units and then fails with every fault named. None of this touches the output: a unit's bytes do not
depend on its attempts, only on which documents are quarantined.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from corpusmill.pipelines.contract.errors import (
    CorpusmillError,
    IntegrityError,
    Interrupted,
    LedgerError,
    UnitFailed,
    UserError,
)
from corpusmill.pipelines.contract.unit_progress import UnitProgress, read_progress
from corpusmill.pipelines.run.blame import Streak, Suspect, lost_for_good, reason, together
from corpusmill.pipelines.run.engines.engine import Beat, Culprit, Died, Done, Engine, Event, Failed
from corpusmill.pipelines.run.operators.marker import Marker, named
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.task import Executed, Task
from corpusmill.pipelines.run.watch import Policy, Running
from corpusmill.pipelines.storage.run_folder import StepFolder

log = logging.getLogger("corpusmill.run")
__all__ = ["Listener", "Policy", "Scheduler", "Unit"]

POLL_SECONDS = 0.25
# Poisonous documents one unit may have before the unit itself is given up.
MOST_POISON = 64
# A step of which this many units failed, and none succeeded, is given up as a whole.
STEP_AT_FAULT = 8


@dataclass(eq=False)
class Unit:
    """One unit of one step and what was learnt of it so far."""

    step: str
    number: int
    task: Task
    folder: StepFolder
    weight: int = 0  # input bytes, for memory admission
    solo: bool = False  # uses every core itself
    alone: bool = False  # its workers are lost again and again
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    streak: Streak = field(default_factory=Streak)
    careful: bool = False
    suspect: Suspect | None = None  # shown alone to the next worker
    not_before: float = 0.0  # monotonic seconds
    poison: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def exclusive(self) -> bool:
        """Whether no other unit may run beside it."""
        return self.solo or self.alone or (self.suspect is not None and not self.suspect.clear)


def _may_follow_from_a_signal(event: Event) -> bool:
    """Whether the signal that stops the run may have taken this event's worker along."""
    return isinstance(event, Died) or (isinstance(event, Failed) and event.kind != "user")


class Listener:
    """What the runner hears; the default ignores everything."""

    def unit_done(self, unit: Unit, done: Executed) -> None: ...
    def unit_event(self, unit: Unit, what: str, detail: str) -> None: ...
    def unit_progress(self, unit: Unit, progress: UnitProgress) -> None: ...
    def memory(self, resident: int) -> None: ...


class Scheduler:
    """Runs units on an engine.

    `more()` gives newly eligible units, `complete(unit, done)` records one, and `surroundings()` tells
    what, if anything, is wrong with the folder that all units work in.
    """

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        more: Callable[[], Sequence[Unit]],
        complete: Callable[[Unit, Executed], None],
        listener: Listener | None = None,
        surroundings: Callable[[], UserError | None] = lambda: None,
    ) -> None:
        self._engine, self._policy = engine, policy
        self._more, self._complete = more, complete
        self._listener = listener or Listener()
        self._surroundings = surroundings
        self._faults: list[tuple[Unit, CorpusmillError]] = []
        self._begun: dict[str, bool] = {}  # steps in order of their first unit -> whether a unit succeeded
        self._queue: deque[Unit] = deque()
        self._running: dict[int, Running] = {}
        self._tickets = 0
        self._stop = False

    def run(self) -> None:
        """Run until nothing is eligible or running.

        After everything that does not depend on failed units is done, raises UserError where the user must
        mend each of the faults, and UnitFailed otherwise; every fault is named. At once raises UserError if
        no unit could succeed, and Interrupted on SIGINT or SIGTERM. Running units are killed first; what was
        committed stays.
        """
        restore = self._catch_signals()
        try:
            self._add(self._more())
            while self._queue or self._running:
                if self._asked_to_stop():
                    self._announce_stop()
                    raise Interrupted("stopped; what was committed stays, run the same command to go on")
                self._submit()
                if not self._running:  # every unit left waits for its pause to end
                    time.sleep(POLL_SECONDS / 5)
                    continue
                events = self._engine.poll(POLL_SECONDS)
                heard = time.monotonic()  # not later: while we work on the events, nobody listens to workers
                for event in events:
                    if self._asked_to_stop() and _may_follow_from_a_signal(event):
                        stopped = self._running.pop(event.ticket, None)
                        self._queue.extendleft([stopped.unit] if stopped is not None else [])
                    else:
                        self._handle(event)
                self._check_limits(heard)
            self._tell_faults()
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

    def _add(self, units: Sequence[Unit]) -> None:
        for unit in units:
            self._begun.setdefault(unit.step, False)
        self._queue.extend(units)

    def _submit(self) -> None:
        while not self._asked_to_stop() and len(self._running) < self._engine.slots:
            now = time.monotonic()
            unit = next((unit for unit in self._queue if unit.not_before <= now), None)
            if unit is None or not self._admits(unit):
                return
            self._queue.remove(unit)
            unit.attempt += 1
            self._tickets += 1
            # What an earlier attempt noted says nothing of this one.
            unit.folder.marker_path(unit.number).unlink(missing_ok=True)
            self._running[self._tickets] = Running(unit, now)
            task = replace(
                unit.task,
                attempt=unit.attempt,
                careful=unit.careful,
                alone=unit.suspect.ordinal if unit.suspect is not None else None,
                poison=dict(unit.poison),
            )
            self._engine.submit(self._tickets, task)

    def _admits(self, unit: Unit) -> bool:
        """Whether memory allows one more unit. One unit always runs, or nothing ever would."""
        if not self._running:
            return True
        if unit.exclusive or any(running.unit.exclusive for running in self._running.values()):
            return False
        if self._policy.memory is None:
            return True
        resident = sum(max(r.rss, _estimate(r.unit)) for r in self._running.values())
        return resident + _estimate(unit) <= self._policy.memory

    def _handle(self, event: Event) -> None:
        running = self._running.get(event.ticket)
        if running is None:
            return
        running.hear(time.monotonic())
        if isinstance(event, Beat):
            running.rss = event.rss
            self._listener.memory(sum(r.rss for r in self._running.values()))
            return
        del self._running[event.ticket]
        unit = running.unit
        if isinstance(event, Done):
            if unit.suspect is not None:
                self._acquit(unit, unit.suspect)
            else:
                self._done(unit, event.executed)
        elif isinstance(event, Failed):
            self._failed(unit, event)
        else:
            self._lost(unit, "crash", event.cause, event.culprit)

    def _done(self, unit: Unit, done: Executed) -> None:
        self._begun[unit.step] = True
        self._listener.unit_done(unit, done)
        try:
            self._complete(unit, done)
        except (LedgerError, IntegrityError) as error:  # of this step, which others may not need
            self._give_up(unit, error)
        else:
            self._add(self._more())

    def _failed(self, unit: Unit, event: Failed) -> None:
        if event.kind == "halt":
            raise UserError(event.message)
        if event.kind == "user":
            self._give_up(unit, UserError(event.message))
            return
        if event.kind == "damage":
            self._look_around()  # files that are missing were removed with the folder
            self._give_up(unit, IntegrityError(event.message))
            return
        self._listener.unit_event(unit, "failed", event.traceback)
        self._look_around()
        unit.failures += 1
        if unit.failures > self._policy.retries:
            message = f"step {unit.step}, unit {unit.number} failed {unit.failures} times: {event.message}"
            self._give_up(unit, UnitFailed(f"{message}\n{event.traceback}"))
        else:
            self._queue.appendleft(unit)

    def _lost(self, unit: Unit, cause: str, detail: str, culprit: Culprit) -> None:
        """A worker died or was killed under `unit`: weigh what that proves (see `blame`)."""
        self._listener.unit_event(unit, cause, detail)
        self._look_around()
        marker = Marker.read(unit.folder.marker_path(unit.number)) if unit.careful else None
        in_hand = marker if marker is not None and marker[1] >= 0 else None
        suspect = unit.suspect
        if in_hand is not None and culprit != "outside":
            if suspect is None or suspect.ordinal != in_hand[0]:
                unit.suspect = Suspect(*in_hand, cause, culprit == "task")
            elif suspect.convicts(culprit):
                self._convict(unit, suspect, detail)
                return
        elif culprit == "task":
            self._crashed(unit, cause, detail)
            return
        if culprit != "task":
            unit.losses += 1
            unit.streak.add(culprit)
            if unit.losses > self._policy.patience.losses or unit.streak.proves:
                names = unit.step, unit.number, unit.losses, cause, detail, in_hand, unit.streak
                self._give_up(unit, lost_for_good(*names))
                return
            unit.alone = unit.streak.warns
            unit.not_before = time.monotonic() + self._policy.patience.wait(unit.losses)
            # A single loss is bad luck; more of them may be a document's doing.
            if culprit == "unclear" and unit.losses > 1:
                unit.careful = operator_named(unit.task.step.operator).isolates
        self._queue.appendleft(unit)

    def _crashed(self, unit: Unit, cause: str, detail: str) -> None:
        """The task ended its worker, but no document is known to be at fault."""
        unit.failures += 1
        unit.suspect = None
        if unit.failures > self._policy.retries:
            self._give_up(unit, lost_for_good(unit.step, unit.number, unit.failures, cause, detail))
            return
        unit.careful = operator_named(unit.task.step.operator).isolates
        self._queue.appendleft(unit)

    def _convict(self, unit: Unit, suspect: Suspect, detail: str) -> None:
        stage = unit.task.step.stages[suspect.position].name
        unit.poison[suspect.ordinal] = (stage, reason(suspect.ordinal, suspect.cause))
        unit.suspect, unit.losses, unit.streak, unit.alone = None, 0, Streak(), False
        log.warning("step %s, unit %s: %s quarantined in %s (%s: %s)",
                    unit.step, unit.number, named(suspect.ordinal), stage, suspect.cause, detail)  # fmt: skip
        if len(unit.poison) > MOST_POISON:
            message = f"step {unit.step}, unit {unit.number}: over {MOST_POISON} poisonous documents"
            self._give_up(unit, UnitFailed(message))
        else:
            self._queue.appendleft(unit)

    def _acquit(self, unit: Unit, suspect: Suspect) -> None:
        """The suspect alone did no harm. Where the task had ended its worker, the fault is the unit's."""
        unit.suspect = None
        if suspect.clear:
            detail = f"at {named(suspect.ordinal)}, which alone does no harm"
            self._crashed(unit, suspect.cause, detail)
        else:
            self._queue.appendleft(unit)

    def _look_around(self) -> None:
        """Raise UserError where the surroundings explain a failure and would make every other unit fail."""
        if (found := self._surroundings()) is not None:
            raise found

    def _give_up(self, unit: Unit, error: CorpusmillError) -> None:
        """Note a fault and go on with what does not depend on it."""
        self._faults.append((unit, error))
        failed = sum(other.step == unit.step for other, _ in self._faults)
        if failed >= STEP_AT_FAULT and not self._begun[unit.step]:
            self._queue = deque(other for other in self._queue if other.step != unit.step)

    def _tell_faults(self) -> None:
        """Raise the faults that came up, if any: one as it is, several together."""
        if self._faults:
            order = {step: place for place, step in enumerate(self._begun)}
            faults = sorted(self._faults, key=lambda fault: (order[fault[0].step], fault[0].number))
            raise together([error for _, error in faults])

    def _check_limits(self, now: float) -> None:
        for ticket, running in list(self._running.items()):
            unit = running.unit
            if unit.solo:
                self._look_at(running)
                continue
            found = running.over(now, self._policy, beats=self._engine.beats)
            if found is not None:
                self._engine.cancel(ticket)
                del self._running[ticket]
                self._lost(unit, "timeout", *found)

    def _look_at(self, running: Running) -> None:
        """Pass on how far a unit says it has got."""
        progress = read_progress(running.unit.folder.scratch(running.unit.number))
        if progress is not None and progress != running.progress:
            running.progress = progress
            self._listener.unit_progress(running.unit, progress)


def _estimate(unit: Unit) -> int:
    """Bytes a unit is expected to hold: a worker's libraries, and its input several times over."""
    return 300 * 2**20 + 4 * unit.weight
