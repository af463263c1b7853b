"""Batches of tasks as Ray tasks; data moves through files, Ray carries specifications and receipts.

Without an address a local Ray is started for this run (6-9 s); with one, the run joins that cluster, whose
nodes must see the run and input folders under the same paths and have corpusmill installed. Ray's own
retries are off: the scheduler decides. More batches are handed to Ray than it has CPUs for, so that an
autoscaler sees what is wanted; how many it has is asked again every few seconds, as nodes come and go. Ray
places them by its default strategy, which fills nodes that are at work before it begins others, so that an
autoscaler may take idle ones away.

Each Ray task tells through a mailbox (`ray_mail`), once a second, which unit it has in hand, what its worker
holds and what is done; what is still untold comes as its result. An outcome may be told twice: the second is
ignored, since its ticket is known no more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.run.engines.engine import (
    Beat,
    Culprit,
    Died,
    Event,
    Failed,
    Order,
    Outcome,
    Returned,
)
from corpusmill.pipelines.run.engines.ray_cluster import join
from corpusmill.pipelines.run.engines.ray_mail import Mailbox, Message, work_through

CANCEL_SECONDS = 30.0
REFRESH_SECONDS = 3.0
BATCH_SECONDS = 40.0
LATE_SECONDS = 1.0  # between polls, beyond which the mailbox is emptied at once
# A look at so many batches takes Ray a millisecond: beyond them results are waited for, to be taken together.
MANY, GATHER_SECONDS = 500, 0.1
# Batches in Ray for each CPU, and how many more than CPUs there are at least.
PENDING_TIMES, PENDING_MORE = 4, 16
# Of a worker Ray tells no more than that it died, or that the memory monitor killed it: the task may be the
# reason. All else is the death of nodes and of Ray's own parts, or the loss of a result with its node.
_UNCLEAR = ("WorkerCrashedError", "OutOfMemoryError")
_LEAST_MEMORY = 2**29


@dataclass
class _Batch:
    """A batch in Ray: its tasks not ended, in order, and the node it is known to be on."""

    left: dict[int, bool] = field(default_factory=dict)  # ticket -> whether the task is a careful one
    node: str | None = None


class RayEngine:
    """Batches of about 40 s of work; each takes one of Ray's CPUs and the memory it is expected to need.

    `workers`: at most so many batches at once on the cluster at `address`, or the CPUs of the local one.
    """

    beats = True
    batch_seconds = BATCH_SECONDS

    def __init__(self, workers: int | None, address: str | None) -> None:
        self._ray = join(address, workers)
        self._most = workers if address is not None else None
        self._batches: dict[Any, _Batch] = {}  # by the reference of their result
        self._references: dict[int, Any] = {}  # by ticket
        self._events: list[Event] = []  # to be told with the next poll
        self._remotes: dict[int, Any] = {}  # by bytes of memory
        self.slots, self._largest, self._refreshed = 1, _LEAST_MEMORY, 0.0
        self._refresh(time.monotonic())
        self._polled = time.monotonic()
        self._mailbox = self._open_mailbox()
        self._mail = self._mailbox.take.remote()

    @property
    def room(self) -> int:
        if self._most is not None:
            return self._most  # nothing else would keep Ray from running more of them
        return max(PENDING_TIMES * self.slots, self.slots + PENDING_MORE)

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        reference = self._remote(memory).remote(list(batch), self._mailbox)
        self._batches[reference] = _Batch({ticket: task.careful for ticket, task in batch})
        self._references |= {ticket: reference for ticket, _ in batch}

    def poll(self, timeout: float) -> list[Event]:
        now = time.monotonic()
        self._refresh(now)
        # After a while in which nobody listened, what the last take gave is not all that workers have told.
        late, self._polled = now - self._polled > timeout + LATE_SECONDS, now
        events, self._events = self._events, []
        if not self._batches:
            return events
        references = list(self._batches)
        ready, _ = self._ray.wait([self._mail, *references], timeout=0 if events else timeout)
        if ready:
            if len(references) > MANY:
                time.sleep(GATHER_SECONDS)
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        results = self._results(ready)
        for result in results:
            if isinstance(result, list):
                events += [self._told(outcome) for outcome in result if outcome.ticket in self._references]
        # What the results do not hold was told before, and is in the mailbox by now.
        events += self._read_mail(now=late or any(self._batches[reference].left for reference in ready))
        for reference, result in zip(ready, results, strict=True):
            events += self._end(reference, result)
        return events

    def cancel(self, ticket: int) -> None:
        reference = self._references.get(ticket)
        if reference is None:
            return
        self._ray.cancel(reference, force=True)
        batch = self._batches.pop(reference)
        if batch.left[ticket]:
            # Cancelling is a request. The next attempt notes documents in the same marker: wait for the end.
            self._ray.wait([reference], timeout=CANCEL_SECONDS)
        for other in batch.left:
            del self._references[other]
            if other != ticket:
                self._events.append(Returned(other))

    def close(self) -> None:
        self._batches.clear()
        self._references.clear()
        self._ray.shutdown()

    def _open_mailbox(self) -> Any:
        """The actor beside the driver that workers tell things to; it takes no CPU."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=True)
        kind = self._ray.remote(num_cpus=0, max_restarts=-1)(Mailbox)
        return kind.options(scheduling_strategy=here).remote()

    def _remote(self, memory: int) -> Any:
        """The remote function for batches that need so many bytes, rounded up to a power of two: Ray keeps
        workers for tasks that ask for the same. Never more than the largest node has, which could not be had.
        """
        asked: int = min(max(_LEAST_MEMORY, 1 << (memory - 1).bit_length()), self._largest)
        if asked not in self._remotes:
            made = self._ray.remote(max_retries=0, num_cpus=1, memory=asked, max_calls=0)
            self._remotes[asked] = made(work_through)
        return self._remotes[asked]

    def _refresh(self, now: float) -> None:
        """Ask again what the cluster has."""
        if now - self._refreshed < REFRESH_SECONDS and self._refreshed:
            return
        self._refreshed = now
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cpus = max(1, int(sum(node.get("CPU", 0) for node in alive)))
        self.slots = cpus if self._most is None else min(cpus, self._most)
        memory = [int(node["memory"]) for node in alive if node.get("CPU") and node.get("memory")]
        self._largest = max(memory, default=_LEAST_MEMORY)

    def _results(self, ready: Sequence[Any]) -> list[list[Outcome] | Exception]:
        """What each of these batches gave: outcomes, or the error of Ray that ended it."""
        try:
            results: list[list[Outcome] | Exception] = self._ray.get(list(ready))
        except self._ray.exceptions.RayError:  # of one of them
            return [self._result(reference) for reference in ready]
        return results

    def _result(self, reference: Any) -> list[Outcome] | Exception:
        try:
            outcomes: list[Outcome] = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            failure: Exception = error
            return failure
        return outcomes

    def _read_mail(self, now: bool) -> list[Event]:
        """What workers told; `now`: all that has reached the mailbox, not only what the last take gave."""
        messages: list[Message] = []
        try:
            if now:
                messages += self._ray.get(self._mailbox.take.remote(at_once=True))
            elif not self._ray.wait([self._mail], timeout=0)[0]:
                return []
            messages = [*self._ray.get(self._mail), *messages]
        except self._ray.exceptions.RayError:  # it is being restarted: what it held is lost, as with a worker
            time.sleep(0.05)
        self._mail = self._mailbox.take.remote()
        return [event for message in messages for event in self._heard(message)]

    def _heard(self, message: Message) -> list[Event]:
        events = [self._told(outcome) for outcome in message.outcomes if outcome.ticket in self._references]
        reference = self._references.get(message.ticket)
        if reference is not None:
            self._batches[reference].node = message.node
            events.append(Beat(message.ticket, message.rss))
        return events

    def _told(self, outcome: Outcome) -> Event:
        reference = self._references.pop(outcome.ticket)
        del self._batches[reference].left[outcome.ticket]
        return outcome

    def _end(self, reference: Any, result: list[Outcome] | Exception) -> list[Event]:
        """Events of the tasks of a batch that ended without an outcome of theirs."""
        batch = self._batches.pop(reference)
        left = list(batch.left)
        for ticket in left:
            del self._references[ticket]
        if not left:
            return []
        if isinstance(result, list):
            cause, culprit = "what it told was lost with the mailbox", "outside"
        else:
            cause, culprit = f"{type(result).__name__}: {_first_line(result)}", self._culprit(result, batch)
            if len(left) == 1 and isinstance(result, self._ray.exceptions.RayTaskError):
                return [Failed(left[0], "internal", _first_line(result), str(result))]  # before our code
            if len(left) == 1:
                return [Died(left[0], cause, culprit)]
        alone = culprit != "outside"
        first, *others = left
        return [Returned(first, cause, alone), *(Returned(ticket, "", alone) for ticket in others)]

    def _culprit(self, error: Exception, batch: _Batch) -> Culprit:
        """Who ended a worker. Where its node is known to be dead, that was the reason."""
        if batch.node is None or culprit_of(error) == "outside":
            return culprit_of(error)
        dead = any(node["NodeID"] == batch.node and not node["Alive"] for node in self._ray.nodes())
        return "outside" if dead else "unclear"


def culprit_of(error: Exception) -> Culprit:
    """Who ended a worker, as far as the kind of Ray's error tells."""
    return "unclear" if type(error).__name__ in _UNCLEAR else "outside"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
