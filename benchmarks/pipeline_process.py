"""One process of `distributed.py`: runs pipelines with the others and tells when each action ran.

    python pipeline_process.py RANK RANKS FOLDER QUICK

Times are those of `time.perf_counter`, the monotonic clock that all processes of a machine share (Linux).
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
from pipeline_sizes import VOCABULARY, Sizes, config, jobs
from torch import Tensor

from corpusmill.training_hooks.distributed.channels import Channels
from corpusmill.training_hooks.distributed.executor import Executor
from corpusmill.training_hooks.distributed.group import local_group
from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.layout import Layout
from corpusmill.training_hooks.distributed.model_work import ModelWork
from corpusmill.training_hooks.distributed.part import Part
from corpusmill.training_hooks.distributed.pieces import WholeModel
from corpusmill.training_hooks.distributed.pipelined import PipelinedPasses
from corpusmill.training_hooks.distributed.stages import Pipeline
from corpusmill.training_hooks.distributed.wires import Wires
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.schedules.actions import Overlapped, Schedule
from corpusmill.training_hooks.schedules.blocking import programs
from corpusmill.training_hooks.trainer.objective import BatchCounts
from corpusmill.training_hooks.trainer.step import Batch, Settings, StepResult

SETTINGS = Settings(learning_rate=0.0, gamma=0.0, mtp_weight=0.3, alpha=1e-4, micro_batch=1, precision="fp32")

MESSAGE = (1, 256, 128)  # that sleeping stages send


def batch(rows: int, length: int) -> Batch:
    """Random tokens, all of one source."""
    draws = np.random.default_rng(0)
    tokens = draws.integers(1, VOCABULARY, (rows, length + 2))
    return Batch(tokens, np.zeros_like(tokens), 0)


def counts(rows: Batch) -> BatchCounts:
    """Of a batch."""
    return BatchCounts.of(torch.from_numpy(rows.tokens != rows.pad_id), 1)


class Sleeping:
    """Stages that sleep: `unit` seconds forward, twice that backward, half of it for the weights."""

    def __init__(self, stages: int, unit: float) -> None:
        self.last, self.unit, self.message = stages - 1, unit, torch.zeros(MESSAGE)

    def forward(self, stage: int, chunk: int, taken: Tensor | None) -> Tensor | None:
        """As `StageWork.forward`."""
        time.sleep(self.unit)
        return None if stage == self.last else self.message.clone()

    def backward(self, stage: int, chunk: int, gradient: Tensor | None, *, weights: bool) -> Tensor | None:
        """As `StageWork.backward`."""
        time.sleep(2 * self.unit if weights else self.unit)
        return self.message.clone() if stage else None

    def weights(self, stage: int, chunk: int) -> None:
        """As `StageWork.weights`."""
        time.sleep(self.unit)


def spans_of(executor: Executor) -> list[tuple[float, float]]:
    """When each action began and ended, on the clock of the machine."""
    return [(executor.started + span.start, executor.started + span.end) for span in executor.spans]


def run_sleeping(schedule: Schedule, channels: Channels, unit: float) -> list[tuple[float, float]]:
    """One step of stages that sleep."""
    work = Sleeping(schedule.stages, unit)
    program = programs(schedule)[channels.rank]
    dist.barrier()
    wires = Wires(channels, program, lambda: torch.empty(MESSAGE))
    executor = Executor(schedule, program, channels.rank, work, wires)
    executor.run()
    return spans_of(executor)


def in_turns(group: dist.ProcessGroup, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `measure` gives on each rank while the others wait."""
    found: dict[str, float] = {}
    for turn in range(group.size()):
        dist.barrier()
        if turn == group.rank():
            found = measure()
    dist.barrier()
    return found


def side_by_side(beside: ThreadPoolExecutor, one: Callable[[], object], other: Callable[[], object]) -> None:
    """Run `other` in the thread, and `one` here meanwhile."""
    later = beside.submit(other)
    one()
    later.result()


def passes_alone(passes: PipelinedPasses, schedule: Schedule, sizes: Sizes) -> dict[str, float]:
    """Median seconds of passes of this rank's stages, by symbol and direction (`F0`, `B1`, `I0`, `W0`), and
    of two side by side (`F0&B1`)."""
    rows = batch(1, sizes.length)
    result = StepResult.empty(1, counts(rows))
    gates = WholeModel.of(passes.pipeline.config).gates
    stages, own = (
        passes.pipeline.stages,
        {place.direction: stage for place, stage in schedule.stage_of.items() if place.rank == passes.rank},
    )
    width = passes.pipeline.config.hidden_size
    seconds: dict[str, list[float]] = {}

    def timed(name: str, run: Callable[[], object]) -> None:
        start = time.perf_counter()
        run()
        seconds.setdefault(name, []).append(time.perf_counter() - start)

    def activation(stage: int) -> Tensor | None:
        return torch.randn(1, sizes.length, width) if stage else None

    def gradient(stage: int) -> Tensor | None:
        return None if stages[stage].last else torch.randn(1, sizes.length, width)

    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as beside:
        for _ in range(sizes.alone + 1):
            work = ModelWork(passes.part, stages, [rows, rows], SETTINGS, result, gates)
            for side, stage in own.items():
                timed(f"F{side}", partial(work.forward, stage, 0, activation(stage)))
                timed(f"B{side}", partial(work.backward, stage, 0, gradient(stage), weights=True))
                work.forward(stage, 0, activation(stage))
                timed(f"I{side}", partial(work.backward, stage, 0, gradient(stage), weights=False))
                timed(f"W{side}", partial(work.weights, stage, 0))
            for one, other in ((0, 1), (1, 0)) if len(own) == 2 else ():
                work.forward(own[other], 1, activation(own[other]))
                forward = partial(work.forward, own[one], 0, activation(own[one]))
                backward = partial(work.backward, own[other], 1, gradient(own[other]), weights=True)
                timed(f"F{one}&B{other}", partial(side_by_side, beside, forward, backward))
                work.backward(own[one], 0, gradient(own[one]), weights=True)
    passes.part.zero_grad()
    return {name: statistics.median(of_name[1:]) for name, of_name in seconds.items()}


