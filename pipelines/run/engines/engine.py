"""What an engine is: a place where tasks run, with events coming back.

Engines know nothing of retries, time limits or steps; the scheduler owns those. A ticket names one
submission of one task. Tasks come in batches, which one worker does one after the other: where handing a task
over costs something, small ones go together. Events come for each task, whatever batch it was in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from corpusmill.pipelines.run.task import Executed, Task


@dataclass(frozen=True)
class Done:
    """The task committed its unit."""

    ticket: int
    executed: Executed


@dataclass(frozen=True)
class Failed:
    """The task raised. `kind` is `user` (the user must mend something; trying again is of no use), `damage`
    (likewise, to a file that the run wrote), `halt` (likewise, and no other task would succeed either, such
    as on a full disk) or `internal` (may be tried again)."""

    ticket: int
    kind: Literal["user", "damage", "halt", "internal"]
    message: str
    traceback: str


# Who ended a worker: the task itself (a crash), somebody else (its node is lost, it was evicted), or one of
# the two, which nobody can tell (SIGKILL may come from the kernel, as memory ran out, or from anywhere).
Culprit = Literal["task", "unclear", "outside"]


@dataclass(frozen=True)
class Died:
    """The worker vanished under the task. `limit`: known to have ended by a limit of processor time
    (`system.time_limit`), so that what it noted before tells the document."""

    ticket: int
    cause: str
    culprit: Culprit = "unclear"
    limit: bool = False


@dataclass(frozen=True)
class Beat:
    """A sign of life of a running task, the first as its worker takes it up; `rss` is the worker's resident
    memory in bytes."""

    ticket: int
    rss: int


@dataclass(frozen=True)
class Returned:
    """The task was not done, and nothing is known against it: the batch it was in came to an end before.

    `cause`: why, told with one task of the batch and empty for the others; `alone`: whether the task may be
    to blame nevertheless, so that it should come in a batch of its own.
    """

    ticket: int
    cause: str = ""
    alone: bool = True


Outcome = Done | Failed
Event = Outcome | Died | Beat | Returned
Order = tuple[int, Task]
"""A ticket and its task."""


class Engine(Protocol):
    """A place where tasks run. Used from one thread."""

    @property
    def slots(self) -> int:
        """Batches that can run at once. It may change as machines come and go."""

    @property
    def room(self) -> int:
        """Batches that the engine takes in all: those beyond `slots` wait there for a worker."""

    @property
    def beats(self) -> bool:
        """Whether running tasks send `Beat`."""

    @property
    def batch_seconds(self) -> float:
        """Seconds of work that a batch should hold; 0 for engines that take each task by itself."""

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        """Start a batch whose worker is expected to hold `memory` bytes. Call only while fewer than `room`
        are under way."""

    def poll(self, timeout: float) -> list[Event]:
        """Events so far, waiting up to `timeout` seconds for the first."""

    def cancel(self, ticket: int) -> None:
        """Kill a running task; no event for it comes after this. Others of its batch come back as
        `Returned`."""

    def close(self) -> None:
        """Stop every worker; one whose task listens for SIGTERM gets a moment to leave it in order. Safe to
        call twice."""
