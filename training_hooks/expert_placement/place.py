"""Redundant experts (section 3.4 of the report): which device has replicas of which experts.

Heavy experts get replicas, which share their tokens evenly, and replicas are packed into devices. Globally
any device may have any expert: for decoding, where experts are spread over many devices. Hierarchically whole
groups of experts are packed into nodes first, so that a token which is limited to a few groups reaches few
nodes: for prefilling. Each layer of a model has loads and a placement of its own.

A plan is never worse than the same experts packed without replicas: where replicas do not help, slots stay
empty. No device has two replicas of one expert, which would share nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from corpusmill.training_hooks.expert_placement.pack import pack


@dataclass(frozen=True)
class Placement:
    """Experts 0..E-1 by device, sorted; devices of a node stand together. `loads` are those it was made for,
    the tokens that reached each expert, in any unit."""

    loads: tuple[float, ...]
    devices: tuple[tuple[int, ...], ...]
    slots: int  # replicas that a device has room for

    @property
    def replicas(self) -> tuple[int, ...]:
        """How many devices have each expert."""
        return _counts(len(self.loads), self.devices)

    def device_loads(self, loads: Sequence[float] | None = None) -> tuple[float, ...]:
        """The load of each device under `loads`, by default those that the placement was made for. Raises
        ValueError for loads that are negative, not finite, or not one an expert."""
        loads = self.loads if loads is None else loads
        _check_loads(loads, len(self.loads))
        counts = self.replicas
        return tuple(sum(loads[expert] / counts[expert] for expert in device) for device in self.devices)

    def imbalance(self, loads: Sequence[float] | None = None) -> float:
        """The greatest load of a device over the mean; 1 is even. Without any load it is 1."""
        found = self.device_loads(loads)
        return max(found) * len(found) / total if (total := sum(found)) else 1.0


def place_experts(
    loads: Sequence[float], *, devices: int, slots: int, nodes: int = 1, groups: int = 1
) -> Placement:
    """The placement of one layer's experts on `devices` with `slots` replicas each.

    Hierarchical where there are several nodes and the groups divide evenly among them, else global. Raises
    ValueError for loads that are negative or not finite, and sizes that do not fit one another.
    """
    experts = len(loads)
    _check_loads(loads, experts)
    if min(devices, slots, nodes, groups) < 1 or devices % nodes or experts % groups:
        raise ValueError(
            f"{devices} devices must divide into {nodes} nodes and {experts} experts into {groups} groups"
        )
    if devices * slots < experts:
        raise ValueError(f"{devices} devices of {slots} slots have no room for {experts} experts")
    if nodes == 1 or groups % nodes:
        chosen = _balanced(dict(enumerate(loads)), devices, slots)
        return Placement(tuple(loads), chosen, slots)
    size = experts // groups
    members = [range(group * size, (group + 1) * size) for group in range(groups)]
    totals = [(group, sum(loads[e] for e in members[group])) for group in range(groups)]
    made: list[tuple[int, ...]] = []
    for of_node in pack(totals, nodes, groups // nodes):
        here = {expert: loads[expert] for group in of_node for expert in members[group]}
        made += _balanced(here, devices // nodes, slots)
    return Placement(tuple(loads), tuple(made), slots)


def replica_counts(loads: dict[int, float], replicas: int, most: int) -> dict[int, int]:
    """How often each expert is there, `replicas` in all as far as `most` of each allow: the next one always
    goes to the expert whose replicas have most load each, which makes that load as small as it can be."""
    counts = dict.fromkeys(loads, 1)
    for _ in range(replicas - len(loads)):
        open_ = [expert for expert, count in counts.items() if count < most]
        if not open_:
            break
        counts[max(open_, key=lambda e: (loads[e] / counts[e], -e))] += 1
    return counts


def with_shared_expert(loads: Sequence[float], active: int) -> tuple[float, ...]:
    """Loads with the shared expert behind the routed ones: every token reaches it, as if routed there as one
    more. `active`: routed experts a token. Raises ValueError for fewer than one."""
    if active < 1:
        raise ValueError(f"a token is routed to at least one expert, got {active}")
    return (*loads, sum(loads) / active)


def moved(before: Placement, after: Placement) -> int:
    """Replicas that devices must load to go from one placement to the next."""
    pairs = zip(before.devices, after.devices, strict=True)
    return sum(len(set(new) - set(old)) for old, new in pairs)


def _balanced(loads: dict[int, float], devices: int, slots: int) -> tuple[tuple[int, ...], ...]:
    """Experts by device, with replicas in all slots, in none but the first of each expert's, or in as many as
    are best: whichever has the smallest greatest load."""
    spare = devices * slots - len(loads)
    best: tuple[tuple[int, ...], ...] | None = None
    least = float("inf")
    for extra in sorted({spare, spare // 2, 0}, reverse=True):
        counts = replica_counts(loads, len(loads) + extra, devices)
        items = [(expert, loads[expert] / count) for expert, count in counts.items() for _ in range(count)]
        packed = tuple(tuple(experts) for experts in pack(items, devices, slots))
        greatest = max(sum(loads[e] / counts[e] for e in experts) for experts in packed)
        if greatest < least * (1 - 1e-12):
            best, least = packed, greatest
    assert best is not None
    return best


def _check_loads(loads: Sequence[float], experts: int) -> None:
    if len(loads) == 0 or len(loads) != experts:
        raise ValueError(f"loads are one an expert: {len(loads)} of {experts} experts")
    for expert, load in enumerate(loads):
        if not (isfinite(load) and load >= 0):
            raise ValueError(f"loads of experts are numbers of at least 0, got {load} of expert {expert}")
    if not isfinite(sum(loads)):
        raise ValueError("loads of experts add up to more than a float can tell; take another unit")


def _counts(experts: int, devices: Sequence[Sequence[int]]) -> tuple[int, ...]:
    counts = [0] * experts
    for device in devices:
        for expert in device:
            counts[expert] += 1
    return tuple(counts)
