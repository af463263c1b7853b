"""Causal attention of whole sequences: softmax(scale * q k^T) v over the positions up to each query's own.

GPUs have fused kernels. torch's fused kernel for processors multiplies in small tiles of its own and wants
values as wide as keys; batched matrix products over blocks of queries, each against the keys up to its end,
are faster there, several times in BF16, and skip most of what the mask would hide. Scores are FP32 in both
types. Backward keeps the probabilities, about B * H * T^2 / 2 of them. Sequences longer than `LONGEST` take
the fused kernel, which keeps none.

B sequences, H heads, Z = B * H, T positions, S of them up to the end of a block of Q queries, X width of
queries and keys, U of values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from corpusmill.training_hooks.model.products import product, widened

BLOCK = 64
LONGEST = 512


class _BlockedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_BHTX: Tensor, k_BHTX: Tensor, v_BHTU: Tensor, scale: float) -> Tensor:
        v_ZTU, wide = v_BHTU.flatten(0, 1), _wide(q_BHTX)
        # BF16 products round their results; scores need more than its 8 bits before the exponential.
        q_ZTX, k_ZTX = q_BHTX.flatten(0, 1).to(wide) * scale, k_BHTX.flatten(0, 1).to(wide)
        o_ZTU = torch.empty_like(v_ZTU, memory_format=torch.contiguous_format)
        later_QQ = torch.ones(BLOCK, BLOCK, dtype=torch.bool).triu(1)
        kept = []
        with torch.autocast("cpu", enabled=False):
            for block, end in _blocks(q_ZTX.shape[1]):
                p_ZQS = product(q_ZTX[:, block], k_ZTX[:, :end].transpose(1, 2))
                size = end - block.start
                p_ZQS[:, :, block].masked_fill_(later_QQ[:size, :size], float("-inf"))
                p_ZQS = torch.softmax(p_ZQS, dim=-1, out=p_ZQS).to(v_ZTU.dtype)
                o_ZTU[:, block] = product(p_ZQS, v_ZTU[:, :end])
                kept.append(p_ZQS)
        ctx.save_for_backward(q_BHTX, k_BHTX, v_BHTU, *kept)
        ctx.scale = scale
        return o_ZTU.view_as(v_BHTU)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_BHTU: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q_BHTX, k_BHTX, v_BHTU, *kept = ctx.saved_tensors
        q_ZTX, k_ZTX, v_ZTU, g_ZTU = (t.flatten(0, 1) for t in (q_BHTX, k_BHTX, v_BHTU, g_BHTU))
        dq_ZTX = torch.empty_like(q_ZTX, memory_format=torch.contiguous_format)
        # Sums over blocks are taken in FP32 whatever the type of the products.
        dk_ZTX, dv_ZTU = (torch.zeros(t.shape, dtype=_wide(t)) for t in (k_ZTX, v_ZTU))
        with torch.autocast("cpu", enabled=False):
            for (block, end), p_ZQS in zip(_blocks(q_ZTX.shape[1]), kept, strict=True):
                g_ZQU = g_ZTU[:, block]
                dp_ZQS = product(g_ZQU, v_ZTU[:, :end].transpose(1, 2))
                # p * (dp - sum(p * dp)) in one pass, computed in FP32
                ds_ZQS = torch.ops.aten._softmax_backward_data(dp_ZQS, p_ZQS, -1, p_ZQS.dtype)
                dq_ZTX[:, block] = product(ds_ZQS, k_ZTX[:, :end])
                dk_ZTX[:, :end] += product(ds_ZQS.transpose(1, 2), q_ZTX[:, block])
                dv_ZTU[:, :end] += product(p_ZQS.transpose(1, 2), g_ZQU)
        dq_BHTX, dk_BHTX = dq_ZTX.mul_(ctx.scale).view_as(q_BHTX), dk_ZTX.mul_(ctx.scale).view_as(k_BHTX)
        return dq_BHTX, dk_BHTX.to(k_BHTX.dtype), dv_ZTU.view_as(v_BHTU).to(v_BHTU.dtype), None


def _blocks(length: int) -> list[tuple[slice, int]]:
    """(queries of a block, their end) along `length` positions."""
    ends = [min(start + BLOCK, length) for start in range(0, length, BLOCK)]
    return [(slice(number * BLOCK, end), end) for number, end in enumerate(ends)]


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def causal_attention(q_BHTX: Tensor, k_BHTX: Tensor, v_BHTU: Tensor, scale: float) -> Tensor:
    """[B, H, T, U], differentiable in all three tensors, which have one dtype or are cast by autocast."""
    kind = q_BHTX.device.type
    if kind == "cpu" and q_BHTX.shape[2] <= LONGEST:
        if torch.is_autocast_enabled(kind):
            low = torch.get_autocast_dtype(kind)
            q_BHTX, k_BHTX, v_BHTU = q_BHTX.to(low), k_BHTX.to(low), v_BHTU.to(low)
        o_BHTU: Tensor = _BlockedAttention.apply(  # type: ignore[no-untyped-call]
            q_BHTX, k_BHTX, v_BHTU, scale
        )
        return o_BHTU
    # The fused kernels want values as wide as keys; zero columns add nothing.
    value = v_BHTU.shape[-1]
    v_BHTX = functional.pad(v_BHTU, (0, max(q_BHTX.shape[-1] - value, 0)))
    if torch.is_autocast_enabled(kind):
        low = torch.get_autocast_dtype(kind)
        q_BHTX, k_BHTX, v_BHTX = q_BHTX.to(low), k_BHTX.to(low), v_BHTX.to(low)
    dtype = q_BHTX.dtype
    if widened(q_BHTX, k_BHTX, v_BHTX):
        q_BHTX, k_BHTX, v_BHTX = q_BHTX.float(), k_BHTX.float(), v_BHTX.float()
    with torch.autocast(kind, enabled=False):
        o_BHTX = functional.scaled_dot_product_attention(q_BHTX, k_BHTX, v_BHTX, is_causal=True, scale=scale)
    return o_BHTX[..., :value].to(dtype)
