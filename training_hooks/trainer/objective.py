"""What is minimised: next-token loss + lambda/D' * MTP losses + alpha * sequence-wise balance loss.

B sequences, T positions, W = T + 1 + D' tokens a row, D' the MTP depth, N = B * T.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from corpusmill.training_hooks.model.cross_entropy import head_cross_entropy
from corpusmill.training_hooks.model.transformer import Transformer


@dataclass(frozen=True)
class Objective:
    """The losses of one batch, in nats.

    `total` is differentiable. `loss` is the main model's mean over real targets; `mtp` the mean over
    depths of theirs, before lambda; `balance` the sum over layers of the sequence-wise loss before alpha.
    `token_loss` FP32[B, T] and `counted` bool[B, T] are the main model's, for breaking the loss down.
    `loads` int64[E] for each gate of `Transformer.gates`.
    """

    total: Tensor
    loss: Tensor
    mtp: Tensor
    balance: Tensor
    token_loss: Tensor
    counted: Tensor
    loads: list[Tensor]


def objective(
    model: Transformer, tokens_BW: Tensor, real_BW: Tensor, mtp_weight: float, balance_weight: float
) -> Objective:
    """Losses of `tokens_BW` int64; targets where `real_BW` is false are left out of every mean."""
    passed = model(tokens_BW, real_BW)
    length = passed.hidden[0].shape[1]
    head_VD = model.lm_head.weight
    means, first_loss_N = [], torch.empty(0)
    for depth, hidden_BTD in enumerate(passed.hidden):
        target_N = tokens_BW[:, depth + 1 : depth + 1 + length].flatten()
        counted_N = real_BW[:, depth + 1 : depth + 1 + length].flatten().float()
        weight_N = counted_N / counted_N.sum().clamp(min=1.0)
        mean, loss_N = head_cross_entropy(hidden_BTD.flatten(0, 1), head_VD, target_N, weight_N)
        if depth == 0:
            first_loss_N = loss_N
        means.append(mean)
    zero = means[0].new_zeros(())
    mtp = torch.stack(means[1:]).mean() if len(means) > 1 else zero
    balance = torch.stack([r.balance_loss for r in passed.routing]).sum() if passed.routing else zero
    return Objective(
        total=means[0] + mtp_weight * mtp + balance_weight * balance,
        loss=means[0].detach(),
        mtp=mtp.detach(),
        balance=balance.detach(),
        token_loss=first_loss_N.view(-1, length),
        counted=real_BW[:, 1 : 1 + length],
        loads=[r.load for r in passed.routing],
    )
