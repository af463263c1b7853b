"""The whole model's tensors on rank 0, from the ranks that are the first to have each range of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.pieces import Range, WholeModel, first_holder, ranges


class Gathering:
    """Who is the first to have each range of every parameter and buffer: the one that writes and sends it.

    `every`: ranges of all parameters; `mine`: names of those parameters and buffers that this rank is the
    first to have, in one order on every rank.
    """

    def __init__(self, whole: WholeModel, groups: Groups, holders: Callable[[str], frozenset[int]]) -> None:
        self._groups, self._whole = groups, whole
        self.every = ranges(whole, groups.layout, holders)
        buffers = []
        for name, shape in whole.buffers.items():
            rank = first_holder(groups.layout, holders(name))
            buffers.append(Range(name, 0, math.prod(shape), (rank,)))
        self._sent = [*self.every, *buffers]
        self.mine = {one.name: one for one in self._sent if one.ranks[0] == groups.rank}

    def shape(self, name: str) -> torch.Size:
        """That of the whole tensor."""
        return self._whole.parameters[name] if name in self._whole.parameters else self._whole.buffers[name]

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """On rank 0 all tensors, whole and on the CPU; None on others. `tensors`: by name those of `mine`, as
        this rank has them. Every rank calls it, and waits for the others as long as it takes."""
        group, found = self._groups.patient, dict[str, Tensor]()
        for name, start, stop, ranks in self._sent:
            owner = ranks[0]
            if self._groups.rank == owner:
                own = tensors[name].detach().reshape(-1).cpu()
                if owner != 0:
                    dist.send(own, 0, group=group)
            if self._groups.rank != 0:
                continue
            if name not in found:
                kind = tensors[name].dtype if name in tensors else torch.float32
                found[name] = torch.empty(math.prod(self.shape(name)), dtype=kind)
            place = found[name][start:stop]
            if owner == 0:
                place.copy_(own)
            else:
                dist.recv(place, owner, group=group)
        if self._groups.rank != 0:
            return None
        return {name: flat.view(self.shape(name)) for name, flat in found.items()}
