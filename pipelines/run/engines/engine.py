"""What an engine is: a place where tasks run, with events coming back.

Engines know nothing of retries, time limits or steps; the scheduler owns those. A ticket names one
submission of one task.
"""

from __future__ import annotations

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
    """The worker vanished under the task."""

    ticket: int
    cause: str
    culprit: Culprit = "unclear"


@dataclass(frozen=True)
class Beat:
    """A sign of life of a running task, the first as its worker takes it up; `rss` is the worker's resident
    memory in bytes."""

    ticket: int
    rss: int


Event = Done | Failed | Died | Beat


class Engine(Protocol):
    """A place where tasks run. Used from one thread."""

    slots: int  # tasks that can run at once
    beats: bool  # whether running tasks send `Beat`

    def submit(self, ticket: int, task: Task) -> None:
        """Start a task. Call only while fewer than `slots` are running."""

    def poll(self, timeout: float) -> list[Event]:
        """Events so far, waiting up to `timeout` seconds for the first."""

    def cancel(self, ticket: int) -> None:
        """Kill a running task; no event for it comes after this."""

    def close(self) -> None:
        """Stop every worker; one whose task listens for SIGTERM gets a moment to leave it in order. Safe to
        call twice."""
