"""Rows of which some experts are here: each row once for each of these, and the sum of what they give.

As `model.dispatch`, for rows with any number of their K experts. R rows, K experts a row, S slots (row,
expert) whose expert is here, X experts here, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class OwnSlots:
    """Slots sorted by expert, those of one expert by row: `row` and `k` int64[S]. `place` int64[R, K] tells
    where a slot stands, -1 for one that is elsewhere. `counts`: rows of each of the X experts."""

    row: Tensor
    k: Tensor
    place: Tensor
    counts: list[int]

    def added_up(self, rows_SD: Tensor, weights_RK: Tensor | None) -> Tensor:
        """[R, D] in FP32 or wider: the sum over each row's slots in the order of k, by `weights_RK`."""
        wide = torch.promote_types(rows_SD.dtype, torch.float32)
        sums_RD = rows_SD.new_zeros(self.place.shape[0], rows_SD.shape[1], dtype=wide)
        for k in range(self.place.shape[1]):
            here = (self.place[:, k] >= 0).nonzero()[:, 0]
            part = rows_SD.index_select(0, self.place[here, k]).to(wide)
            if weights_RK is not None:
                part = part * weights_RK[here, k, None]
            sums_RD.index_add_(0, here, part)
        return sums_RD


def own_slots(experts_RK: Tensor, n_experts: int) -> OwnSlots:
    """The slots of `experts_RK` int64 that lie in 0..X-1."""
    row, k = ((experts_RK >= 0) & (experts_RK < n_experts)).nonzero(as_tuple=True)
    expert = experts_RK[row, k]
    order = torch.argsort(expert, stable=True)
    row, k = row[order], k[order]
    place = torch.full_like(experts_RK, -1)
    place[row, k] = torch.arange(len(row), device=row.device)
    return OwnSlots(row, k, place, torch.bincount(expert, minlength=n_experts).tolist())


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_RD: Tensor, slots: OwnSlots) -> Tensor:
        ctx.slots, ctx.dtype = slots, x_RD.dtype
        return x_RD.index_select(0, slots.row)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_SD: Tensor) -> tuple[Tensor, None]:
        return ctx.slots.added_up(grad_SD, None).to(ctx.dtype), None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y_SD: Tensor, gates_RK: Tensor, slots: OwnSlots) -> Tensor:
        ctx.save_for_backward(y_SD, gates_RK)
        ctx.slots = slots
        return slots.added_up(y_SD, gates_RK)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RD: Tensor) -> tuple[Tensor, Tensor, None]:
        y_SD, gates_RK = ctx.saved_tensors
        row, k = ctx.slots.row, ctx.slots.k
        grad_SD = grad_RD.index_select(0, row)
        dgates_RK = torch.zeros_like(gates_RK)
        dgates_RK[row, k] = (grad_SD * y_SD).sum(1).to(gates_RK.dtype)
        return (grad_SD * gates_RK[row, k, None]).to(y_SD.dtype), dgates_RK, None


def rows_of_slots(x_RD: Tensor, slots: OwnSlots) -> Tensor:
    """[S, D]; the gradient's sum over a row's slots is taken in FP32 and rounded to the type of `x_RD`."""
    rows: Tensor = _Rows.apply(x_RD, slots)  # type: ignore[no-untyped-call]
    return rows


def sum_of_slots(y_SD: Tensor, gates_RK: Tensor, slots: OwnSlots) -> Tensor:
    """[R, D] in FP32 or wider: the sum over each row's slots by `gates_RK`; zero where a row has none."""
    sums: Tensor = _Sum.apply(y_SD, gates_RK, slots)  # type: ignore[no-untyped-call]
    return sums
