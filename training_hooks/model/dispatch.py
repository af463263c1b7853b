"""Moving tokens to their experts and back, as gathers in both directions of differentiation.

The slots (token, expert) sorted stably by expert are a permutation of all N * K slots. Both the dispatch
and its gradient are then plain gathers through the permutation or its inverse: no atomic or scattered
additions, so the sums are taken in a fixed order and results repeat bit for bit. No token is dropped. On a
processor the sums over a token's experts go through compiled loops (`kernels.expert_sums`) that read each row
once where it lies; the same in torch's operations serves other devices and types.
N tokens, K experts a token, M = N * K slots, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
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
    def forward(ctx: Any, x_ND: Tensor, token_M: Tensor, place_NK: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(place_NK)
        ctx.dtype = x_ND.dtype
        return x_ND.to(dtype).index_select(0, token_M)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor, None, None, None]:
        (place_NK,) = ctx.saved_tensors
        if _compiled(grad_MD, ctx.dtype):
            one_NK = torch.ones(place_NK.shape)
            return _weighted_sum(grad_MD.contiguous(), place_NK, one_NK), None, None, None
        grad_NKD = torch.unflatten(grad_MD.index_select(0, place_NK.flatten()), 0, place_NK.shape)
        return grad_NKD.sum(1, dtype=ctx.dtype), None, None, None


class _Combine(torch.autograd.Function):
    """`combine` on a processor, by compiled loops: rows are read where they lie."""

    @staticmethod
    def forward(ctx: Any, y_MD: Tensor, gates_NK: Tensor, place_NK: Tensor) -> Tensor:
        y_MD, gates_NK = y_MD.contiguous(), gates_NK.contiguous()
        ctx.save_for_backward(y_MD, gates_NK, place_NK)
        return _weighted_sum(y_MD, place_NK, gates_NK)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor, Tensor, None]:
        y_MD, gates_NK, place_NK = ctx.saved_tensors
        dy_MD, dgates_NK = torch.empty_like(y_MD), torch.empty_like(gates_NK)
        from corpusmill.training_hooks.kernels import expert_sums

        low = y_MD.dtype == torch.bfloat16
        kernel = expert_sums.weighted_sum_gradient_bf16 if low else expert_sums.weighted_sum_gradient
        kernel(
            _array(grad_ND.contiguous()),
            _array(y_MD),
            _array(place_NK),
            _array(gates_NK),
            _array(dy_MD),
            _array(dgates_NK),
            0,
            grad_ND.shape[0],
        )
        return dy_MD, dgates_NK, None


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


def dispatch(x_ND: Tensor, order: SlotOrder, dtype: torch.dtype | None = None) -> Tensor:
    """Rows [M, D] sorted by expert: token n appears once for each of its K experts. In `dtype`, that of
    `x_ND` by default; the gradient's sum over a token's rows is taken in the type of `x_ND`."""
    tokens = x_ND.shape[0]
    place_NK = order.slot_to_sorted.view(tokens, order.slot_to_sorted.numel() // max(tokens, 1))
    token_M = order.sorted_to_slot.div(place_NK.shape[1], rounding_mode="floor")
    rows: Tensor = _Dispatch.apply(  # type: ignore[no-untyped-call]
        x_ND, token_M, place_NK, dtype or x_ND.dtype
    )
    return rows


def combine(y_MD: Tensor, gates_NK: Tensor, order: SlotOrder) -> Tensor:
    """Gate-weighted sum over each token's experts, [N, D] in the wider type of the two, FP32 as a rule."""
    if _compiled(y_MD, gates_NK.dtype):
        place_NK = order.slot_to_sorted.view(gates_NK.shape)
        sums: Tensor = _Combine.apply(y_MD, gates_NK, place_NK)  # type: ignore[no-untyped-call]
        return sums
    slots_MD: Tensor = _Permute.apply(  # type: ignore[no-untyped-call]
        y_MD, order.slot_to_sorted, order.sorted_to_slot
    )
    return (torch.unflatten(slots_MD, 0, gates_NK.shape) * gates_NK[..., None]).sum(1)


def _compiled(rows: Tensor, result: torch.dtype) -> bool:
    """Whether the compiled loops do this: on a processor, rows in FP32 or BF16, sums in FP32."""
    known = rows.dtype in (torch.float32, torch.bfloat16)
    return rows.device.type == "cpu" and known and result == torch.float32


def _weighted_sum(rows_MD: Tensor, place_NK: Tensor, weight_NK: Tensor) -> Tensor:
    """Sum over k of weight[n, k] * rows[place[n, k]], FP32 [N, D], of contiguous tensors."""
    from corpusmill.training_hooks.kernels import expert_sums

    sums_ND = torch.empty(place_NK.shape[0], rows_MD.shape[1])
    low = rows_MD.dtype == torch.bfloat16
    kernel = expert_sums.weighted_sum_bf16 if low else expert_sums.weighted_sum
    tokens = place_NK.shape[0]
    kernel(_array(rows_MD), _array(place_NK), _array(weight_NK), _array(sums_ND), 0, tokens)
    return sums_ND


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    """The tensor's memory; BF16 as the bits, uint16."""
    if tensor.dtype == torch.bfloat16:
        return tensor.detach().view(torch.uint16).numpy()
    return tensor.detach().numpy()
