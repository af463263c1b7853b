"""What is minimised: next-token loss + lambda/D' * MTP losses + alpha * sequence-wise balance loss.

A batch may go through the model in pieces: every mean is taken over the whole batch, so the pieces' losses
and gradients add up to those of the batch at once, whatever the shares of padding in them.
B sequences, T positions, W = T + 1 + D' tokens a row, D' the MTP depth, N = B * T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from corpusmill.training_hooks.model.cross_entropy import head_cross_entropy
from corpusmill.training_hooks.model.transformer import Forward, Transformer


@dataclass(frozen=True)
class BatchCounts:
    """What the means of a batch divide by, for the main model (0) and each MTP depth: `targets` are real
    targets, `sequences` those with a real token among the inputs of that depth. A mean over none is missing;
    what it would add to the objective is 0."""

    targets: list[float]
    sequences: list[float]

    @classmethod
    def of(cls, real_BW: Tensor, depths: int) -> Self:
        """Counts of a whole batch with `depths` MTP modules."""
        length = real_BW.shape[1] - 1 - depths
        windows = [real_BW[:, d : d + length + 1] for d in range(depths + 1)]
        return cls(
            targets=[float(w[:, 1:].sum()) for w in windows],
            sequences=[float(w[:, :-1].any(dim=1).sum()) for w in windows],
        )


@dataclass(frozen=True)
class Objective:
    """The losses of one batch, or what a piece adds to them, in nats.

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
    model: Transformer,
    tokens_BW: Tensor,
    real_BW: Tensor,
    mtp_weight: float,
    balance_weight: float,
    whole: BatchCounts | None = None,
) -> Objective:
    """Losses of `tokens_BW` int64; targets where `real_BW` is false are left out of every mean. `whole`:
    counts of the batch that these rows are a piece of; None where they are all of it."""
    passed = model(tokens_BW, real_BW)
    depths, head_VD = len(model.mtp), model.lm_head.weight
    return objective_of(passed, head_VD, depths, tokens_BW, real_BW, mtp_weight, balance_weight, whole)


def objective_of(
    passed: Forward,
    head_VD: Tensor | None,
    depths: int,
    tokens_BW: Tensor,
    real_BW: Tensor,
    mtp_weight: float,
    balance_weight: float,
    whole: BatchCounts | None = None,
) -> Objective:
    """`objective` of what a model with `depths` MTP modules and the output head `head_VD` gave.

    `passed` may be of a piece of the model that ends before the head (None): its `hidden` are then empty,
    `routing` of main layers, and what it adds to the objective is their balance loss.
    """
    here = BatchCounts.of(real_BW, depths)
    whole = here if whole is None else whole
    length = tokens_BW.shape[1] - 1 - depths
    zero = torch.zeros((), device=tokens_BW.device)
    means, token_loss_N = [], zero.new_zeros(tokens_BW.shape[0] * length)
    for depth, hidden_BTD in enumerate(passed.hidden):
        assert head_VD is not None
        target_N = tokens_BW[:, depth + 1 : depth + 1 + length].flatten()
        counted_N = real_BW[:, depth + 1 : depth + 1 + length].flatten().float()
        weight_N = counted_N / max(whole.targets[depth], 1.0)
        mean, loss_N = head_cross_entropy(hidden_BTD.flatten(0, 1), head_VD, target_N, weight_N)
        if depth == 0:
            token_loss_N = loss_N
        means.append(mean)
    loss = means[0] if means else zero
    mtp = torch.stack(means[1:]).mean() if means[1:] else zero
    balance = zero
    if passed.routing:
        # Each layer's loss is a mean over the sequences it saw; MTP modules come last and see others.
        main = len(passed.routing) - (depths if means else 0)
        share = [here.sequences[d] / max(whole.sequences[d], 1.0) for d in range(depths + 1)]
        of_layers = [r.balance_loss * share[max(0, i - main + 1)] for i, r in enumerate(passed.routing)]
        balance = torch.stack(of_layers).sum()
    counted_BT = real_BW[:, 1 : 1 + length]
    return Objective(
        total=loss + mtp_weight * mtp + balance_weight * balance,
        loss=loss.detach(),
        mtp=mtp.detach(),
        balance=balance.detach(),
        token_loss=token_loss_N.view(-1, length),
        counted=counted_BT if means else torch.zeros_like(counted_BT),
        loads=[r.load for r in passed.routing],
    )
