"""The output head and its cross-entropy in one pass over blocks of tokens.

The logits of all tokens would be N * V numbers, written and read many times; a block of them stays near the
processor, and the gradients of head and hidden states are taken from it at once, since the loss is linear
in each token's cross-entropy and the weights are known beforehand. Same number of multiplications as the
plain form, N * V memory traffic gone. Memory: one block of about `BLOCK_NUMBERS` logits.
N tokens, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_NUMBERS = 2**20


class _HeadCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_ND: Tensor, head_VD: Tensor, target_N: Tensor, weight_N: Tensor, low: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        wants = any(ctx.needs_input_grad)
        dx_ND = torch.empty_like(x_ND) if wants else None
        dhead_VD = torch.zeros_like(head_VD) if wants else None
        head_low = head_VD.to(low)
        loss_N = torch.empty(x_ND.shape[0], dtype=torch.float32, device=x_ND.device)
        step = max(64, BLOCK_NUMBERS // head_VD.shape[0])
        with torch.autocast(x_ND.device.type, enabled=False):
            for start in range(0, x_ND.shape[0], step):
                rows = slice(start, start + step)
                x_low, target = x_ND[rows].to(low), target_N[rows, None]
                z_NV = torch.mm(x_low, head_low.t()).float()
                log_sum_N1 = z_NV.logsumexp(dim=1, keepdim=True)
                loss_N[rows] = (log_sum_N1 - z_NV.gather(1, target))[:, 0]
                if dx_ND is not None and dhead_VD is not None:
                    # d loss / d logits = weight * (softmax - one-hot), in the logits' own storage
                    z_NV.sub_(log_sum_N1).exp_()
                    z_NV.scatter_add_(1, target, z_NV.new_full(target.shape, -1.0))
                    grad_low = z_NV.mul_(weight_N[rows, None]).to(low)
                    dx_ND[rows] = torch.mm(grad_low, head_low).to(dx_ND.dtype)
                    if low == dhead_VD.dtype:
                        dhead_VD.addmm_(grad_low.t(), x_low)
                    else:
                        dhead_VD += torch.mm(grad_low.t(), x_low)
        ctx.save_for_backward(dx_ND, dhead_VD)
        ctx.mark_non_differentiable(loss_N)
        return (loss_N * weight_N).sum(), loss_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        dx_ND, dhead_VD = ctx.saved_tensors
        return dx_ND * grad, dhead_VD * grad, None, None, None


def head_cross_entropy(
    x_ND: Tensor, head_VD: Tensor, target_N: Tensor, weight_N: Tensor
) -> tuple[Tensor, Tensor]:
    """(sum over tokens of weight * cross-entropy, cross-entropy FP32[N] of every token), in nats.

    `target_N` int64 in 0..V-1 (anything valid where the weight is 0). Products run in autocast's type where
    it is on, the softmax in FP32. Only the first result carries a gradient, to `x_ND` and `head_VD`.
    """
    kind = x_ND.device.type
    low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else head_VD.dtype
    total, loss_N = _HeadCrossEntropy.apply(  # type: ignore[no-untyped-call]
        x_ND, head_VD, target_N, weight_N, low
    )
    return total, loss_N
