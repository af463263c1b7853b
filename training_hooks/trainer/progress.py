"""How fast training goes: tokens a second, model FLOPs utilisation, memory, time left.

Figures of the clock go to the log and to the unit's progress, never into the output, which repeats.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from corpusmill.pipelines.contract.unit_progress import write_progress

log = logging.getLogger("corpusmill.train")
EVERY_SECONDS = 1.0  # between notes for whoever watches


@dataclass
class Speedometer:
    """`operations`: floating-point operations a position; `peak`: what the device does a second at best, as
    given or measured; `positions` of the whole run; `watched`: the folder that the unit's progress is noted
    in, if any.

    Other work on the machine while the peak is measured makes it too low. Steps that do more raise it to what
    they reached, so that no share is over 100%; the log tells it.
    """

    operations: float
    peak: float
    steps: int
    positions: int
    device: torch.device
    watched: Path | None
    _mark: tuple[float, int] | None = None
    _noted: float = field(default=-1e9)

    def start(self, positions: int) -> None:
        """Measure from here on, `positions` done before."""
        self._mark = (time.perf_counter(), positions)

    def step(self, step: int, positions: int, loss: float | None, *, tell: bool) -> None:
        """After `step` steps and `positions` in all: note it, and with `tell` log it and measure anew."""
        now = time.perf_counter()
        if self._mark is None:
            raise RuntimeError("start the speedometer first")
        since, before = self._mark
        speed = (positions - before) / max(now - since, 1e-9)
        told = "no target" if loss is None else f"loss {loss:.3f}"
        text = f"{told}, {self.describe(speed, positions)}"
        if self.watched is not None and (now - self._noted >= EVERY_SECONDS or step == self.steps):
            write_progress(self.watched, step, self.steps, text)
            self._noted = now
        if tell:
            log.info("step %d/%d: %s", step, self.steps, text)
            self._mark = (now, positions)

    def describe(self, speed: float, positions: int) -> str:
        """Speed in tokens a second, share of the peak, memory held and time left."""
        reached = speed * self.operations
        if reached > self.peak:
            log.info("the peak was taken as %.3g operations a second; steps reach %.3g", self.peak, reached)
            self.peak = reached
        left = max(self.positions - positions, 0) / max(speed, 1e-9)
        return (
            f"{speed:,.0f} tokens/s, {reached / self.peak:.0%} of peak, "
            f"{memory_bytes(self.device) / 2**30:.2f} GiB, {duration(left)} left"
        )


def memory_bytes(device: torch.device) -> int:
    """Largest memory held so far: of the process, or of the GPU by its tensors."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource

    peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak_memory) * (1 if sys.platform == "darwin" else 1024)


def duration(seconds: float) -> str:
    """`2h05m`, `3m20s` or `17s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
