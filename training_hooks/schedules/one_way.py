"""Schedules of one direction: 1F1B and ZB1P, what DualPipe is measured against.

Both alternate one forward and one backward pass once the pipeline is full. 1F1B (Harlap et al. 2018) does the
two parts of backward at once. ZB1P (Qi et al. 2023, ZB-H1) postpones weight gradients, rank r always r of
them, so that every rank keeps as many activations as the first rank of 1F1B does, and ranks that would wait
at the end have weight gradients to compute.
"""

from __future__ import annotations

from corpusmill.training_hooks.schedules.actions import (
    Action,
    Backward,
    Forward,
    InputGradient,
    Place,
    Schedule,
    WeightGradient,
)


def one_f_one_b(ranks: int, chunks: int) -> Schedule:
    """1F1B of at least one rank and one chunk. Raises ValueError for fewer."""
    _check(ranks, chunks)
    actions = tuple(_one_f_one_b(ranks, rank, chunks) for rank in range(ranks))
    return Schedule("1f1b", chunks, (_straight(ranks),), actions)


def zb1p(ranks: int, chunks: int) -> Schedule:
    """ZB1P of at least one rank and one chunk. Raises ValueError for fewer."""
    _check(ranks, chunks)
    actions = tuple(_zb1p(ranks, rank, chunks) for rank in range(ranks))
    return Schedule("zb1p", chunks, (_straight(ranks),), actions)


def _check(ranks: int, chunks: int) -> None:
    if ranks < 1 or chunks < 1:
        raise ValueError(f"a pipeline has at least one rank and one chunk, got {ranks} and {chunks}")


def _straight(ranks: int) -> tuple[Place, ...]:
    return tuple(Place(rank, 0) for rank in range(ranks))


def _one_f_one_b(ranks: int, rank: int, chunks: int) -> tuple[Action, ...]:
    ahead = min(ranks - 1 - rank, chunks)  # forward passes before the first pair
    made: list[Action] = [Forward(0, chunk) for chunk in range(ahead)]
    for chunk in range(chunks):
        if chunk + ahead < chunks:
            made.append(Forward(0, chunk + ahead))
        made.append(Backward(0, chunk))
    return tuple(made)


def _zb1p(ranks: int, rank: int, chunks: int) -> tuple[Action, ...]:
    ahead = min(ranks - 1 - rank, chunks)
    made: list[Action] = [Forward(0, chunk) for chunk in range(ahead)]
    for chunk in range(chunks):
        if chunk + ahead < chunks:
            made.append(Forward(0, chunk + ahead))
        made.append(InputGradient(0, chunk))
        if chunk >= rank:
            made.append(WeightGradient(0, chunk - rank))
    made += [WeightGradient(0, chunk) for chunk in range(max(chunks - rank, 0), chunks)]
    return tuple(made)