class Exchanges:
    """When this process waited in an all-to-all, and in which thread; in the place of torch's function."""

    def __init__(self) -> None:
        self.plain, self.times = dist.all_to_all_single, list[tuple[int, float, float]]()

    def __call__(self, *given: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return self.plain(*given, **named)
        finally:
            self.times.append((threading.get_ident(), start, time.perf_counter()))

    def beside(self, executor: Executor) -> tuple[float, float]:
        """Seconds that passes of `F&B` were in exchanges, and those of these in which the other computed."""
        total = computing = 0.0
        main = threading.get_ident()
        spans = [(executor.started + one.start, executor.started + one.end) for one in executor.passes]
        place = 0
        for action in executor.schedule.actions[executor.rank]:
            if not isinstance(action, Overlapped):
                place += 1
                continue
            for own, other, forward in ((place, place + 1, True), (place + 1, place, False)):
                for thread, start, end in self.times:
                    if (thread == main) is forward and spans[own][0] <= start and end <= spans[own][1]:
                        total += end - start
                        computing += _common((start, end), spans[other]) - sum(
                            _common((start, end), (begin, stop))
                            for another, begin, stop in self.times
                            if another != thread
                        )
            place += 2
        return total, computing


def _common(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Seconds that two spans share."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def passes_of(method: str, groups: Groups, *, side_by_side: bool = True) -> PipelinedPasses:
    """The stages of this rank, with weights."""
    pipeline = Pipeline(config(), method, groups.layout.pipeline)
    part = Part(config(), pipeline.of_rank(groups.place.pipeline))
    initialise(part, 0, config().initial_std)
    channels, experts, back = groups.channels, groups.experts, groups.experts_back
    return PipelinedPasses(part, pipeline, channels, experts, back, side_by_side=side_by_side)


def real(method: str, groups: Groups, sizes: Sizes) -> dict[str, Any]:
    """Steps of real stages, and passes alone."""
    passes, rows = passes_of(method, groups), batch(sizes.chunks, sizes.length)
    alone = in_turns(
        groups.pipeline, lambda: passes_alone(passes, passes.pipeline.schedule(sizes.chunks), sizes)
    )
    steps = []
    for _ in range(sizes.steps + 1):
        dist.barrier()
        passes.run(rows, counts(rows), SETTINGS, sources=1)
        passes.part.zero_grad()
        assert passes.last is not None
        steps.append(spans_of(passes.last))
    return {"steps": steps[1:], "alone": alone}


def spread(groups: Groups, sizes: Sizes, side_by_side: bool) -> dict[str, Any]:
    """Steps of DualPipe with experts spread over two ranks, and how its exchanges lie beside computing."""
    passes = passes_of("dualpipe", groups, side_by_side=side_by_side)
    rows = batch(sizes.chunks, sizes.length)
    steps, total, computing = [], 0.0, 0.0
    for _ in range(sizes.steps + 1):
        dist.barrier()
        exchanges = Exchanges()
        with mock.patch.object(dist, "all_to_all_single", exchanges):
            passes.run(rows, counts(rows), SETTINGS, sources=1)
        passes.part.zero_grad()
        assert passes.last is not None
        steps.append(spans_of(passes.last))
        found = exchanges.beside(passes.last)
        total, computing = total + found[0], computing + found[1]
    return {"steps": steps[1:], "exchanging": total, "beside": computing}


def main(rank: int, ranks: int, folder: Path, quick: bool) -> None:
    """Run all jobs, and write `JOB.RANK.json` for each."""
    torch.set_num_threads(1)
    sizes = Sizes.of(ranks, quick)
    with local_group(folder / "meeting", rank, ranks, seconds=600):
        groups = Groups(Layout(ranks, 1, 1), seconds=600)
        halves = Groups(Layout(ranks // 2, 1, 2), seconds=600)
        for number, job in enumerate(jobs(ranks)):
            kind, _, what = job.partition(" ")
            told = _told(kind, what, halves if kind == "spread" else groups, sizes)
            file = folder / f"{number}.{rank}.json"
            file.with_suffix(".part").write_text(json.dumps(told), "utf-8")
            file.with_suffix(".part").rename(file)


def _told(kind: str, what: str, groups: Groups, sizes: Sizes) -> dict[str, Any]:
    if kind == "real":
        return real(what, groups, sizes)
    if kind == "spread":
        return spread(groups, sizes, what == "side by side")
    schedule = Pipeline(config(), what, groups.layout.pipeline).schedule(sizes.chunks)
    unit = sizes.sleeps(what)
    return {"steps": [run_sleeping(schedule, groups.channels, unit) for _ in range(sizes.steps)]}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == "quick")
