"""Keeping experts evenly loaded: the bias update after equation 16 and the loss of equations 17-20.

Padding positions are left out of every count and mean. B sequences, T positions, E experts, K chosen.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Added to sums of affinities before they divide, as in transformers: where all of them underflow to zero the
# quotients are zero and not NaN; any other FP32 sum stays as it is.
NO_AFFINITY = 1e-20


def expert_load(experts_NK: Tensor, real_N: Tensor, n_experts: int) -> Tensor:
    """How many real tokens each expert received, int64[E]; `real_N` bool[N] is false on padding."""
    return torch.bincount(experts_NK[real_N].reshape(-1), minlength=n_experts)


@torch.no_grad()
def update_bias(bias_E: Tensor, load_E: Tensor, gamma: float) -> None:
    """In place: b -= gamma for experts above the mean load, += gamma below it, unchanged at the mean.

    `load_E` counts the whole batch of one step. Call it once a step and layer, MTP layers included.
    """
    load = load_E.to(torch.float64)
    bias_E.sub_(gamma * torch.sign(load - load.mean()).to(bias_E.dtype))


def max_violation(load_E: Tensor) -> float | None:
    """(largest load - mean load) / mean load: 0 is perfect balance (Wang et al. 2024, MaxVio).

    None without load.
    """
    load = load_E.to(torch.float64)
    mean = float(load.mean())
    return (float(load.max()) - mean) / mean if mean > 0 else None


def sequence_balance_loss(affinities_BTE: Tensor, real_BT: Tensor, k: int) -> Tensor:
    """Sum over experts of f_i P_i, meaned over the sequences that hold a token; a scalar, without alpha.

    f_i = E / (K T) * number of tokens with expert i in the top K of the UNBIASED affinities;
    P_i = mean over tokens of the affinities normalised to sum to one. Even load gives 1. T counts the
    real tokens of the sequence. A gradient flows through P only.
    """
    n_experts = affinities_BTE.shape[-1]
    real_BT1 = real_BT[..., None].to(affinities_BTE.dtype)
    tokens_B1 = real_BT1.sum(1)
    top_BTK = affinities_BTE.detach().topk(k, dim=-1).indices
    hits_BTE = torch.zeros_like(affinities_BTE).scatter(-1, top_BTK, 1.0) * real_BT1
    f_BE = hits_BTE.sum(1) * n_experts / (k * tokens_B1.clamp(min=1))
    share_BTE = affinities_BTE / (affinities_BTE.sum(-1, keepdim=True) + NO_AFFINITY)
    p_BE = (share_BTE * real_BT1).sum(1) / tokens_B1.clamp(min=1)
    return (f_BE * p_BE).sum() / (tokens_B1 > 0).sum().clamp(min=1)
