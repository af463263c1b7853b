"""How workers on a Ray cluster tell the driver what they do before they are done.

A Ray task gives its result at its end, which may be a minute away. So an actor beside the driver, the
mailbox, takes one message a second from each worker, and the driver takes them out together. Nothing hangs on
a message that is lost: outcomes that the mailbox has not acknowledged come again as the task's result.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpusmill.pipelines.run.engines.engine import Order, Outcome
from corpusmill.pipelines.run.engines.worker import (
    BEAT_SECONDS,
    attempt_in_worker,
    load_no_numba_extensions,
)
from corpusmill.pipelines.system.process import resident_bytes
from corpusmill.pipelines.system.time_limit import let_limits_end_this_process

GATHER_SECONDS = 0.1  # for which the mailbox waits for more once a message has come
TAKE_SECONDS = 60.0


@dataclass(frozen=True)
class Message:
    """What a worker tells: the node it is on (Ray's id), the ticket of the unit in hand, its resident memory
    in bytes, and outcomes since its last message."""

    node: str
    ticket: int
    rss: int
    outcomes: tuple[Outcome, ...] = ()


class Mailbox:
    """An actor that holds messages until the driver takes them."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()

    async def tell(self, message: Message) -> None:
        """Leave a message; its return acknowledges it."""
        self._messages.append(message)
        self._wake.set()

    async def take(self, at_once: bool = False) -> list[Message]:
        """All messages, in the order they came. Waits for the first unless `at_once`, which also ends the
        waiting of any other call."""
        if at_once:
            self._wake.set()
            self._hurry.set()
        else:
            self._hurry.clear()
            if await _within(TAKE_SECONDS, self._wake):
                await _within(GATHER_SECONDS, self._hurry)
            self._wake.clear()
        messages, self._messages = self._messages, []
        return messages


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


class _Teller(threading.Thread):
    """Tells the mailbox of a worker's batch, at its beginning and once a second."""

    def __init__(self, mailbox: Any) -> None:
        super().__init__(daemon=True)
        import ray

        self._ray, self._mailbox = ray, mailbox
        self._node = ray.get_runtime_context().get_node_id()
        self._ticket = 0
        self._outcomes: list[Outcome] = []  # not told yet
        self._told: list[tuple[Any, tuple[Outcome, ...]]] = []  # not acknowledged yet
        self._lock = threading.Lock()
        self._over = threading.Event()

    def begin(self, ticket: int) -> None:
        """A unit is taken up. The first is told at once: time begins to count."""
        first, self._ticket = not self._ticket, ticket
        if first:
            self._tell()
            self.start()

    def end(self, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes.append(outcome)

    def rest(self) -> list[Outcome]:
        """Stop, and give the outcomes that the mailbox has not acknowledged."""
        self._over.set()
        self.join()
        return [outcome for _, outcomes in self._told for outcome in outcomes] + self._outcomes

    def run(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            self._tell()

    def _tell(self) -> None:
        waiting = [reference for reference, _ in self._told]
        if waiting:
            for reference in self._ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]:
                self._acknowledge(reference)
        with self._lock:
            outcomes, self._outcomes = tuple(self._outcomes), []
        message = Message(self._node, self._ticket, resident_bytes(), outcomes)
        reference = self._mailbox.tell.remote(message)
        if outcomes:
            self._told.append((reference, outcomes))

    def _acknowledge(self, reference: Any) -> None:
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError:  # the mailbox was not there: they come with the result
            return
        self._told = [entry for entry in self._told if entry[0] != reference]


def work_through(orders: Sequence[Order], mailbox: Any) -> list[Outcome]:
    """Do the tasks of a batch one after the other, as a Ray task; outcomes that were not told meanwhile."""
    let_limits_end_this_process()
    load_no_numba_extensions()
    teller = _Teller(mailbox)
    for ticket, task in orders:
        teller.begin(ticket)
        teller.end(attempt_in_worker(ticket, task))
    return teller.rest()
