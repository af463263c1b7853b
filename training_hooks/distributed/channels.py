"""Ways for messages between neighbours of a pipeline: for each direction a group of its own, of two ranks.

A message has no tag, since NCCL has none: the n-th that is sent into a channel is the n-th that is received
from it. Both ends take messages in the order of their programs, which is one between two ranks
(`schedules.blocking`). A group for each direction keeps a receive that waits from standing before a send:
NCCL runs what belongs to one communicator one after the other.

Making a channel ends with a first message. NCCL makes a communicator when it is used first, and waits there
for the other rank; ranks that did so in the middle of a schedule could wait for one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import torch
import torch.distributed as dist
from torch import Tensor

from corpusmill.training_hooks.distributed.group import CPU


class Channels:
    """The channels of this rank. All ranks of the default group make them together: `pipelines` are the ranks
    of each pipeline in the order of its stages, every rank in one of them.

    `rank` of `size` pipeline ranks. Messages are tensors on `device`. `seconds`: how long one waits for its
    other end, as far as the library of the device can tell (`group`).
    """

    def __init__(
        self, pipelines: Sequence[Sequence[int]], seconds: float, device: torch.device = CPU
    ) -> None:
        me, wait = dist.get_rank(), timedelta(seconds=seconds)
        self._to: dict[int, dist.ProcessGroup] = {}
        self._from: dict[int, dist.ProcessGroup] = {}
        first = torch.zeros(1, device=device)
        for ranks in pipelines:
            if me in ranks:
                self._ranks, self.rank, self.size = tuple(ranks), ranks.index(me), len(ranks)
            for low, pair in enumerate(pairwise(ranks)):
                for down in (True, False):
                    group = dist.new_group(list(pair), timeout=wait)
                    if me not in pair:
                        continue
                    peer = low + 1 if me == pair[0] else low
                    if down == (me == pair[0]):
                        self._to[peer] = group
                        self.send(first, peer).wait()
                    else:
                        self._from[peer] = group
                        self.receive(first, peer).wait()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def send(self, tensor: Tensor, peer: int) -> dist.Work:
        """Start to send a contiguous tensor to the pipeline rank `peer`, a neighbour."""
        work = dist.isend(tensor, self._ranks[peer], group=self._to[peer])
        assert work is not None
        return work

    def receive(self, tensor: Tensor, peer: int) -> dist.Work:
        """Start to receive into a contiguous tensor from the pipeline rank `peer`, a neighbour."""
        work = dist.irecv(tensor, self._ranks[peer], group=self._from[peer])
        assert work is not None
        return work
