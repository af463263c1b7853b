"""The scheduler: which unit runs when and in which batch, and what is late.

One thread drives any engine. Units of every step whose inputs are complete are eligible, in step order, so
independent sources keep all workers busy. They are drawn from the steps as the engine has room for them: a
million of them are never in memory. Engines that take batches get small units together, as many as are
expected to take the engine's `batch_seconds`; each unit commits and is told by itself all the same.

What becomes of a unit that fails, or whose worker is lost, is in `tries`. None of this touches the output: a
unit's bytes do not depend on its attempts, only on which documents are quarantined.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from corpusmill.pipelines.contract.errors import IntegrityError, Interrupted, LedgerError, UserError
from corpusmill.pipelines.contract.unit_progress import UnitProgress, read_progress
from corpusmill.pipelines.run.engines.engine import Beat, Died, Done, Engine, Event, Failed, Returned
from corpusmill.pipelines.run.load import Batch, Load
from corpusmill.pipelines.run.pace import Pace
from corpusmill.pipelines.run.stop import Stop
from corpusmill.pipelines.run.stragglers import stragglers
from corpusmill.pipelines.run.task import Executed
from corpusmill.pipelines.run.tries import Tries
from corpusmill.pipelines.run.unit import Unit
from corpusmill.pipelines.run.waiting import Waiting
from corpusmill.pipelines.run.watch import Policy, Running

log = logging.getLogger("corpusmill.run")
__all__ = ["Listener", "Policy", "Scheduler", "Unit"]

POLL_SECONDS = 0.25
# Units under way beyond which no batch is to wait for a worker: a million of them would fill the memory.
MOST_WAITING = 20_000
# Units under way beyond which their limits are looked at no oftener than every POLL_SECONDS.
MANY = 64
PROGRESS_SECONDS = 1.0  # between looks at how far units have got


def _may_follow_from_a_signal(event: Event) -> bool:
    """Whether the signal that stops the run may have taken this event's worker along."""
    return isinstance(event, Died | Returned) or (isinstance(event, Failed) and event.kind != "user")


class Listener:
    """What the runner hears; the default ignores everything."""

    def unit_done(self, unit: Unit, done: Executed) -> None: ...
    def unit_event(self, unit: Unit, what: str, detail: str) -> None: ...
    def unit_progress(self, unit: Unit, progress: UnitProgress) -> None: ...
    def memory(self, resident: int) -> None: ...


