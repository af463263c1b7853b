"""Bytes that tokens travel between devices on their way to experts and back (section 3.2.2 of the report).

A token is sent once to each node that it must reach, and there passed on to the devices of its experts.
Dispatch is in FP8 with a scale for every 128 numbers, combine in BF16; backward the gradient of what combine
gave is dispatched and that of what dispatch took is combined, in the same formats. Routing is taken as even:
every choice of groups, and of experts in them, is as likely as any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.planning.layout import Layout

FP8_BYTES = 1 + 4 / 128  # a number with its share of an FP32 scale
BF16_BYTES = 2.0


@dataclass(frozen=True)
class Traffic:
    """Of one token in one mixture layer, forward: `nodes` it reaches on average, its own included, and at
    most (`most_nodes`); bytes it sends `across` nodes and `within` them, dispatch and combine together.
    Backward takes as many again."""

    nodes: float
    most_nodes: int
    across: float
    within: float


def traffic(config: ModelConfig, layout: Layout, precision: str) -> Traffic:
    """The traffic of `config` where each set of experts is on `layout.expert_parallel` devices.

    Raises ValueError where experts do not divide evenly.
    """
    experts, size = config.n_routed_experts, config.n_routed_experts // config.n_group
    if experts % layout.expert_parallel:
        raise ValueError(f"{experts} experts do not divide among {layout.expert_parallel} devices")
    for together in (experts // layout.expert_parallel, experts // layout.expert_nodes):
        if size % together and together % size:
            raise ValueError(
                f"{together} experts that stand together are neither a part of a group of {size} nor groups"
            )
    nodes, per_node = layout.expert_nodes, min(layout.expert_parallel, layout.per_node)
    reached_nodes = nodes * (1 - _missed(config, experts // nodes))
    devices = layout.expert_parallel
    reached_devices = devices * (1 - _missed(config, experts // devices))
    row = config.hidden_size * ((FP8_BYTES if precision == "fp8" else BF16_BYTES) + BF16_BYTES)
    # Of the nodes it reaches one in `nodes` is its own. On each it arrives at the device of its sender's
    # number, which is one in `per_node` of those it must reach there.
    return Traffic(
        nodes=reached_nodes,
        most_nodes=_most_nodes(config, nodes),
        across=reached_nodes * (nodes - 1) / nodes * row,
        within=reached_devices * (1 - 1 / per_node) * row,
    )


def _missed(config: ModelConfig, experts: int) -> float:
    """The chance that a token reaches none of `experts` experts that stand together."""
    groups, kept, k = config.n_group, config.topk_group, config.num_experts_per_tok
    size = config.n_routed_experts // groups
    eligible = kept * size
    if experts <= size:  # a part of one group
        return 1 - kept / groups + kept / groups * comb(eligible - experts, k) / comb(eligible, k)
    whole = experts // size
    missed = 0.0
    for here in range(min(whole, kept) + 1):  # kept groups among them
        chance = comb(whole, here) * comb(groups - whole, kept - here) / comb(groups, kept)
        missed += chance * comb(eligible - here * size, k) / comb(eligible, k)
    return missed


def _most_nodes(config: ModelConfig, nodes: int) -> int:
    """The most nodes that a token can reach."""
    spread = max(1, nodes // config.n_group)  # nodes that a group is spread over
    return min(nodes, config.topk_group * spread, config.num_experts_per_tok)
