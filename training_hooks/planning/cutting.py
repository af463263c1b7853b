"""Which layers go to which pipeline stage: contiguous pieces, so that the busiest rank has least to do.

Embedding and head stay on the first and the last stage, as do MTP modules, so layers are what can be moved.
Where a rank has two stages, one near each end, their sum counts: a cheap first stage makes up for a last one
with the head. Of all cuts whose busiest rank has least to do, within 2%, the one whose stages are most even
is taken, by the sum of squares. Both are exact, by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.planning.layout import Stage

_SLACK = 1.02  # a busiest rank with that much more to do is as good, where stages are more even


def cut(
    config: ModelConfig, stages: int, *, paired: bool, dense: float, mixture: float, last: float
) -> tuple[Stage, ...]:
    """The layers of `config` in `stages` pieces. `dense` and `mixture` are what a layer costs, `last` the
    head with MTP; `paired`: stages s and stages - 1 - s are on one rank.

    A stage may be without layers where that is best, such as one with head and MTP. Raises ValueError for
    more stages than layers.
    """
    layers, first = config.num_hidden_layers, config.first_k_dense_replace
    if stages > layers:
        raise ValueError(f"{layers} layers cannot be cut into {stages} stages: take fewer pipeline ranks")
    costs = [dense if layer < first else mixture for layer in range(layers)]
    ends = paired_ends(costs, stages, last) if paired and stages > 1 else single_ends(costs, stages, last)
    made = []
    for stage, (start, end) in enumerate(pairwise((0, *ends))):
        shallow = max(0, min(end, first) - start)
        final = stage == stages - 1
        mtp = config.num_nextn_predict_layers if final else 0
        made.append(Stage(shallow, end - start - shallow, stage == 0, final, mtp))
    return tuple(made)


def single_ends(costs: Sequence[float], stages: int, last: float) -> tuple[int, ...]:
    """Where the stages' layers end, each stage on a rank of its own."""
    sums = [0.0, *accumulate(costs)]
    layers = len(costs)

    def best(limit: float | None) -> tuple[int, ...]:
        found: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
        for stage in range(stages):
            following: dict[int, tuple[float, tuple[int, ...]]] = {}
            for start, (value, ends) in found.items():
                for end in range(start, layers + 1) if stage < stages - 1 else (layers,):
                    cost = sums[end] - sums[start] + (last if stage == stages - 1 else 0.0)
                    if limit is not None and cost > limit:
                        break
                    made = max(value, cost) if limit is None else value + cost * cost
                    if end not in following or made < following[end][0]:
                        following[end] = (made, (*ends, end))
            found = following
        return found[layers][1]

    ends = best(None)
    greatest = max(
        sums[end] - sums[start] + (last if stage == stages - 1 else 0.0)
        for stage, (start, end) in enumerate(pairwise((0, *ends)))
    )
    return best(greatest * _SLACK)


def paired_ends(costs: Sequence[float], stages: int, last: float) -> tuple[int, ...]:
    """Where the stages' layers end, stages s and stages - 1 - s on one rank. `stages` is even."""
    sums = [0.0, *accumulate(costs)]
    pairs = stages // 2
    low, high = 0.0, sums[-1] + last
    while high - low > low * 1e-6:  # the least limit under which all layers find room
        middle = (low + high) / 2
        low, high = (low, middle) if _fits(sums, pairs, last, middle) else (middle, high)
    return _most_even(sums, pairs, last, high * _SLACK)


def _fits(sums: Sequence[float], pairs: int, last: float, limit: float) -> bool:
    """Whether `pairs` pairs from both ends inward take all layers, each at most `limit`. For a number of
    layers at the front, the most at the back are best."""
    layers = len(sums) - 1
    found = {0: layers}  # layers taken at the front -> where the back begins
    for pair in range(pairs):
        room = limit - (0.0 if pair else last)
        following: dict[int, int] = {}
        for start, back in found.items():
            for end in range(start, back + 1):
                spare = room - (sums[end] - sums[start])
                if spare < 0:
                    break
                begin = back
                while begin > end and sums[back] - sums[begin - 1] <= spare:
                    begin -= 1
                following[end] = min(begin, following.get(end, layers))
        found = following
    return any(end == begin for end, begin in found.items())


def _most_even(sums: Sequence[float], pairs: int, last: float, limit: float) -> tuple[int, ...]:
    """The cut of least sum of squares in which no pair costs more than `limit`."""
    layers = len(sums) - 1
    found: dict[tuple[int, int], tuple[float, tuple[int, ...], tuple[int, ...]]] = {
        (0, layers): (0.0, (), (layers,))
    }
    for pair in range(pairs):
        following: dict[tuple[int, int], tuple[float, tuple[int, ...], tuple[int, ...]]] = {}
        extra = 0.0 if pair else last
        rest = limit * (pairs - 1 - pair)  # what the pairs after this one can take
        for (start, back), (value, ends, begins) in found.items():
            for end in range(start, back + 1):
                front = sums[end] - sums[start]
                if front + extra > limit:
                    break
                for begin in range(back, end - 1, -1):
                    behind = sums[back] - sums[begin] + extra
                    if front + behind > limit:
                        break
                    if sums[begin] - sums[end] > rest:
                        continue
                    made = value + front * front + behind * behind
                    if (end, begin) not in following or made < following[end, begin][0]:
                        following[end, begin] = (made, (*ends, end), (begin, *begins))
        found = following
    met = [(made, ends, begins) for (end, begin), (made, ends, begins) in found.items() if end == begin]
    _, ends, begins = min(met)
    return (*ends, *begins[1:])
