"""Weight gradients that wait: backward gives the gradients of inputs, and those of weights come later.

The stage before waits for the gradient of a stage's input; nobody waits for those of its weights before the
end of the step. A pipeline fills its bubbles with them (ZB1P, DualPipe: `schedules`). Where
`put_off(WeightGradients())` is in force, layers that multiply by a weight note that list as they run forward,
and their backward puts the weight's part on it: one product, with its two factors. `run` computes the parts
and adds them to `grad` of the parameters, through casts of weights where there are any. No product is
computed twice: one forward, one for the input, one for the weight.

The list is noted in forward and not looked up in backward, since backward may run in another thread, and
since chunks whose backward passes interleave each have a list of their own.

At once are, whatever the list says: gradients of vectors (norms), of the embedding, of the router, and those
of the output head, whose product is part of its forward pass (`cross_entropy`). What a part needs is kept
until it is computed: the input of the layer, and the gradient of its output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

Part = Callable[[], Tensor]


class WeightGradients:
    """Parts of weights' gradients, in the order in which one backward pass met them.

    `waiting`: whether backward puts them here; where it is set to False before, they are computed at once.
    """

    def __init__(self) -> None:
        self.waiting = True
        self._parts: dict[GradientEdge, list[Part]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._parts.values()))

    def put(self, edge: GradientEdge, part: Part) -> None:
        """Compute `part`, a gradient of what `edge` leads to, in `run`."""
        self._parts.setdefault(edge, []).append(part)

    def run(self) -> None:
        """Compute all parts and add them to `grad` of the parameters. Those of one weight are added up
        before, as backward adds up what reaches a parameter on several ways."""
        parts, self._parts = self._parts, {}
        for edge, of_weight in parts.items():
            with torch.no_grad():
                total = of_weight[0]()
                for part in of_weight[1:]:
                    total = total + part()
            of_weight.clear()
            torch.autograd.backward([edge], [total])


class Later(NamedTuple):
    """Where the gradient of a weight goes: a list, and the way from the weight to its parameter."""

    to: WeightGradients
    edge: GradientEdge


_IN_FORCE: ContextVar[WeightGradients | None] = ContextVar("weight_gradients", default=None)


@contextmanager
def put_off(to: WeightGradients | None) -> Iterator[None]:
    """Layers that run forward inside will put the weights' parts of their backward on `to`; None: they
    compute them at once. In force in this thread alone."""
    before = _IN_FORCE.set(to)
    try:
        yield
    finally:
        _IN_FORCE.reset(before)


def in_force() -> WeightGradients | None:
    """The list of the innermost `put_off` around the caller."""
    return _IN_FORCE.get()


def note(weight: Tensor) -> Later | None:
    """For a layer's forward to keep: where the gradient of `weight`, a parameter or made of some, goes; None
    where no list is in force. Keeps no numbers of the weight. Parameters may be cast, viewed and
    stacked on the way, but not by what keeps numbers for its backward, which runs only once."""
    to = in_force()
    return Later(to, get_gradient_edge(weight)) if to is not None and weight.requires_grad else None


def now_or_later(later: Later | None, part: Part) -> Tensor | None:
    """What the backward of a layer returns for its weight: the gradient, or None where it waits."""
    if later is None or not later.to.waiting:
        return part()
    later.to.put(later.edge, part)
    return None
