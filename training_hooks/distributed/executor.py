"""Runs a rank's program of a pipeline schedule: passes of its stages, and messages between them.

What a pass computes is the business of a `StageWork`: the model's (`model_work`), or one that sleeps, for
showing a schedule. `F&B` runs its two passes side by side, the backward pass in a second thread: while one
waits for rows from other ranks, the other computes. Each pass has its own data, and collectives of the two go
through groups of their own, so results are those of the passes one after the other, to the bit. On a GPU they
run one after the other: NCCL wants one thread that launches, in one order on all ranks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from corpusmill.training_hooks.distributed.wires import Wires
from corpusmill.training_hooks.schedules.actions import (
    Backward,
    Forward,
    InputGradient,
    Overlapped,
    Place,
    Result,
    Schedule,
    WeightGradient,
)
from corpusmill.training_hooks.schedules.blocking import Operation, Program, Receive, Send
from corpusmill.training_hooks.schedules.simulate import Span

Alone = Forward | Backward | InputGradient | WeightGradient


class StageWork(Protocol):
    """The passes of the stages that a rank has. At most one forward pass runs at once, and one of the others
    beside it, in another thread."""

    def forward(self, stage: int, chunk: int, taken: Tensor | None) -> Tensor | None:
        """The stage's output for a chunk; `taken` is the output of the stage before, None for the first
        stage. The last stage may give None."""

    def backward(self, stage: int, chunk: int, gradient: Tensor | None, *, weights: bool) -> Tensor | None:
        """The gradient of what the stage took; `gradient` is that of its output, None at the last stage. The
        first may give None. Gradients of the stage's weights are computed too where `weights`."""

    def weights(self, stage: int, chunk: int) -> None:
        """The gradients of the stage's weights, after a `backward` without them."""


class PassError(RuntimeError):
    """A step of this pipeline rank failed; the message names the rank and what it was at."""


@dataclass
class Executor:
    """Runs `program`, the one of pipeline rank `rank` in `schedule`.

    `side_by_side` False runs the two passes of `F&B` one after the other. For measuring, in seconds from
    `started` (of `time.perf_counter`): `spans` of the actions, in order, each from when its inputs were
    there, and `passes`, those of the two passes of an `F&B` apart.
    """

    schedule: Schedule
    program: Program
    rank: int
    work: StageWork
    wires: Wires
    side_by_side: bool = True
    started: float = 0.0
    spans: list[Span] = field(default_factory=list)
    passes: list[Span] = field(default_factory=list)
    _here: dict[Result, Tensor] = field(default_factory=dict)  # made here or for a stage of this rank

    def run(self) -> None:
        """The whole step of this rank. Raises PassError where a peer is lost, in a pass or between two."""
        self.started = time.perf_counter()
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,)) as beside:
            for operation in self.program:
                with self._named(operation):
                    self._do(operation, beside)
            with self._named("the end of the step"):
                self.wires.finish()

    def _do(self, operation: Operation, beside: ThreadPoolExecutor) -> None:
        match operation:
            case Receive():
                self.wires.reach(operation)  # the pass that needs it waits for it
            case Send():
                self.wires.send(operation, self._here.pop(operation.result))
            case Overlapped() if self.side_by_side:
                later = beside.submit(self._pass, operation.backward)
                self._both(operation, self._pass(operation.forward), later.result())
            case Overlapped():
                self._both(operation, self._pass(operation.forward), self._pass(operation.backward))
            case _:
                self.spans.append(self._pass(operation))
                self.passes.append(self.spans[-1])

    def _both(self, action: Overlapped, forward: Span, backward: Span) -> None:
        self.passes += [forward, backward]
        start, end = min(forward.start, backward.start), max(forward.end, backward.end)
        self.spans.append(Span(action, start, end))

    def _pass(self, action: Alone) -> Span:
        """Run it; its span begins when its input is there."""
        stage, chunk = self.schedule.stage_of[Place(self.rank, action.direction)], action.chunk
        last = stage == self.schedule.stages - 1
        start = time.perf_counter()
        if isinstance(action, WeightGradient):
            self.work.weights(stage, chunk)
            return self._span(action, start)
        forward = isinstance(action, Forward)
        taken = None
        if stage > 0 if forward else not last:
            taken = self._take(
                Result("activation", stage - 1, chunk) if forward else Result("gradient", stage + 1, chunk)
            )
            start = time.perf_counter()
        if forward:
            made = self.work.forward(stage, chunk, taken)
        else:
            made = self.work.backward(stage, chunk, taken, weights=isinstance(action, Backward))
        (result,) = self.schedule.made(self.rank, action)
        if self.schedule.user(result) is not None:
            if made is None:
                raise AssertionError(f"{action} of stage {stage} leaves nothing for the next")
            self._here[result] = made
        return self._span(action, start)

    def _take(self, result: Result) -> Tensor:
        made_here = self.schedule.maker(result) == self.rank
        return self._here.pop(result) if made_here else self.wires.take(result)

    def _span(self, action: Alone, start: float) -> Span:
        return Span(action, start - self.started, time.perf_counter() - self.started)

    @contextmanager
    def _named(self, what: Operation | str) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, RuntimeError) as error:
            raise PassError(f"pipeline rank {self.rank} stopped at {what}: {error}") from error
