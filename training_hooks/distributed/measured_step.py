"""How long the ranks of a pipeline waited in a step, measured on all of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist

from corpusmill.training_hooks.distributed.executor import Executor


@dataclass(frozen=True)
class MeasuredStep:
    """`spans[rank]`: beginning and end of each action, in the order of the schedule, in seconds from the
    rank's start; waiting for input is in none of them."""

    spans: tuple[tuple[tuple[float, float], ...], ...]

    @property
    def seconds(self) -> float:
        """To the end of the last action of any rank."""
        return max(end for spans in self.spans for _, end in spans)

    @property
    def waits(self) -> tuple[float, ...]:
        """The share of these seconds in which each rank ran no action."""
        busy = (sum(end - start for start, end in spans) for spans in self.spans)
        return tuple(1 - one / self.seconds for one in busy)


def measured_step(executor: Executor, group: dist.ProcessGroup) -> MeasuredStep:
    """The step that `executor` ran last, with those of the other ranks of the pipeline, `group` in their
    order; all call it. Ranks begin at once, as far as the message before the step lets them."""
    schedule = executor.schedule
    mine = torch.zeros(max(map(len, schedule.actions)), 2, dtype=torch.float64)
    for number, span in enumerate(executor.spans):
        mine[number] = torch.tensor([span.start, span.end], dtype=torch.float64)
    every = [torch.empty_like(mine) for _ in range(schedule.ranks)]
    dist.all_gather(every, mine, group=group)
    return MeasuredStep(
        tuple(
            tuple((float(start), float(end)) for start, end in times[: len(actions)].tolist())
            for times, actions in zip(every, schedule.actions, strict=True)
        )
    )
