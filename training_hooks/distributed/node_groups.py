"""Simulated nodes: the ranks of an expert group in nodes of equal size, and the groups of ranks that talk.

Ranks of a node stand together: rank p of P is rank p % L of node p // L, with L ranks a node. `within` are
the ranks of one node, `across` those of one local number, one of each node. Where a backward pass runs beside
a forward pass, in another thread, it must have groups of its own: collectives of one group need one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from corpusmill.training_hooks.distributed.group import CPU, own_group
from corpusmill.training_hooks.distributed.traffic_count import Link, Pass
from corpusmill.training_hooks.model.config import ModelConfig


@dataclass(frozen=True)
class Hop:
    """A group that rows travel over, the one that backward uses (the same where the two never overlap), and
    what kind of link leads to each of its ranks."""

    forward: dist.ProcessGroup
    backward: dist.ProcessGroup
    links: tuple[Link, ...]

    def group(self, during: Pass) -> dist.ProcessGroup:
        """The group for one kind of pass."""
        return self.forward if during == "forward" else self.backward


def flat_hop(group: dist.ProcessGroup, nodes: int = 1, backward: dist.ProcessGroup | None = None) -> Hop:
    """All ranks of `group` as one hop, in `nodes` nodes. Raises ValueError where they do not divide."""
    local = _local(group.size(), nodes)
    me = group.rank()
    links = tuple(_link(rank, me, local) for rank in range(group.size()))
    return Hop(group, backward or group, links)


@dataclass(frozen=True)
class NodeHops:
    """The two hops of a rank that is number `local` of node `node`."""

    across: Hop
    within: Hop
    node: int
    local: int
    size: int  # ranks of a node

    @property
    def nodes(self) -> int:
        """How many there are."""
        return len(self.across.links)

    @property
    def ranks(self) -> int:
        """All ranks of all nodes."""
        return self.nodes * self.size


def node_hops(
    sharers: Sequence[Sequence[int]],
    nodes: int,
    *,
    seconds: float = 60.0,
    apart: bool = False,
    device: torch.device = CPU,
) -> NodeHops:
    """The hops of this rank where the ranks of each of `sharers`, ascending, lie on `nodes` nodes.

    All ranks of the default group call it alike; each is in one of `sharers`. `seconds`: how long an exchange
    waits for another rank. `apart` makes groups of their own for backward. `device`: of the rows. Raises
    ValueError where ranks do not divide.
    """
    (ranks,) = (one for one in sharers if dist.get_rank() in one)
    size = _local(len(ranks), nodes)
    node, local = divmod(ranks.index(dist.get_rank()), size)

    def made(sets: list[Sequence[int]], me: int, link: Link) -> Hop:
        forward = own_group(sets, seconds, device)
        links: tuple[Link, ...] = tuple("own" if n == me else link for n in range(forward.size()))
        return Hop(forward, own_group(sets, seconds, device) if apart else forward, links)

    across = made([one[n::size] for one in sharers for n in range(size)], node, "across")
    within = made([one[n * size : (n + 1) * size] for one in sharers for n in range(nodes)], local, "within")
    return NodeHops(across, within, node, local, size)


def nodes_reached(experts_NK: Tensor, n_experts: int, nodes: int) -> Tensor:
    """On how many of `nodes`, which have n_experts / nodes experts each, the experts of each token are:
    int64[N]. Node-limited routing keeps it to the kept groups where a node has one group or more."""
    reached = torch.zeros(experts_NK.shape[0], nodes, dtype=torch.bool, device=experts_NK.device)
    reached.scatter_(1, experts_NK // (n_experts // nodes), True)
    return reached.sum(1)


def most_nodes(config: ModelConfig, nodes: int) -> int:
    """The most nodes that a token can reach: those that the kept groups lie on, where these lie on most."""
    per_node, per_group = config.n_routed_experts // nodes, config.n_routed_experts // config.n_group
    spans = [
        ((group + 1) * per_group - 1) // per_node - group * per_group // per_node + 1
        for group in range(config.n_group)
    ]
    return min(nodes, config.num_experts_per_tok, sum(sorted(spans)[-config.topk_group :]))


def _local(ranks: int, nodes: int) -> int:
    if nodes < 1 or ranks % nodes:
        raise ValueError(f"{ranks} ranks do not divide among {nodes} nodes")
    return ranks // nodes


def _link(rank: int, me: int, local: int) -> Link:
    if rank == me:
        return "own"
    return "within" if rank // local == me // local else "across"
