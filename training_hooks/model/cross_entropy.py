"""The output head and its cross-entropy in one pass over blocks of tokens.

The logits of all tokens would be N * V numbers, written and read many times; a block of them stays near the
processor, and the gradients of head and hidden states are taken from it at once, since the loss is linear
in each token's cross-entropy and the weights are known beforehand. Same number of multiplications as the
plain form, N * V memory traffic saved. Memory: one block of about `BLOCK_NUMBERS` logits; in BF16 and FP16
`BLOCKS_A_PRODUCT` such blocks beside it, in that type.
N tokens, R of them in a block, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from corpusmill.training_hooks.model.products import product
from corpusmill.training_hooks.model.wide_sums import is_wide, of_rows, over_rows

BLOCK_NUMBERS = 2**21
BLOCKS_A_PRODUCT = 4


class _HeadCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_ND: Tensor, head_VD: Tensor, target_N: Tensor, weight_N: Tensor, low: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        wants = any(ctx.needs_input_grad)
        dx_ND = torch.empty_like(x_ND) if wants else None
        wide = is_wide(head_VD)
        dhead_VD = torch.zeros_like(head_VD, dtype=torch.float64 if wide else None) if wants else None
        head_low = head_VD.to(low)
        loss_N = torch.empty(x_ND.shape[0], dtype=torch.float32, device=x_ND.device)
        step = max(64, BLOCK_NUMBERS // head_VD.shape[0])
        # In low precision each share of dhead is widened and added in a pass of its own: fewer, taller ones.
        many = step * BLOCKS_A_PRODUCT if low.itemsize == 2 else step
        buffer_RV = x_ND.new_empty(min(many, x_ND.shape[0]), head_VD.shape[0], dtype=low)
        with torch.autocast(x_ND.device.type, enabled=False):
            for start in range(0, x_ND.shape[0], many):
                rows = slice(start, start + many)
                x_RD, weight_R1 = x_ND[rows], weight_N[rows, None]
                p_RV = buffer_RV[: x_RD.shape[0]]
                for inner in range(0, x_RD.shape[0], step):
                    part = slice(inner, inner + step)
                    target_N1 = target_N[rows][part, None]
                    if wide:
                        p_RV[part] = of_rows(x_RD[part], head_VD.t())
                    else:
                        product(x_RD[part].to(low), head_low.t(), out=p_RV[part])
                    loss_N[rows][part] = _softmax(target_N1, p_RV[part], wants)
                if dx_ND is not None and dhead_VD is not None:
                    # The weight goes to the narrow factor of each product.
                    weighted_low = (x_RD * weight_R1).to(low)
                    dx_RD = of_rows(p_RV, head_VD) if wide else product(p_RV, head_low)
                    torch.mul(dx_RD, weight_R1, out=dx_ND[rows])
                    if wide:
                        dhead_VD += over_rows(p_RV, weighted_low)
                    elif low == dhead_VD.dtype:
                        dhead_VD.addmm_(p_RV.t(), weighted_low)
                    else:
                        dhead_VD += product(p_RV.t(), weighted_low)
        ctx.save_for_backward(dx_ND, dhead_VD)
        ctx.mark_non_differentiable(loss_N)
        return (loss_N * weight_N).sum(dtype=torch.float64 if wide else None), loss_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        dx_ND, dhead_VD = ctx.saved_tensors
        return dx_ND * grad, dhead_VD * grad, None, None, None


def _softmax(target_N1: Tensor, out_NV: Tensor, wants: bool) -> Tensor:
    """Cross-entropy FP32[N] of one block whose logits are in `out_NV`; where `wants`, its derivative by them,
    softmax - one-hot, takes their place."""
    z_NV = out_NV.float()
    largest_N1 = z_NV.amax(dim=1, keepdim=True)
    z_target_N1 = z_NV.gather(1, target_N1)
    p_NV = torch.softmax(z_NV, dim=1, out=z_NV)
    # The largest logit's probability is exp(largest - log sum), and never too small for its logarithm.
    log_sum_N1 = largest_N1 - p_NV.amax(dim=1, keepdim=True).log()
    if wants:
        p_NV.scatter_add_(1, target_N1, p_NV.new_full(target_N1.shape, -1.0))
        out_NV.copy_(p_NV)  # nothing to do in FP32, where it is the same memory
    return (log_sum_N1 - z_target_N1)[:, 0]


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
