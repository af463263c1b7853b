"""What is watched of a unit that an engine was given, and the limits on it.

Limits count from the moment a worker takes the unit up, not from its submission: a worker that must start
first, or waits for a processor on a busy machine, is not at fault. An engine that beats tells that moment by
its first beat, and where batches wait in the engine, no limit counts before it. With an engine that does not
beat, the folder of the attempt tells that moment, looked for once a limit is over.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.unit_progress import UnitProgress
from corpusmill.pipelines.run.blame import Patience
from corpusmill.pipelines.run.engines.engine import Culprit
from corpusmill.pipelines.run.operators.marker import PARTS, Marker

if TYPE_CHECKING:
    from corpusmill.pipelines.run.load import Batch
    from corpusmill.pipelines.run.unit import Unit

log = logging.getLogger("corpusmill.run")


@dataclass(frozen=True)
class Policy:
    """Limits on units: tries after the first, seconds a unit, seconds a document in careful mode, seconds
    without a sign of life, bytes of memory for all workers together (None: no limit), and lost workers."""

    retries: int = 2
    unit_timeout: float = 600.0
    document_timeout: float = 60.0
    heartbeat: float = 60.0
    memory: int | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass
class Running:
    """A unit under way. Times are monotonic seconds."""

    unit: Unit
    batch: Batch  # that it came in
    attempt: int  # which of the unit's it is
    marked: float  # when it was submitted, then begun, then its marker last moved
    seen: float | None = None  # its last sign of life; None until it is known to be begun
    marker: tuple[int, int] | None = None
    progress: UnitProgress | None = None
    twin: int | None = None  # the ticket of another attempt at the unit that is under way
    void: bool = False  # whether the unit is done: nothing hangs on this attempt any more

    def hear(self, now: float) -> None:
        """Note a sign of life. The first one begins the time that the unit may take."""
        if self.seen is None:
            self.marked = now
        self.seen = now

    def over(self, now: float, policy: Policy, *, beats: bool, queues: bool) -> tuple[str, Culprit] | None:
        """The limit that the unit is over, in words, and who is to blame; None where it is within all.

        `beats`: whether the engine tells when a worker takes a unit up and that it lives; `queues`: whether
        units may wait in the engine for a worker.
        """
        if self.seen is None and beats and queues:
            return None
        unit = self.unit
        marker = Marker.read(unit.folder.marker_path(unit.number)) if unit.careful else None
        if marker != self.marker:
            self.hear(now)
            self.marker, self.marked = marker, now
        if marker is not None and marker[1] >= 0 and marker[0] < PARTS:
            seconds = policy.document_timeout
            limit = f"no document done for {seconds:g} s"
        else:  # a careful unit may take long as a whole, but not without progress
            seconds = policy.unit_timeout
            limit = f"over {seconds:g} s"
        if now - self.marked > seconds:
            if self.seen is not None:
                return limit, "task"
            if beats:
                return f"no worker began it within {seconds:g} s", "unclear"
            self._look_for_it(now, seconds)
        elif beats and self.seen is not None and now - self.seen > policy.heartbeat:
            return f"no sign of life for {policy.heartbeat:g} s", "unclear"
        return None

    def _look_for_it(self, now: float, seconds: float) -> None:
        """Begin the time anew: the unit, of an engine without beats, may have waited until now."""
        unit = self.unit
        if unit.folder.attempt_path(unit.number, self.attempt).exists():
            self.seen = now
        else:
            log.warning("step %s, unit %s: no worker took it within %g s; waiting for the engine",
                        unit.step, unit.number, seconds)  # fmt: skip
        self.marked = now
