"""When each action of a schedule runs, given how long they take: bubbles and makespan.

Sends are asynchronous: a result is at its user `transfer` after the pass that made it, whatever the user does
meanwhile. `blocking` has sends that wait. Times are in any unit, the same for all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

from corpusmill.training_hooks.schedules.actions import (
    Action,
    Backward,
    Forward,
    InputGradient,
    Overlapped,
    Result,
    Schedule,
    WeightGradient,
)

Duration = Callable[[int, Action], float]  # of an action on a rank


class DeadlockError(Exception):
    """Ranks wait for one another; the message names what each waits for."""


@dataclass(frozen=True)
class Times:
    """How long passes take: `forward`, `backward` with both its parts, `weight` of these for the weight
    gradient, `overlapped` for a forward and a backward pass side by side (F, B, W and F&B of the report).

    Raises ValueError for times that are not positive, a weight gradient that takes all of the backward pass,
    or two passes that take less side by side than one of them alone.
    """

    forward: float
    backward: float
    weight: float
    overlapped: float

    def __post_init__(self) -> None:
        for name in ("forward", "backward", "weight", "overlapped"):
            if not (isfinite(value := getattr(self, name)) and value > 0):
                raise ValueError(f"{name} must be a positive number, got {value}")
        if self.weight >= self.backward:
            raise ValueError(f"a weight gradient is a part of backward and takes less: {self}")
        if self.overlapped < max(self.forward, self.backward):
            raise ValueError(f"two passes side by side take no less than one of them alone: {self}")

    def of(self, action: Action) -> float:
        """The time of one action."""
        match action:
            case Forward():
                return self.forward
            case Backward():
                return self.backward
            case InputGradient():
                return self.backward - self.weight
            case WeightGradient():
                return self.weight
            case Overlapped():
                return self.overlapped


UNIT = Times(forward=1, backward=2, weight=1, overlapped=3)  # what a matrix product costs, no gain of overlap


@dataclass(frozen=True)
class Span:
    """An action with its beginning and end."""

    action: Action
    start: float
    end: float


@dataclass(frozen=True)
class Timeline:
    """A schedule with the spans of each rank, in order."""

    schedule: Schedule
    spans: tuple[tuple[Span, ...], ...]

    @cached_property
    def makespan(self) -> float:
        """Time from the beginning of the first action to the end of the last."""
        return max(spans[-1].end for spans in self.spans)

    def busy(self, rank: int) -> float:
        """Time in which a rank computes."""
        return sum(span.end - span.start for span in self.spans[rank])

    def bubble(self, rank: int) -> float:
        """Time in which a rank waits, from the first action of any rank to the last."""
        return self.makespan - self.busy(rank)


def simulate(schedule: Schedule, duration: Duration, transfer: float = 0.0) -> Timeline:
    """The timeline in which each rank does its next action as soon as it can. `transfer`: time between the
    end of a pass and the moment that another rank has its result.

    Raises DeadlockError where ranks wait for results that never come.
    """
    there: dict[Result, float] = {}  # when the rank that made it was done
    spans: list[list[Span]] = [[] for _ in range(schedule.ranks)]
    waiting: dict[Result, list[int]] = defaultdict(list)
    ready = list(range(schedule.ranks))
    while ready:
        rank = ready.pop()
        actions, done, results = schedule.actions[rank], spans[rank], schedule.results[rank]
        while len(done) < len(actions):
            action = actions[len(done)]
            start = done[-1].end if done else 0.0
            needs, made = results[len(done)]
            lacking = next((need for need in needs if need not in there), None)
            if lacking is not None:
                waiting[lacking].append(rank)
                break
            for need in needs:
                start = max(start, there[need] + (transfer if schedule.maker(need) != rank else 0.0))
            end = start + duration(rank, action)
            done.append(Span(action, start, end))
            for result in made:
                there[result] = end
                ready += waiting.pop(result, ())
    if waiting:
        told = "; ".join(f"rank {rank} for the {need}" for need, ranks in waiting.items() for rank in ranks)
        raise DeadlockError(f"{schedule.name}: ranks wait for ever: {told}")
    return Timeline(schedule, tuple(tuple(of_rank) for of_rank in spans))


def peak_activations(schedule: Schedule) -> tuple[int, ...]:
    """For each rank the most activations at once: of one chunk in one stage, from the beginning of its
    forward pass to the end of its weight gradient."""
    peaks = []
    for actions in schedule.actions:
        now = peak = 0
        for action in actions:
            now += isinstance(action, Forward | Overlapped)
            peak = max(peak, now)
            now -= isinstance(action, Backward | WeightGradient | Overlapped)
        peaks.append(peak)
    return tuple(peaks)


def parameter_copies(schedule: Schedule) -> float:
    """How many ranks have each stage, on average."""
    return len(schedule.stage_of) / schedule.stages