class Scheduler:
    """Runs units on an engine.

    `more()` gives newly eligible units; it is asked at first, after each unit that is done, and after the end
    of an iterator that it gave. An iterator is drawn from only as the engine has room, so that its units need
    not exist before. `complete(unit, done)` records one, and `surroundings()` tells what, if anything, is
    wrong with the folder that all units work in.
    """

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        more: Callable[[], Iterable[Unit]],
        complete: Callable[[Unit, Executed], None],
        listener: Listener | None = None,
        surroundings: Callable[[], UserError | None] = lambda: None,
    ) -> None:
        self._engine, self._policy = engine, policy
        self._more, self._complete = more, complete
        self._listener = listener or Listener()
        self._waiting = Waiting()
        self._tries = Tries(policy, self._waiting, surroundings, self._listener.unit_event)
        self._load = Load(policy.memory)
        self._paces: dict[str, Pace] = defaultdict(Pace)
        self._running: dict[int, Running] = {}
        self._solo: dict[int, Running] = {}  # those of `_running` that use every core
        self._tickets = 0
        self._looked = 0.0  # when limits were last looked at
        self._asked = 0.0  # when units that share the engine were last asked how far they have got
        self._stop = Stop()

    def run(self) -> None:
        """Run until nothing is eligible or running.

        After everything that does not depend on failed units is done, raises UserError where the user must
        mend each of the faults, and UnitFailed otherwise; every fault is named. At once raises UserError if
        no unit could succeed, and Interrupted on SIGINT or SIGTERM. Running units are killed first; what was
        committed stays.
        """
        with self._stop:
            try:
                self._waiting.add(self._more())
                while self._goes_on():
                    if self._stop.asked:
                        self._announce_stop()
                        raise Interrupted("stopped; what was committed stays, run the same command to go on")
                    self._submit()
                    if not self._running:  # every unit left waits for its pause to end
                        time.sleep(POLL_SECONDS / 5)
                        continue
                    events = self._engine.poll(POLL_SECONDS)
                    heard = time.monotonic()  # not later: while we work on the events, nobody listens
                    for event in events:
                        self._handle(event)
                    self._check_limits(heard)
                self._tries.tell_faults()
            finally:
                self._engine.close()

    def _goes_on(self) -> bool:
        """Whether a unit runs or waits, after asking for more where an iterator came to its end."""
        while not self._running and not self._waiting:
            if not self._waiting.lazily_ended():
                return False
            self._waiting.add(self._more())
        return True

    def _announce_stop(self) -> None:
        """Tell the user why it may take a moment."""
        names = sorted({running.unit.step for running in self._solo.values()})
        if names:
            log.warning(
                "stopping: %s may take a minute to leave its work in order; ask again to stop at once",
                ", ".join(names),
            )

    def _submit(self) -> None:
        while not self._stop.asked and self._has_room():
            now = time.monotonic()
            unit = self._waiting.next(now)
            if unit is None and self._waiting.lazily_ended():
                self._waiting.add(self._more())
                unit = self._waiting.next(now)
            if unit is None or not self._load.admits(unit):
                return
            self._start(self._gather(unit, now), now)

    def _has_room(self) -> bool:
        """Whether the engine takes one more batch, and memory what it holds."""
        most = self._engine.room if len(self._running) < MOST_WAITING else self._engine.slots
        return self._load.batches < most

    def _gather(self, first: Unit, now: float) -> list[Unit]:
        """The units that go into one batch with the unit that is due."""
        units = [self._waiting.take()]
        if not self._engine.batch_seconds or first.single:
            return units
        pace = self._paces[first.step]
        most, seconds = pace.most(self._engine.slots), pace.estimate(first.weight)
        while len(units) < most:
            unit = self._waiting.next(now)
            if unit is None or unit.step != first.step or unit.single or not self._load.admits(unit):
                break
            seconds += pace.estimate(unit.weight)
            if seconds > self._engine.batch_seconds:
                break
            units.append(self._waiting.take())
        return units

    def _start(self, units: list[Unit], now: float) -> None:
        batch = Batch.of(units)
        self._load.begin(batch)
        orders = []
        for unit in units:
            self._tickets += 1
            task = unit.next_task()
            running = self._running[self._tickets] = Running(unit, batch, unit.attempt, now)
            if unit.solo:
                self._solo[self._tickets] = running
            orders.append((self._tickets, task))
        self._engine.submit(orders, batch.memory)

    def _end(self, ticket: int) -> Running:
        """Take an attempt out of those under way; another at the same unit is now the only one."""
        running = self._running.pop(ticket)
        self._solo.pop(ticket, None)
        self._load.end(running.batch)
        if running.twin is not None:
            self._running[running.twin].twin = None
        return running

    def _kill(self, ticket: int) -> Running:
        """End an attempt, wherever it is, and what it would commit."""
        self._engine.cancel(ticket)
        running = self._end(ticket)
        running.unit.folder.revoke(running.unit.number, running.attempt)
        return running

    def _handle(self, event: Event) -> None:
        running = self._running.get(event.ticket)
        if running is None:
            return
        now = time.monotonic()
        if isinstance(event, Beat):
            if running.void:  # its worker comes to a unit that is done
                self._kill(event.ticket)
                return
            running.hear(now)
            self._load.beat(running.batch, event.rss)
            self._listener.memory(self._load.resident)
            return
        unit, twin = running.unit, running.twin
        self._end(event.ticket)
        if not isinstance(event, Done):
            unit.folder.revoke(unit.number, running.attempt)
        if running.void:
            return
        if twin is not None and not (isinstance(event, Failed) and event.kind == "halt"):
            if not isinstance(event, Done):  # the other attempt decides
                detail = event.traceback if isinstance(event, Failed) else event.cause
                self._listener.unit_event(unit, "attempt in vain", detail)
                return
            self._win(twin)
        if self._stop.asked and _may_follow_from_a_signal(event):
            self._waiting.again(unit, now)
        elif isinstance(event, Done):
            if unit.suspect is not None:
                self._tries.acquit(unit, unit.suspect, now)
            else:
                self._done(unit, event.executed)
        elif isinstance(event, Failed):
            self._tries.failed(unit, event, now)
        elif isinstance(event, Died):
            self._tries.lost(unit, "crash", event.cause, event.culprit, now, limit=event.limit)
        else:
            self._tries.returned(unit, event, now)

    def _win(self, loser: int) -> None:
        """The unit is done by another attempt: this one is in vain."""
        running = self._running[loser]
        running.void = True
        if running.seen is not None:  # in hand; what only waits for its worker ends when that comes to it
            self._kill(loser)

    def _done(self, unit: Unit, done: Executed) -> None:
        self._tries.done(unit)
        self._paces[unit.step].note(done.seconds, unit.weight)
        self._listener.unit_done(unit, done)
        try:
            self._complete(unit, done)
        except (LedgerError, IntegrityError) as error:  # of this step, which others may not need
            self._tries.give_up(unit, error)
        else:
            self._waiting.add(self._more())

    def _check_limits(self, now: float) -> None:
        for running in self._solo.values():
            self._look_at(running)
        self._look_at_others(now)
        if len(self._running) > MANY and now - self._looked < POLL_SECONDS:
            return
        self._looked = now
        queues = self._engine.room > self._engine.slots
        for ticket, running in list(self._running.items()):
            if ticket in self._solo or running.void:
                continue
            found = running.over(now, self._policy, beats=self._engine.beats, queues=queues)
            if found is not None:
                alone = running.twin is None
                self._kill(ticket)
                if alone:
                    self._tries.lost(running.unit, "timeout", *found, now=time.monotonic())
        self._start_again(now)

    def _start_again(self, now: float) -> None:
        """Where workers are free and nothing waits, give them units that are late elsewhere."""
        if self._load.batches >= self._engine.slots or self._waiting.next(now) is not None:
            return
        for late in stragglers(self._running, self._paces, now):
            units = [running.unit for _, running in late]
            if self._stop.asked or self._load.batches >= self._engine.room or not self._admit(units):
                return
            first = self._tickets + 1
            self._start(units, now)
            for other, (ticket, running) in enumerate(late, first):
                running.twin, self._running[other].twin = other, ticket
                log.info(
                    "step %s, unit %s: late, begun a second time", running.unit.step, running.unit.number
                )

    def _admit(self, units: Sequence[Unit]) -> bool:
        return all(self._load.admits(unit) for unit in units)

    def _look_at_others(self, now: float) -> None:
        """Pass on how far those have got that share the engine, now and then and not of very many."""
        if now - self._asked >= PROGRESS_SECONDS:
            self._asked = now
            begun = (running for running in self._running.values() if running.seen is not None)
            for running in islice(begun, MANY):
                self._look_at(running)

    def _look_at(self, running: Running) -> None:
        """Pass on how far a unit says it has got."""
        progress = read_progress(running.unit.folder.scratch(running.unit.number))
        if progress is not None and progress != running.progress:
            running.progress = progress
            self._listener.unit_progress(running.unit, progress)
