"""The router: sigmoid affinities, and the choice of K experts a token (equations 12-16).

The bias takes part in choosing only; gates are the unbiased affinities of the chosen experts, normalised
to sum to one and multiplied by the route scale. N tokens, D width, E experts, K chosen, G groups.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpusmill.training_hooks.model.balance import NO_AFFINITY
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.products import linear
from corpusmill.training_hooks.model.wide_sums import is_wide


def choose_experts(biased_NE: Tensor, k: int, groups: int = 1, kept_groups: int = 1) -> Tensor:
    """Experts int64[N, K] of largest biased affinity, best first.

    With several groups only experts of the `kept_groups` best groups are eligible; a group is ranked by the
    sum of its best two biased affinities (released code; the report ranks by its best K / kept). Dropped
    groups are masked with minus infinity, as in transformers from 5.23 on: zero, its mask before, would
    prefer them wherever all biased affinities are negative. Among equals `torch.topk` decides, in the same
    two calls as transformers', so both keep the same experts.
    """
    if kept_groups < groups:
        biased_NGX = torch.unflatten(biased_NE, -1, (groups, -1))
        rank_NG = biased_NGX.topk(2, dim=-1).values.sum(-1)
        kept = rank_NG.topk(kept_groups, dim=-1).indices
        dropped_NG = torch.ones_like(rank_NG, dtype=torch.bool).scatter(1, kept, False)
        biased_NE = biased_NGX.masked_fill(dropped_NG[..., None], float("-inf")).flatten(1)
    return biased_NE.topk(k, dim=-1).indices


class Gate(nn.Module):
    """`weight` [E, D] holds the experts' centroids; `e_score_correction_bias` FP32[E] is a buffer that
    `balance.update_bias` moves after each step: no gradient reaches it."""

    e_score_correction_bias: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.k = config.num_experts_per_tok
        self.groups, self.kept_groups = config.n_group, config.topk_group
        self.scale = config.routed_scaling_factor
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_routed_experts))

    def forward(self, x_ND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(experts int64[N, K], gates FP32[N, K], affinities FP32[N, E]); always computed in FP32."""
        with torch.autocast(x_ND.device.type, enabled=False):
            if is_wide(self.weight):
                affinities_NE = linear(x_ND, self.weight).double().sigmoid().float()
            else:
                affinities_NE = functional.linear(x_ND.float(), self.weight.float()).sigmoid()
        biased_NE = affinities_NE.detach() + self.e_score_correction_bias
        experts_NK = choose_experts(biased_NE, self.k, self.groups, self.kept_groups)
        chosen_NK = affinities_NE.gather(1, experts_NK)
        gates_NK = chosen_NK / (chosen_NK.sum(-1, keepdim=True) + NO_AFFINITY) * self.scale
        return experts_NK, gates_NK, affinities_NE
