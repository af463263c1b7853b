"""When each action of a pipeline's step ran, of all its ranks, for a picture."""

from __future__ import annotations

import torch
import torch.distributed as dist

from corpusmill.pipelines.records.training_files import PipelineStep
from corpusmill.training_hooks.distributed.executor import Executor


def measured_step(executor: Executor, step: int, group: dist.ProcessGroup) -> PipelineStep:
    """The actions that `executor` has run in the training's step number `step`, and those of the other ranks
    of the pipeline, `group` in their order; all call it. Each rank's times are from its own start, which all
    ranks do at once, as far as the message before it lets them."""
    schedule = executor.schedule
    most = max(map(len, schedule.actions))
    mine = torch.zeros(most, 2, dtype=torch.float64)
    for number, span in enumerate(executor.spans):
        mine[number] = torch.tensor([span.start, span.end], dtype=torch.float64)
    every = [torch.empty_like(mine) for _ in range(schedule.ranks)]
    dist.all_gather(every, mine, group=group)
    return PipelineStep(
        schedule=schedule.name,
        chunks=schedule.chunks,
        step=step,
        spans=tuple(
            tuple((float(start), float(end)) for start, end in times[: len(actions)].tolist())
            for times, actions in zip(every, schedule.actions, strict=True)
        ),
    )
