"""Schedules with their messages written out, and a machine on which every send blocks.

On this machine a send ends when the other rank receives it, and a receive when the other sends (a
rendezvous): no buffer helps a bad order. `programs` never deadlocks there. It puts both ends of a message at
the same place of one order of all that happens, that of an ideal timeline: a message at the end of the pass
that makes it, a pass at its beginning. The first thing in that order which is not done yet can always be
done.

Processes that send asynchronously run the same programs; between two ranks, messages are sent and received in
one order, as libraries without tags want them.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpusmill.training_hooks.schedules.actions import Action, Result, Schedule
from corpusmill.training_hooks.schedules.simulate import (
    UNIT,
    DeadlockError,
    Duration,
    Span,
    Timeline,
    simulate,
)


@dataclass(frozen=True, slots=True)
class Send:
    """Give `result` to the rank `peer`."""

    peer: int
    result: Result

    def __str__(self) -> str:
        return f"send the {self.result} to rank {self.peer}"


@dataclass(frozen=True, slots=True)
class Receive:
    """Take `result` from the rank `peer`."""

    peer: int
    result: Result

    def __str__(self) -> str:
        return f"receive the {self.result} from rank {self.peer}"


Operation = Action | Send | Receive
Program = tuple[Operation, ...]


def programs(schedule: Schedule) -> tuple[Program, ...]:
    """The actions of each rank with the sends and receives between them."""
    timeline = simulate(schedule, lambda _, action: UNIT.of(action))
    ordered: list[tuple[float, int, int, list[tuple[int, Operation]]]] = []
    for rank, spans in enumerate(timeline.spans):
        for number, span in enumerate(spans):
            ordered.append((span.start, 1, number, [(rank, span.action)]))
            for result in schedule.results[rank][number][1]:
                user = schedule.user(result)
                if user is not None and user != rank:
                    both: list[tuple[int, Operation]] = [
                        (rank, Send(user, result)),
                        (user, Receive(rank, result)),
                    ]
                    ordered.append((span.end, 0, number, both))
    made: list[list[Operation]] = [[] for _ in range(schedule.ranks)]
    # Sorting keeps the order of equals, so ties end the same way every time.
    for _, _, _, operations in sorted(ordered, key=lambda one: one[:3]):
        for rank, operation in operations:
            made[rank].append(operation)
    return tuple(tuple(program) for program in made)


def run_blocking(
    schedule: Schedule, programs: tuple[Program, ...], duration: Duration, transfer: float = 0.0
) -> Timeline:
    """The timeline on the machine of blocking sends; a message takes `transfer` from the moment that both its
    ends are ready.

    Raises DeadlockError where ranks wait for one another, ValueError for a pass without its input or another
    one than the schedule's next.
    """
    at = [0] * schedule.ranks
    clock = [0.0] * schedule.ranks
    has: list[set[Result]] = [set() for _ in range(schedule.ranks)]
    spans: list[list[Span]] = [[] for _ in range(schedule.ranks)]

    def now(rank: int) -> Operation | None:
        return programs[rank][at[rank]] if at[rank] < len(programs[rank]) else None

    ready = list(range(schedule.ranks))
    while ready:
        rank = ready.pop()
        while (operation := now(rank)) is not None:
            if isinstance(operation, Send | Receive):
                peer, result = operation.peer, operation.result
                other = Receive(rank, result) if isinstance(operation, Send) else Send(rank, result)
                if now(peer) != other:
                    break
                sender, receiver = (rank, peer) if isinstance(operation, Send) else (peer, rank)
                if result not in has[sender]:
                    raise ValueError(f"rank {sender} sends the {result} before it has it")
                has[receiver].add(result)
                clock[rank] = clock[peer] = max(clock[rank], clock[peer]) + transfer
                at[rank] += 1
                at[peer] += 1
                ready.append(peer)
                continue
            number = len(spans[rank])
            if operation != schedule.actions[rank][number]:
                raise ValueError(f"rank {rank}: {operation} is not action {number} of the schedule")
            needs, made = schedule.results[rank][number]
            for need in needs:
                if need not in has[rank]:
                    raise ValueError(f"rank {rank}: {operation} comes before the {need}")
            start = clock[rank]
            clock[rank] = start + duration(rank, operation)
            has[rank].update(made)
            spans[rank].append(Span(operation, start, clock[rank]))
            at[rank] += 1
    stuck = [(rank, now(rank)) for rank in range(schedule.ranks) if now(rank) is not None]
    if stuck:
        told = "; ".join(f"rank {rank} would {operation}" for rank, operation in stuck)
        raise DeadlockError(f"{schedule.name}: ranks wait for one another: {told}")
    return Timeline(schedule, tuple(tuple(of_rank) for of_rank in spans))
