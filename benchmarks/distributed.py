"""Steps of pipeline schedules on processes of this machine, beside the simulator's prediction.

    python benchmarks/distributed.py [--quick] [--json] [--ranks N]

N processes (4 by default) of one thread run 1F1B, ZB1P, DualPipe and DualPipeV by the executor of
`training_hooks.distributed`. Real stages are those of v3-tiny with 8 layers, rows of 256 tokens (64 with
`--quick`), one a micro-batch, FP32. Sleeping stages compute nothing: a forward pass sleeps 50 ms (10 with
`--quick`) and each half of a backward pass as long, half of that with DualPipeV, whose stages are half as
large. They show what the schedule does where ranks are more than cores. Jobs name schedule, stages, and ranks
x micro-batches.

A step is the time from the first action of any rank to the last end, the median of steps. The simulator's is
the makespan of `schedules.simulate`, without time for messages:

- from what they sleep;
- from its own passes: what each action took in that very step. What a step takes longer is what messages and
  the executor cost;
- from passes alone: medians of passes measured while the other ranks wait, two side by side as well: what the
  step takes where every thread has a core.

`bubble` is the mean share of a step in which a rank runs no action. `hidden`: DualPipe of half as many
pipeline ranks, experts spread over two ranks each; of the seconds in which a pass of `F&B` is in an
all-to-all, the share in which the other pass computes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import Bench, arguments, bounded
from pipeline_sizes import Sizes, config, jobs

from corpusmill.training_hooks.distributed.stages import Pipeline
from corpusmill.training_hooks.schedules.actions import Action, Overlapped, Schedule
from corpusmill.training_hooks.schedules.simulate import Timeline, Times, simulate

Steps = list[list[tuple[float, float]]]  # by rank, the spans of its actions


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ranks", type=int, default=4, help="processes, an even number")


class Processes:
    """The ranks, and what they tell job by job."""

    def __init__(self, ranks: int, quick: bool, folder: Path) -> None:
        self.folder, self.jobs = folder, jobs(ranks)
        self.running = []
        program = Path(__file__).with_name("pipeline_process.py")
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        for rank in range(ranks):
            given = [str(rank), str(ranks), str(folder), "quick" if quick else "full"]
            command = [sys.executable, str(program), *given]
            with (folder / f"{rank}.log").open("wb") as log:
                self.running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    def told(self, job: str) -> list[dict[str, Any]]:
        """What all ranks tell of a job, once they do. Raises RuntimeError with the log of one that failed."""
        number = self.jobs.index(job)
        files = [self.folder / f"{number}.{rank}.json" for rank in range(len(self.running))]
        while not all(file.exists() for file in files):
            for rank, process in enumerate(self.running):
                if process.poll():
                    raise RuntimeError((self.folder / f"{rank}.log").read_text("utf-8", "replace"))
            time.sleep(0.05)
        return [json.loads(file.read_text("utf-8")) for file in files]

    def finish(self) -> None:
        """Wait until all have ended. Raises RuntimeError with the log of one that failed."""
        for rank, process in enumerate(self.running):
            if process.wait():
                raise RuntimeError((self.folder / f"{rank}.log").read_text("utf-8", "replace"))


def makespan(step: Steps) -> float:
    """From the first action of any rank to the last end."""
    return max(spans[-1][1] for spans in step) - min(spans[0][0] for spans in step)


def bubble(step: Steps) -> float:
    """The mean share of the step in which a rank runs no action."""
    busy = statistics.mean(sum(end - start for start, end in spans) for spans in step)
    return 1 - busy / makespan(step)


def of_own_passes(schedule: Schedule, step: Steps) -> Timeline:
    """What the simulator gives where each action takes what it took in the step."""
    took = [
        {action: end - start for action, (start, end) in zip(actions, spans, strict=True)}
        for actions, spans in zip(schedule.actions, step, strict=True)
    ]
    return simulate(schedule, lambda rank, action: took[rank][action])


def of_passes_alone(schedule: Schedule, alone: list[dict[str, float]]) -> Timeline:
    """What it gives where each pass takes what it took while other ranks waited."""

    def seconds(rank: int, action: Action) -> float:
        if isinstance(action, Overlapped):
            return alone[rank][f"F{action.forward.direction}&B{action.backward.direction}"]
        return alone[rank][f"{action.SYMBOL}{action.direction}"]

    return simulate(schedule, seconds)


def of_sleep(schedule: Schedule, unit: float) -> Timeline:
    """What it gives where each pass takes what it sleeps; two side by side sleep at once."""
    times = Times(forward=unit, backward=2 * unit, weight=unit, overlapped=2 * unit)
    return simulate(schedule, lambda _, action: times.of(action))


def tell(bench: Bench, job: str, steps: list[Steps], simulated: dict[str, list[Timeline]]) -> None:
    """The rows of one schedule. `simulated`: by what it is from, a timeline for each step."""
    measured = [makespan(step) for step in steps]
    bench.add(job, "corpusmill", 1000 * statistics.median(measured), "ms")
    bench.add(f"{job}, bubble", "corpusmill", statistics.median(map(bubble, steps)), "share")
    for of, found in simulated.items():
        bench.add(f"{job}, from {of}", "simulator", 1000 * statistics.median(t.makespan for t in found), "ms")
        waits = [statistics.mean(map(t.bubble, range(len(t.spans)))) / t.makespan for t in found]
        bench.add(f"{job}, from {of}, bubble", "simulator", statistics.median(waits), "share")
        ratios = [one / other.makespan for one, other in zip(measured, found, strict=True)]
        bench.add(f"{job}, measured over from {of}", "corpusmill", statistics.median(ratios), "x")


def by_step(told: list[dict[str, Any]]) -> list[Steps]:
    """For each step of a job the spans of all ranks."""
    return [list(step) for step in zip(*(one["steps"] for one in told), strict=True)]


def main() -> None:
    """Run, and print the table or one JSON object."""
    given = arguments(__doc__, add=options)
    bench, ranks = Bench("distributed"), given.ranks
    sizes = Sizes.of(ranks, given.quick)
    chunks = sizes.chunks
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(ranks, given.quick, Path(folder))
        for job in processes.jobs:
            kind, _, what = job.partition(" ")
            told = processes.told(job)
            steps = by_step(told)
            if kind == "spread":
                tell_spread(bench, f"dualpipe, {ranks // 2} x {chunks}, experts on 2, F&B {what}", told)
                continue
            schedule = Pipeline(config(), what, ranks).schedule(chunks)
            if kind == "sleeping":
                simulated = {"what they sleep": [of_sleep(schedule, sizes.sleeps(what))] * len(steps)}
            else:
                alone = of_passes_alone(schedule, [one["alone"] for one in told])
                simulated = {
                    "its own passes": [of_own_passes(schedule, step) for step in steps],
                    "passes alone": [alone] * len(steps),
                }
            tell(bench, f"{what}, {kind} stages, {ranks} x {chunks}", steps, simulated)
        processes.finish()
    bench.print(given.json)


def tell_spread(bench: Bench, job: str, told: list[dict[str, Any]]) -> None:
    """The rows of steps with experts spread."""
    bench.add(job, "corpusmill", 1000 * statistics.median(map(makespan, by_step(told))), "ms")
    exchanging, computing = (sum(one[what] for one in told) for what in ("exchanging", "beside"))
    bench.add(f"{job}, hidden", "corpusmill", computing / exchanging, "share")


if __name__ == "__main__":
    bounded(main)
