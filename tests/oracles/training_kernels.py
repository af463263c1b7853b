"""What the trainer's fast paths compute, number by number or in torch's plain operations."""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_sum(rows_MD: Tensor, place_NK: Tensor, weight_NK: Tensor) -> Tensor:
    """FP64 [N, D]: each token's rows by their weights, added up one after the other."""
    tokens, k = place_NK.shape
    sums_ND = torch.zeros(tokens, rows_MD.shape[1], dtype=torch.float64)
    for n in range(tokens):
        for slot in range(k):
            sums_ND[n] += weight_NK[n, slot].double() * rows_MD[int(place_NK[n, slot])].double()
    return sums_ND


def weighted_sum_gradient(
    grad_ND: Tensor, rows_MD: Tensor, place_NK: Tensor, weight_NK: Tensor
) -> tuple[Tensor, Tensor]:
    """(drows FP64 [M, D], dweight FP64 [N, K]) of `weighted_sum`."""
    drows_MD = torch.zeros(rows_MD.shape, dtype=torch.float64)
    dweight_NK = torch.zeros(place_NK.shape, dtype=torch.float64)
    for n in range(place_NK.shape[0]):
        for slot in range(place_NK.shape[1]):
            row = int(place_NK[n, slot])
            drows_MD[row] = weight_NK[n, slot].double() * grad_ND[n].double()
            dweight_NK[n, slot] = grad_ND[n].double() @ rows_MD[row].double()
    return drows_MD, dweight_NK


def causal_attention(q_BHTX: Tensor, k_BHTX: Tensor, v_BHTU: Tensor, scale: float) -> Tensor:
    """softmax(scale * q k^T) v with later positions masked, all scores at once."""
    scores_BHTT = scale * q_BHTX @ k_BHTX.transpose(2, 3)
    length = q_BHTX.shape[2]
    later_TT = torch.ones(length, length, dtype=torch.bool).triu(1)
    return scores_BHTT.masked_fill(later_TT, float("-inf")).softmax(-1) @ v_BHTU


def rms_norm(x: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight."""
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight_D
