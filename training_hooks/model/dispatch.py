"""Moving tokens to their experts and back, as gathers in both directions of differentiation.

The slots (token, expert) sorted stably by expert are a permutation of all N * K slots. Both the dispatch
and its gradient are then plain gathers through the permutation or its inverse: no atomic or scattered
additions, so the sums are taken in a fixed order and results repeat bit for bit. No token is dropped.
N tokens, K experts a token, M = N * K slots, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class SlotOrder:
    """Slots sorted by expert. `sorted_to_slot` and `slot_to_sorted` int64[M] are inverse permutations of
    slot numbers n * K + k; `counts` are the rows of each expert, E of them."""

    sorted_to_slot: Tensor
    slot_to_sorted: Tensor
    counts: list[int]


def slot_order(experts_NK: Tensor, n_experts: int) -> SlotOrder:
    """The stable order by expert of the slots of `experts_NK` (int64, values in 0..E-1)."""
    experts_M = experts_NK.reshape(-1)
    sorted_to_slot = torch.argsort(experts_M, stable=True)
    slot_to_sorted = torch.empty_like(sorted_to_slot)
    slot_to_sorted[sorted_to_slot] = torch.arange(experts_M.numel(), device=experts_M.device)
    counts = torch.bincount(experts_M, minlength=n_experts).tolist()
    return SlotOrder(sorted_to_slot, slot_to_sorted, counts)


class _Dispatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, token_M: Tensor, slot_to_sorted: Tensor) -> Tensor:
        ctx.save_for_backward(slot_to_sorted)
        ctx.tokens = x_ND.shape[0]
        return x_ND.index_select(0, token_M)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor, None, None]:
        (slot_to_sorted,) = ctx.saved_tensors
        grad_NKD = torch.unflatten(grad_MD.index_select(0, slot_to_sorted), 0, (ctx.tokens, -1))
        return grad_NKD.sum(1), None, None


class _Permute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MD: Tensor, forward_M: Tensor, backward_M: Tensor) -> Tensor:
        ctx.save_for_backward(backward_M)
        return x_MD.index_select(0, forward_M)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor, None, None]:
        (backward_M,) = ctx.saved_tensors
        return grad_MD.index_select(0, backward_M), None, None


def dispatch(x_ND: Tensor, order: SlotOrder) -> Tensor:
    """Rows [M, D] sorted by expert: token n appears once for each of its K experts."""
    k = order.sorted_to_slot.numel() // max(x_ND.shape[0], 1)
    token_M = order.sorted_to_slot.div(k, rounding_mode="floor")
    rows: Tensor = _Dispatch.apply(x_ND, token_M, order.slot_to_sorted)  # type: ignore[no-untyped-call]
    return rows


def combine(y_MD: Tensor, gates_NK: Tensor, order: SlotOrder) -> Tensor:
    """Gate-weighted sum over each token's experts, FP32 [N, D]."""
    slots_MD: Tensor = _Permute.apply(  # type: ignore[no-untyped-call]
        y_MD, order.slot_to_sorted, order.sorted_to_slot
    )
    return (torch.unflatten(slots_MD, 0, gates_NK.shape) * gates_NK[..., None]).sum(1)
