"""A machine of ranks whose messages run on streams, as a GPU's do: a channel carries them in order.

A rank launches its program in order. Passes run on one stream. A message starts once it is launched at both
ends and all before it on its stream, at either end, is done; a pass waits for the messages that it needs, and
a send for the one `most` before it. Nothing takes time: all that matters is whether the programs come to
their ends.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

from corpusmill.training_hooks.schedules.actions import Result, Schedule
from corpusmill.training_hooks.schedules.blocking import Program, Receive, Send

Stream = Callable[[int, int], object]  # of a message, by its sender and its receiver


def apart(sender: int, receiver: int) -> object:
    """A stream for each direction."""
    return sender, receiver


def of_a_pair(sender: int, receiver: int) -> object:
    """One stream for both directions of a pair."""
    return frozenset((sender, receiver))


class _Rank:
    def __init__(self, number: int, program: Program, ahead: int) -> None:
        self.number, self.program, self.ahead, self.at = number, program, ahead, 0
        self.to_post = deque(one for one in program if isinstance(one, Receive))
        self.streams: dict[object, deque[tuple[int, int, Result]]] = defaultdict(deque)
        self.there: set[Result] = set()  # made here or arrived
        self.posted: set[Result] = set()
        self.arrived = 0
        self.sends: list[Result] = []
        self.left: set[Result] = set()

    def post(self, stream: Stream) -> None:
        one = self.to_post.popleft()
        self.posted.add(one.result)
        self.streams[stream(one.peer, self.number)].append((one.peer, self.number, one.result))


def stuck(
    schedule: Schedule, programs: tuple[Program, ...], stream: Stream, *, ahead: int, most: int
) -> list[int]:
    """The ranks that never come to the end of their programs. `ahead`: receives that are launched before
    their place in the program. Raises ValueError where a stream's ends disagree on what comes next."""
    ranks = [_Rank(number, program, ahead) for number, program in enumerate(programs)]
    moved = True
    while moved:
        moved = False
        for rank in ranks:
            while _launch(rank, schedule, stream, most):
                moved = True
        for rank in ranks:
            for queue in rank.streams.values():
                while queue and _carried(queue, rank, ranks, stream):
                    moved = True
    return [rank.number for rank in ranks if rank.at < len(rank.program) or len(rank.left) < len(rank.sends)]


def _launch(rank: _Rank, schedule: Schedule, stream: Stream, most: int) -> bool:
    """Whether the next operation of the rank could be launched and, if a pass, be done."""
    while rank.to_post and len(rank.posted) - rank.arrived < rank.ahead:
        rank.post(stream)
    if rank.at == len(rank.program):
        return False
    operation = rank.program[rank.at]
    if isinstance(operation, Receive):
        while operation.result not in rank.posted:
            rank.post(stream)
    elif isinstance(operation, Send):
        if len(rank.sends) >= most and rank.sends[-most] not in rank.left:
            return False
        rank.sends.append(operation.result)
        queue = rank.streams[stream(rank.number, operation.peer)]
        queue.append((rank.number, operation.peer, operation.result))
    else:
        if not rank.there.issuperset(schedule.needs(rank.number, operation)):
            return False
        rank.there.update(schedule.made(rank.number, operation))
    rank.at += 1
    return True


def _carried(queue: deque[tuple[int, int, Result]], rank: _Rank, ranks: list[_Rank], stream: Stream) -> bool:
    """Whether the first message of a stream's end is first at its other end too, and so has arrived."""
    sender, receiver, result = queue[0]
    other = ranks[receiver if sender == rank.number else sender]
    theirs = other.streams[stream(sender, receiver)]
    if not theirs or theirs[0] != queue[0]:
        if theirs and theirs[0][:2] == (sender, receiver):
            raise ValueError(
                f"rank {rank.number} is at the {result}, rank {other.number} at the {theirs[0][2]}"
            )
        return False
    queue.popleft()
    theirs.popleft()
    ranks[sender].left.add(result)
    ranks[receiver].there.add(result)
    ranks[receiver].arrived += 1
    return True
