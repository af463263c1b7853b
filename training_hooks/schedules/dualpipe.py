"""DualPipe (section 3.2.1 of the report) and DualPipeV: chunks from both ends, forward beside backward.

A rank has two stages, one near each end of the model. "0" is the direction in which the chunks come to it
sooner, "1" the other. With R ranks, h = min(rank, R - 1 - rank) and n chunks a direction, a rank does

    (1) F0            x 2(R/2 - h - 1)   fill the pipeline
    (2) F0 F1         x h + 1
    (3) I1 W1 F1      x R/2 - h - 1
    (4) F0&B1 F1&B0   x n - R + h + 1    the bulk: a forward beside a backward pass
    (5) B1 F1&B0      x R/2 - h - 1
    (6) B1 B0         x h + 1            the second half of these leave their weight gradients for later

    (7) W  I0         x R/2 - h - 1

    (8) W             x h + 1

I and W are the two parts of a backward pass B. Postponed weight gradients come first in, first out. The two
ranks in the middle do their first F0 and B1 one after the other: the rank beside them waits for that F0.

DualPipeV is one half of a DualPipe of twice as many ranks: a chunk that reaches the last rank turns round
there. Each stage is on one rank alone.
"""

from __future__ import annotations

from collections import deque
from itertools import count

from corpusmill.training_hooks.schedules.actions import (
    Action,
    Backward,
    Forward,
    InputGradient,
    Overlapped,
    Place,
    Schedule,
    WeightGradient,
)


def dualpipe(ranks: int, chunks: int) -> Schedule:
    """DualPipe of an even number of ranks and an even number of chunks, at least 2 * ranks.

    Chunks 0..chunks/2 - 1 enter at rank 0, the others at the last. Raises ValueError for other numbers.
    """
    if ranks < 2 or ranks % 2:
        raise ValueError(f"DualPipe needs an even number of ranks, got {ranks}")
    if chunks % 2 or chunks < 2 * ranks:
        raise ValueError(
            f"DualPipe of {ranks} ranks needs an even number of chunks, at least {2 * ranks}, got {chunks}"
        )
    half = chunks // 2
    down = tuple(Place(rank, 0) for rank in range(ranks))
    up = tuple(Place(rank, 1) for rank in reversed(range(ranks)))
    actions = []
    for rank in range(ranks):
        near = 0 if rank < ranks // 2 else 1
        starts = (0, half) if near == 0 else (half, 0)
        h = min(rank, ranks - 1 - rank)
        actions.append(_actions(ranks // 2, h, half, (near, 1 - near), starts))
    return Schedule("dualpipe", chunks, (down, up), tuple(actions))


def dualpipev(ranks: int, chunks: int) -> Schedule:
    """DualPipeV of at least one rank and 2 * ranks chunks: rank r has stages r and 2 * ranks - 1 - r.

    Raises ValueError for fewer.
    """
    if ranks < 1 or chunks < 2 * ranks:
        raise ValueError(
            f"DualPipeV needs at least one rank and two chunks a rank, got {ranks} ranks and {chunks} chunks"
        )
    route = (
        *(Place(rank, 0) for rank in range(ranks)),
        *(Place(rank, 1) for rank in reversed(range(ranks))),
    )
    actions = tuple(_actions(ranks, rank, chunks, (0, 1), (0, 0)) for rank in range(ranks))
    return Schedule("dualpipev", chunks, (route,), actions)


def _actions(
    half: int, h: int, n: int, directions: tuple[int, int], starts: tuple[int, int]
) -> tuple[Action, ...]:
    """Actions of a rank: `half` is R/2, `directions` what the rule calls 0 and 1, `starts` their first
    chunks."""
    forwards, backwards = [count(start) for start in starts], [count(start) for start in starts]
    later: deque[WeightGradient] = deque()
    made: list[Action] = []

    def forward(side: int) -> Forward:
        return Forward(directions[side], next(forwards[side]))

    def backward(side: int) -> Backward:
        return Backward(directions[side], next(backwards[side]))

    def input_gradient(side: int) -> InputGradient:
        chunk = next(backwards[side])
        later.append(WeightGradient(directions[side], chunk))
        return InputGradient(directions[side], chunk)

    outer = half - h - 1  # ranks between this one and the middle
    made += [forward(0) for _ in range(2 * outer)]
    for _ in range(h + 1):
        made += [forward(0), forward(1)]
    for _ in range(outer):
        made += [input_gradient(1), later.popleft(), forward(1)]
    for turn in range(n - 2 * half + h + 1):
        if turn == 0 and outer == 0:
            made += [forward(0), backward(1)]
        else:
            made.append(Overlapped(forward(0), backward(1)))
        made.append(Overlapped(forward(1), backward(0)))
    for _ in range(outer):
        made += [backward(1), Overlapped(forward(1), backward(0))]
    for turn in range(2 * (h + 1)):
        side = 1 - turn % 2
        made.append(backward(side) if turn < h + 1 else input_gradient(side))
    for _ in range(outer):
        made += [later.popleft(), input_gradient(0)]
    made += [later.popleft() for _ in range(h + 1)]
    return tuple(made)
