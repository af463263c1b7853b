"""The process groups of a layout. Making one is a meeting of all ranks: all make the same, in one order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import torch
import torch.distributed as dist

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.distributed.channels import Channels
from corpusmill.training_hooks.distributed.group import CPU, begin, own_group
from corpusmill.training_hooks.distributed.layout import Layout

PATIENT = timedelta(days=365)  # for what is waited for as long as it takes: a dead rank ends it all the same


class Groups:
    """Groups of this rank, in a default group of `layout.world` ranks; every rank makes them together.

    `world`: all ranks; `experts`: those that share out the experts of its layers; `experts_back`: the same,
    for gradients on their way back while rows of another pass go forward, and `sharers` the ranks of all such
    groups; `pipeline`: those with its rows, in
    the order of the stages, and `channels` the ways for messages between them; `patient`: all ranks, on the
    CPU, without a time limit, for waiting until one of them has done something that takes long. In the others
    a rank waits `seconds` for another.

    `device`: of the parts and of what travels between them. Tensors on the CPU travel in all groups by gloo,
    those on a GPU by NCCL in all but `patient`. Raises UserError where the default group has another number
    of ranks.
    """

    def __init__(self, layout: Layout, seconds: float = 60.0, device: torch.device = CPU) -> None:
        self.layout, self.rank, self.seconds = layout, dist.get_rank(), seconds
        self.device = device
        self._wait = timedelta(seconds=seconds)
        if dist.get_world_size() != layout.world:
            raise UserError(
                f"{dist.get_world_size()} processes were started for a layout of {layout}: start "
                f"{layout.world}, or change `parallel`"
            )
        self.place = layout.place(self.rank)
        self._made: dict[tuple[int, ...], dist.ProcessGroup] = {}
        world = dist.group.WORLD
        assert world is not None
        self.world = self._made[tuple(range(layout.world))] = world
        begin(world, device)
        self.patient = dist.new_group(backend="gloo", timeout=PATIENT)
        places = [layout.place(rank) for rank in range(layout.world)]
        self.sharers = _alike([(p.pipeline, p.data) for p in places])
        self.experts = self.experts_back = self._mine(self.sharers)
        if layout.experts > 1:
            self.experts_back = own_group(self.sharers, seconds, device)
        pipelines = _alike([(p.data, p.experts) for p in places])
        self.pipeline = self._mine(pipelines)
        self.channels = Channels(pipelines, seconds, device)

    def _mine(self, sets: list[tuple[int, ...]]) -> dist.ProcessGroup:
        """This rank's group of those of `sets`."""
        self.make(sets)
        (mine,) = (ranks for ranks in sets if self.rank in ranks)
        return self._made[mine]

    def make(self, sets: Iterable[tuple[int, ...]]) -> None:
        """Make the groups of these sets of ranks, each ascending, that are not there yet. Every rank calls it
        with the same sets."""
        for ranks in dict.fromkeys(sets):
            if ranks not in self._made:
                self._made[ranks] = dist.new_group(list(ranks), timeout=self._wait)
                if self.rank in ranks:
                    begin(self._made[ranks], self.device)

    def of(self, ranks: tuple[int, ...]) -> dist.ProcessGroup:
        """The group of these ranks, this one among them, once `make` made it."""
        return self._made[ranks]

    def anyone(self, asked: bool) -> bool:
        """Whether any rank calls it with true; all call it, and wait for the last as long as it takes."""
        found = torch.tensor([int(asked)])
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self.patient)
        return bool(found)

    def tell(self, text: str) -> str:
        """The text of rank 0, on all ranks, which wait for it as long as it takes."""
        size = torch.tensor([len(text.encode())])
        dist.broadcast(size, 0, group=self.patient)
        content = torch.zeros(int(size), dtype=torch.uint8)
        if self.rank == 0:
            content = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8) if text else content
        if int(size):
            dist.broadcast(content, 0, group=self.patient)
        return bytes(content.tolist()).decode()


def _alike(keys: Sequence[object]) -> list[tuple[int, ...]]:
    """The ranks of each key, of which every rank has one."""
    return [tuple(r for r, key in enumerate(keys) if key == one) for one in dict.fromkeys(keys)]
