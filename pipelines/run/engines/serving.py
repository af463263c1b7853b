"""A worker of a run's queue: takes batches, has a process of its own do them, and tells the driver.

The process that works is a worker of the engine `process`, so a task that crashes takes nothing else along,
and one that has to stop is killed. This process only waits, reads and writes: it beats while the other does.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.run.code_version import package_digest
from corpusmill.pipelines.run.engines.engine import Beat, Died, Done, Failed, Order
from corpusmill.pipelines.run.engines.process import ProcessEngine
from corpusmill.pipelines.run.engines.queue_folder import Letter, Queue, Session, file_digest
from corpusmill.pipelines.run.stop import Stop

BEAT_SECONDS = 1.0  # between letters of a worker at work, and looks whether its batch still stands
HELLO_SECONDS = 5.0  # between letters of a worker without work


class Server:
    """Serves the queue of one run. `say(line)` tells people what it does."""

    def __init__(self, run: Path, idle_seconds: float, say: Callable[[str], None]) -> None:
        self._queue, self._idle, self._say = Queue(run), idle_seconds, say
        self.name = f"{platform.node() or 'worker'}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._letters, self._told = 0, 0.0
        self._beat = max(BEAT_SECONDS, self._queue.shared.look_seconds)
        self._known = ""  # the session whose code and plugins were looked at
        self._engine: ProcessEngine | None = None
        self._stop = Stop()

    def serve(self) -> int:
        """Work until the run is over, a signal asks to end, or nothing came for `idle_seconds`; the number of
        units done.

        A run that was over before is taken for one that will begin anew. Raises UserError where the queue is
        not this account's alone, or the run has other code or plugins.
        """
        done, since = 0, time.monotonic()
        self._say(f"worker {self.name}: serves {self._queue.location}")
        with self._stop:
            try:
                while not self._stop.asked:
                    session = self._queue.session()
                    if session is not None and session.over and session.name == self._known:
                        self._say(f"worker {self.name}: the run is over")
                        break
                    taken = self._take(session) if session is not None and not session.over else None
                    if taken is not None and session is not None:
                        done += self._work(session, *taken)
                        since = time.monotonic()
                    elif time.monotonic() - since > self._idle:
                        self._say(f"worker {self.name}: no work for {self._idle:g} s")
                        break
                    else:
                        time.sleep(self._queue.shared.look_seconds)
            finally:
                self._end_process()
        return done

    def _take(self, session: Session) -> tuple[str, list[Order]] | None:
        if session.name != self._known:
            self._check(session)
            self._known, self._told = session.name, 0.0
        if not self._told or time.monotonic() - self._told > HELLO_SECONDS:
            self._tell(session, Letter(self.name))
        return self._queue.take(session.name, self.name)

    def _check(self, session: Session) -> None:
        """Raise UserError unless this worker has the very code that the run's bytes depend on."""
        if session.code != package_digest():
            raise UserError(
                f"{self._queue.location}: the run has other code of corpusmill than this worker; install the "
                "same version on all machines"
            )
        for plugin, digest in session.plugins.items():
            try:
                found = file_digest(Path(plugin))
            except FileNotFoundError as error:
                raise UserError(
                    f"plugin {plugin} of {self._queue.location} is not there; all machines must see the same "
                    "folders under the same paths"
                ) from error
            if found != digest:
                raise UserError(f"plugin {plugin} is not the one that {self._queue.location} began with")

    def _work(self, session: Session, batch: str, orders: Sequence[Order]) -> int:
        """Do the tasks of a batch for as long as it is not withdrawn; the number done."""
        if any(dict(task.plugins) != dict(session.plugins) for _, task in orders):
            raise UserError(
                f"batch {batch} of {self._queue.location} names plugins that its run does not have"
            )
        engine = self._engine = self._engine or ProcessEngine(1, sys.stderr.buffer)
        waiting, letter, count = deque(orders), _Draft(self.name, batch), 0
        letter.ticket, letter.alive = orders[0][0], True
        self._tell(session, letter.letter())
        busy, looked = False, 0.0
        while busy or waiting:
            if not busy or time.monotonic() - looked > self._beat:  # not by when it told: beats put that off
                looked = time.monotonic()
                if not self._queue.holds(session.name, batch):
                    self._end_process()
                    self._queue.leave(session.name, batch)
                    return count
            if self._stop.asked:
                self._end_process()
                break
            if not busy:
                letter.ticket = waiting[0][0]
                engine.submit([waiting.popleft()], 0)
                busy = True
            for event in engine.poll(BEAT_SECONDS / 4):
                if isinstance(event, Beat):
                    letter.alive, letter.rss = True, event.rss
                elif isinstance(event, Done | Failed | Died):
                    letter.ended.append(event)
                    count += isinstance(event, Done)
                    busy = False
            if time.monotonic() - self._told > self._beat and letter.news:
                self._tell(session, letter.letter())
        self._tell(session, letter.letter(through=True))
        return count

    def _tell(self, session: Session, letter: Letter) -> None:
        self._letters += 1
        self._told = time.monotonic()
        self._queue.tell(session.name, f"{self.name}-{self._letters:09d}", letter)

    def _end_process(self) -> None:
        """End the process that works; a task that listens for SIGTERM gets a moment to leave it in order."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


class _Draft:
    """What the next letter about a batch will say."""

    def __init__(self, worker: str, batch: str) -> None:
        self._worker, self._batch = worker, batch
        self.ticket = self.rss = 0
        self.alive = False
        self.ended: list[Done | Failed | Died] = []

    @property
    def news(self) -> bool:
        return self.alive or bool(self.ended)

    def letter(self, through: bool = False) -> Letter:
        """The letter; the draft begins anew."""
        ended, self.ended = self.ended, []
        alive, self.alive = self.alive, False
        return Letter(
            self._worker,
            self._batch,
            self.ticket,
            self.rss,
            alive,
            tuple(event for event in ended if isinstance(event, Done)),
            tuple(event for event in ended if isinstance(event, Failed)),
            tuple(event for event in ended if isinstance(event, Died)),
            through,
        )
