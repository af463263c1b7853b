"""Tasks run in this very process, one after the other: for debugging, and for tests with breakpoints.

A crash or an endless loop in a document takes the run with it; use `process` where that matters.
"""

from __future__ import annotations

from collections.abc import Sequence

from corpusmill.pipelines.run.engines.engine import Event, Order
from corpusmill.pipelines.run.engines.worker import attempt


class InlineEngine:
    """See the module's description."""

    slots = room = 1
    beats = False
    batch_seconds = 0.0

    def __init__(self) -> None:
        self._waiting: list[Order] = []

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        self._waiting.extend(batch)

    def poll(self, timeout: float) -> list[Event]:
        waiting, self._waiting = self._waiting, []
        return [attempt(ticket, task) for ticket, task in waiting]

    def cancel(self, ticket: int) -> None:
        self._waiting = [(number, task) for number, task in self._waiting if number != ticket]

    def close(self) -> None:
        self._waiting = []
