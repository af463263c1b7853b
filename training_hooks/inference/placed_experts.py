"""Experts of a layer on the devices of a pool, with redundant ones, planned anew from measured loads.

Every token's row goes to one replica of each of its experts: the j-th token that reaches an expert, counted
from the plan on, goes to replica j modulo their number. So replicas share an expert's tokens evenly to one,
and the same tokens in the same order go the same way. A plan is made from the loads of the window before it,
the tokens since the last plan; windows do not overlap and nothing older counts. The first window runs on a
plan for even loads.

N tokens, K experts a token, M = N * K rows, E experts, R replicas, P devices, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from corpusmill.training_hooks.expert_placement.place import Placement, place_experts
from corpusmill.training_hooks.inference.simulated_device import SimulatedDevice, with_shared
from corpusmill.training_hooks.model.dispatch import combine, dispatch, slot_order
from corpusmill.training_hooks.model.feed_forward import FeedForward
from corpusmill.training_hooks.model.moe import Experts


@dataclass(frozen=True)
class Pool:
    """`devices` with room for `slots` experts of a layer each, in `nodes` nodes. Whole groups of experts stay
    on one node where `groups` divide among the nodes; `groups` 1 lets any device have any. `shared`: the
    shared expert is placed as one more that every token is routed to. `every`: tokens between plans."""

    devices: int
    slots: int
    nodes: int = 1
    groups: int = 1
    shared: bool = False
    every: int = 2048

    def place(self, loads: Sequence[float]) -> Placement:
        """The plan for these loads. The shared expert, which belongs to no group, needs `groups` 1. Raises
        ValueError for sizes that do not fit."""
        return place_experts(
            loads, devices=self.devices, slots=self.slots, nodes=self.nodes, groups=self.groups
        )


@dataclass
class Spread:
    """Sums over passes or windows of the load of the busiest device and of the mean one, in rows."""

    most: float = 0.0
    mean: float = 0.0

    def add(self, loads_P: Sequence[float]) -> None:
        """Count the loads of devices in one more."""
        self.most += max(loads_P)
        self.mean += sum(loads_P) / len(loads_P)

    @property
    def ratio(self) -> float | None:
        """The busiest device over the mean: how much longer all wait than if loads were even. None without
        load."""
        return self.most / self.mean if self.mean else None


@dataclass
class LayerFigures:
    """What one layer measured after its first plan. `without`: the same tokens if each expert were on one
    device, experts in order, and the shared one on all. `promised`: of each plan, on the loads that it was
    made from."""

    tokens: int = 0
    plans: int = 0
    moved: int = 0
    passes: Spread = field(default_factory=Spread)
    passes_without: Spread = field(default_factory=Spread)
    windows: Spread = field(default_factory=Spread)
    windows_without: Spread = field(default_factory=Spread)
    promised: list[float] = field(default_factory=list)
    nodes: int = 0
    nodes_without: int = 0
    replicas: tuple[int, ...] = ()
    loads: tuple[int, ...] = ()


class PlacedExperts(Experts):
    """Stands in the place of `Experts`; for inference alone."""

    def __init__(self, routed: Experts, shared: FeedForward | None, pool: Pool) -> None:
        """`shared` is used where the pool places it. Raises ValueError for sizes that do not fit."""
        n_experts, width, intermediate = routed.down_proj.shape
        super().__init__(0, width, intermediate)
        self.pool, self.n_experts = pool, n_experts
        self.store = with_shared(routed, shared if pool.shared else None)
        self.devices = [SimulatedDevice() for _ in range(pool.devices)]
        self.figures = LayerFigures()
        total = self.store.down_proj.shape[0]
        self._window_E = torch.zeros(total, dtype=torch.int64)
        self._window_P = torch.zeros(pool.devices, dtype=torch.int64)
        self._tokens = 0
        # Where each expert is without redundancy: in order, as evenly as they divide.
        self._home_E = torch.arange(n_experts) * pool.devices // n_experts
        self._turn_E = torch.zeros(total, dtype=torch.int64)
        self._take(pool.place([1.0] * total))

    @torch.no_grad()
    def mixed(self, x_ND: Tensor, experts_NK: Tensor, gates_NK: Tensor) -> Tensor:
        """As `Experts.mixed`, with the shared expert's output where the pool places it."""
        if self._tokens >= self.pool.every:
            self._plan()
        routed_NK = experts_NK
        more = self.store.down_proj.shape[0] - self.n_experts
        if more:
            shared_S = torch.arange(self.n_experts, self.n_experts + more, device=experts_NK.device)
            experts_NK = torch.cat((experts_NK, shared_S.expand(len(experts_NK), more)), dim=1)
            gates_NK = torch.cat((gates_NK, gates_NK.new_ones(len(gates_NK), more)), dim=1)
        replica_NK = self._replicas(experts_NK)
        order = slot_order(replica_NK, len(self._device_R))
        rows_MD = dispatch(x_ND, order, self.rows_dtype(x_ND))
        computed, first, row = [], 0, 0
        for device in self.devices:
            counts = order.counts[first : first + len(device.experts)]
            computed.append(device.compute(rows_MD[row : row + sum(counts)], counts))
            first, row = first + len(device.experts), row + sum(counts)
        self._count(experts_NK, routed_NK, replica_NK)
        return combine(torch.cat(computed), gates_NK, order)

    def _replicas(self, experts_NK: Tensor) -> Tensor:
        """The replica int64[N, K] that serves each slot, numbered by device and then by expert."""
        experts_M = experts_NK.flatten()
        order_M = torch.argsort(experts_M, stable=True)
        counts_E = torch.bincount(experts_M, minlength=len(self._turn_E))
        start_E = counts_E.cumsum(0) - counts_E
        sorted_M = experts_M[order_M]
        place_M = torch.arange(len(order_M)) - start_E[sorted_M] + self._turn_E[sorted_M]
        replica_M = torch.empty_like(experts_M)
        replica_M[order_M] = self._table_ER[sorted_M, place_M % self._copies_E[sorted_M]]
        self._turn_E = (self._turn_E + counts_E) % self._copies_E
        return replica_M.view_as(experts_NK)

    def _count(self, experts_NK: Tensor, routed_NK: Tensor, replica_NK: Tensor) -> None:
        tokens = len(experts_NK)
        loads_E = torch.bincount(experts_NK.flatten(), minlength=len(self._window_E))
        device_NK = self._device_R[replica_NK]
        loads_P = torch.bincount(device_NK.flatten(), minlength=self.pool.devices)
        self._window_E += loads_E
        self._window_P += loads_P
        self._tokens += tokens
        if not self.figures.plans:
            return
        found = self.figures
        found.tokens += tokens
        found.passes.add(loads_P.tolist())
        found.passes_without.add(self._without(loads_E))
        per_node = self.pool.devices // self.pool.nodes
        routed = device_NK[:, : routed_NK.shape[1]] // per_node
        found.nodes += _distinct(routed, self.pool.nodes)
        found.nodes_without += _distinct(self._home_E[routed_NK] // per_node, self.pool.nodes)

    def _without(self, loads_E: Tensor) -> list[float]:
        """Loads of devices where no expert is redundant, and each device has the shared one for its own."""
        home_P = torch.bincount(self._home_E, loads_E[: self.n_experts].double(), self.pool.devices)
        return (home_P + float(loads_E[self.n_experts :].sum()) / self.pool.devices).tolist()

    def _plan(self) -> None:
        """Close the window and place experts by its loads."""
        self.close()
        placed = self.pool.place(self._window_E.tolist())
        self.figures.loads = tuple(self._window_E.tolist())
        self.figures.plans += 1
        self.figures.promised.append(placed.imbalance())
        moved = self._take(placed)
        self.figures.moved += moved
        self._window_E.zero_()
        self._window_P.zero_()
        self._tokens = 0

    def close(self) -> None:
        """Count the window that is open, at the end or before a plan."""
        if self.figures.plans and self._tokens:
            self.figures.windows.add(self._window_P.tolist())
            self.figures.windows_without.add(self._without(self._window_E))

    def _take(self, placed: Placement) -> int:
        """Load what `placed` asks for; how many replicas were loaded."""
        moved = sum(
            device.load(experts, self.store)
            for device, experts in zip(self.devices, placed.devices, strict=True)
        )
        owners: list[list[int]] = [[] for _ in placed.loads]
        device_R: list[int] = []
        for number, experts in enumerate(placed.devices):
            for expert in experts:
                owners[expert].append(len(device_R))
                device_R.append(number)
        most = max(map(len, owners))
        self._table_ER = torch.tensor([[*one, *[-1] * (most - len(one))] for one in owners])
        self._copies_E = torch.tensor([len(one) for one in owners])
        self._device_R = torch.tensor(device_R)
        self._turn_E = torch.zeros(len(owners), dtype=torch.int64)
        self.figures.replicas = placed.replicas
        return moved


def _distinct(nodes_NK: Tensor, nodes: int) -> int:
    """How many nodes tokens reach, added up over tokens."""
    reached = torch.zeros(len(nodes_NK), nodes, dtype=torch.bool)
    return int(reached.scatter_(1, nodes_NK, True).sum())
