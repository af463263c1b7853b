"""Which window of which phase a sample of the endless stream is: integer arithmetic, whatever the rows are.

An epoch is the windows of all phases, phase after phase in the order of their numbers, each phase in a seeded
order of its own; epochs follow one another. Nothing is kept but a few round keys, so a stream of 10^12
windows takes as much memory as one of ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.training_hooks.loading.permutation import Permutation

Order = Literal["shuffled", "stored"]
_NO_KEYS = np.empty(0, np.uint64)


@dataclass(frozen=True)
class PhaseWindows:
    """A phase of the stream: `windows` of `context` tokens. `name` is None of shards without phases."""

    number: int
    name: str | None
    windows: int
    context: int


class Run(NamedTuple):
    """Samples that follow one another within one epoch of one phase: `samples` of them from place `first` of
    its order. `n`, `half` and `keys` are that order's, as kernels take them; `phase` is an index."""

    phase: int
    first: int
    samples: int
    n: int
    half: int
    keys: npt.NDArray[np.uint64]


class Stream:
    """The samples 0, 1, 2, ... of `phases`, which stand in their order and hold at least one window.

    `order`: `stored` has windows as they lie in the shards. `epochs` ends the stream after so many; None: it
    has no end. `windows`: samples of an epoch; `one_length`: whether all windows are as long.
    """

    def __init__(
        self, phases: Sequence[PhaseWindows], seed: int, order: Order = "shuffled", epochs: int | None = None
    ) -> None:
        self.phases = list(phases)
        self.seed, self.order = seed, order
        self.windows = sum(phase.windows for phase in phases)
        self.one_length = len({phase.context for phase in phases}) == 1
        self.end = None if epochs is None else epochs * self.windows
        self._keys = lru_cache(maxsize=16)(self._order_of)

    def runs(self, start: int, count: int) -> list[Run]:
        """Samples `start` to `start + count - 1`. Raises ValueError where the stream is not so long."""
        if start < 0 or (self.end is not None and start + count > self.end):
            raise ValueError(f"the stream has samples 0..{self.end}, not {start}..{start + count}")
        found = []
        while count > 0:
            epoch, at = divmod(start, self.windows)
            phase, first = self._phase_at(at)
            n = self.phases[phase].windows
            taken = min(count, n - first)
            half, keys = self._keys(epoch, phase)
            found.append(Run(phase, first, taken, n, half, keys))
            start, count = start + taken, count - taken
        return found

    def phase_at(self, sample: int) -> int:
        """The index of the phase that a sample belongs to."""
        return self._phase_at(sample % self.windows)[0]

    def batch_end(self, start: int, rows: int) -> int:
        """Where the batch of at most `rows` samples from `start` on ends: before the first sample whose
        window has another length, and with the stream."""
        end = start + rows if self.end is None else min(start + rows, self.end)
        if self.one_length:
            return end
        phase, first = self._phase_at(start % self.windows)
        context = self.phases[phase].context
        border = start - first
        while self.phases[phase].context == context and border < end:
            border += self.phases[phase].windows
            phase = (phase + 1) % len(self.phases)
        return min(end, border)

    def _phase_at(self, at: int) -> tuple[int, int]:
        for index, phase in enumerate(self.phases):
            if at < phase.windows:
                return index, at
            at -= phase.windows
        raise AssertionError("a place beyond its epoch")

    def _order_of(self, epoch: int, phase: int) -> tuple[int, npt.NDArray[np.uint64]]:
        if self.order == "stored":
            return 1, _NO_KEYS
        facts = self.phases[phase]
        purpose = f"order of epoch {epoch}"
        if facts.name is not None:
            purpose += f" of phase {facts.number}"
        order = Permutation(facts.windows, self.seed, purpose)
        return order.half, order.keys
