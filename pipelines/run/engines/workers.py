"""Batches done by processes that somebody else starts: `corpusmill worker RUN`, on any machine, at any time.

The driver leaves batches in the run's queue (`queue_folder`), and workers that share the folder take them:
those of an array job of Slurm, of a shell loop, of systemd. They may come and go while the run is on. A
worker that is not heard of for the recipe's `heartbeat_s` has lost its batch: the scheduler sees to that.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from corpusmill.pipelines.run.code_version import package_digest
from corpusmill.pipelines.run.engines.engine import Beat, Died, Event, Order, Returned
from corpusmill.pipelines.run.engines.queue_folder import Letter, Queue, Session

log = logging.getLogger("corpusmill.run")

BATCH_SECONDS = 40.0
LOOK_SECONDS = 0.1  # between looks into the queue, where they cost nothing
PRESENT_SECONDS = 30.0  # for which a worker counts after its last letter
LONELY_SECONDS = 10.0  # without any worker, until the user is told
CANCEL_SECONDS = 30.0
PENDING_TIMES, PENDING_MORE = 4, 16  # batches offered for each worker, and how many more at least


class WorkersEngine:
    """`most`: at most so many batches at once, or (None) as many as there are workers."""

    beats = True
    batch_seconds = BATCH_SECONDS

    def __init__(self, run: Path, plugins: Mapping[str, str], most: int | None) -> None:
        self._queue, self._most = Queue(run), most
        look = self._queue.shared.look_seconds
        self._look_seconds = min(look, LOOK_SECONDS) if look < 1 else look
        self._session = Session(uuid.uuid4().hex, package_digest(), plugins)
        self._queue.open(self._session)
        self._name = self._session.name
        self._count = 0
        self._batches: dict[str, dict[int, bool]] = {}  # tickets not ended -> whether the task is careful
        self._tickets: dict[int, str] = {}  # -> batch
        self._begun: set[str] = set()
        self._events: list[Event] = []
        self._present: dict[str, float] = {}  # worker -> when it was last heard of
        self._lonely: float | None = time.monotonic()

    @property
    def slots(self) -> int:
        count = max(1, len(self._present))
        return count if self._most is None else min(count, self._most)

    @property
    def room(self) -> int:
        if self._most is not None:
            return self._most  # nothing else would keep workers from taking more
        return max(PENDING_TIMES * self.slots, self.slots + PENDING_MORE)

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        self._count += 1
        name = f"{self._count:09d}"
        self._batches[name] = {ticket: task.careful for ticket, task in batch}
        self._tickets |= {ticket: name for ticket, _ in batch}
        self._queue.offer(self._name, name, batch)

    def poll(self, timeout: float) -> list[Event]:
        deadline = time.monotonic() + timeout
        while not (events := self._look()) and time.monotonic() < deadline:
            time.sleep(self._look_seconds)
        return events

    def cancel(self, ticket: int) -> None:
        name = self._tickets.get(ticket)
        if name is None:
            return
        careful = self._batches[name][ticket]
        if careful:
            # The next attempt notes documents in the same marker: wait until the worker has let go.
            self._queue.withdraw(self._name, name, claim_stays=True)
            deadline = time.monotonic() + CANCEL_SECONDS
            while self._queue.is_claimed(self._name, name) and time.monotonic() < deadline:
                time.sleep(self._look_seconds)
        self._events += [Returned(other) for other in self._forget(name) if other != ticket]

    def close(self) -> None:
        self._queue.close(self._session)

    def _look(self) -> list[Event]:
        events, self._events = self._events, []
        now = time.monotonic()
        for letter in self._queue.letters(self._name):
            self._present[letter.worker] = now
            self._lonely = None
            events += self._heard(letter)
        for name in self._queue.claimed(self._name):
            if name in self._batches and name not in self._begun:  # its worker may be lost before it writes
                self._begun.add(name)
                events.append(Beat(next(iter(self._batches[name])), 0))
        self._present = {who: last for who, last in self._present.items() if now - last < PRESENT_SECONDS}
        if self._lonely is not None and now - self._lonely > LONELY_SECONDS:
            self._lonely = None
            log.warning("no worker is there yet; start some: corpusmill worker %s", self._queue.location)
        return events

    def _heard(self, letter: Letter) -> list[Event]:
        left = self._batches.get(letter.batch)
        if left is None:  # it was withdrawn: another worker has it
            return []
        events: list[Event] = []
        for outcome in letter.outcomes:
            if left.pop(outcome.ticket, None) is not None:
                del self._tickets[outcome.ticket]
                events.append(outcome)
        if letter.alive and letter.ticket in left:
            events.append(Beat(letter.ticket, letter.rss))
        if letter.through:
            back = self._forget(letter.batch)
            culprit = f"worker {letter.worker} was asked to end"
            if len(back) == 1:
                events.append(Died(back[0], culprit, "outside"))
            else:
                events += [
                    Returned(ticket, culprit if ticket == back[0] else "", alone=False) for ticket in back
                ]
        return events

    def _forget(self, name: str) -> list[int]:
        """Take a batch out of the queue; tickets it had left."""
        self._queue.withdraw(self._name, name)
        self._begun.discard(name)
        back = list(self._batches.pop(name))
        for ticket in back:
            del self._tickets[ticket]
        return back
