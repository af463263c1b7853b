"""Which ranges of the whole model's tensors a rank has, and who has the same.

A rank's part has parameters by the names of the whole model. Most are whole there; those of routed experts
are rows of the whole tensor, one flat range of it. Gradients of a piece are added up over the ranks that have
it, and a checkpoint stores ranges by name, so that any layout can read what another wrote.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from corpusmill.training_hooks.distributed.layout import Layout, Place
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.gate import Gate
from corpusmill.training_hooks.model.moe import Experts
from corpusmill.training_hooks.model.transformer import Transformer


@dataclass(frozen=True)
class WholeModel:
    """What a model has, without its numbers: shapes of `parameters` and persistent `buffers` by name, names
    of those parameters that are `spread` with the experts, and of `gates` in the order of
    `Transformer.gates`."""

    parameters: dict[str, torch.Size]
    buffers: dict[str, torch.Size]
    spread: frozenset[str]
    gates: list[str]

    @classmethod
    def of(cls, config: ModelConfig) -> WholeModel:
        """Of a model of this configuration."""
        with torch.device("meta"):
            model = Transformer(config)
        parameters = {name: p.shape for name, p in model.named_parameters()}
        experts = [name for name, module in model.named_modules() if isinstance(module, Experts)]
        return cls(
            parameters=parameters,
            buffers={name: t.shape for name, t in model.state_dict().items() if name not in parameters},
            spread=frozenset(n for n in parameters if any(n.startswith(f"{e}.") for e in experts)),
            gates=[name for name, module in model.named_modules() if isinstance(module, Gate)],
        )


class Range(NamedTuple):
    """[start, stop) of the flattened tensor `name`, which the global `ranks` have, ascending."""

    name: str
    start: int
    stop: int
    ranks: tuple[int, ...]


class Piece(NamedTuple):
    """A range and this rank's parameter of it."""

    range: Range
    parameter: nn.Parameter


def ranges(whole: WholeModel, layout: Layout, holders: Callable[[str], frozenset[int]]) -> list[Range]:
    """All ranges of all parameters, in one order on every rank. `holders`: who has a name."""
    found = []
    for name, shape in whole.parameters.items():
        parts = layout.experts if name in whole.spread else 1
        size = math.prod(shape) // parts
        for part in range(parts):
            experts = range(layout.experts) if parts == 1 else (part,)
            ranks = tuple(
                layout.rank(p, d, e)
                for p in sorted(holders(name))
                for d in range(layout.data)
                for e in experts
            )
            found.append(Range(name, part * size, (part + 1) * size, ranks))
    return found


def pieces(part: nn.Module, every: list[Range], rank: int) -> list[Piece]:
    """This rank's, in the order of `ranges`. Raises ValueError where the part has other parameters or other
    sizes than `ranges` tells."""
    parameters = dict(part.named_parameters())
    mine = [one for one in every if rank in one.ranks]
    wanted = {one.name: one.stop - one.start for one in mine}
    have = {name: parameter.numel() for name, parameter in parameters.items()}
    if have != wanted:
        wrong = sorted(name for name in have.keys() | wanted.keys() if have.get(name) != wanted.get(name))
        name = wrong[0]
        raise ValueError(
            f"rank {rank} has {have.get(name)} numbers of {name}, and {wanted.get(name)} by the layout; "
            f"{len(wrong)} parameters differ"
        )
    return [Piece(one, parameters[one.name]) for one in mine]


def first_holder(layout: Layout, holders: frozenset[int]) -> int:
    """The rank that writes a tensor which all ranks of these pipeline ranks have."""
    return layout.rank(*Place(min(holders), 0, 0))
