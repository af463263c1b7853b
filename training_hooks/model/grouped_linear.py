"""One linear map per expert over rows sorted by expert: the grouped product of a mixture of experts.

Each expert's rows are one contiguous block, so a group is one matrix product on a view, no padding and
no copies. Against a padded batched product this costs one small call an expert and saves the rows that
an uneven load would pad; forward and backward write into preallocated results.
M rows, E experts, I input and O output width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from corpusmill.training_hooks.model.products import product
from corpusmill.training_hooks.model.weight_gradients import note, now_or_later
from corpusmill.training_hooks.model.wide_sums import is_wide, of_rows, over_rows


class _GroupedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MI: Tensor, weight_EOI: Tensor, counts: list[int]) -> Tensor:
        y_MO = x_MI.new_empty(x_MI.shape[0], weight_EOI.shape[1])
        ctx.counts, ctx.later, ctx.wide = counts, note(weight_EOI), is_wide(weight_EOI)
        for expert, rows in expert_rows(counts):
            _into(y_MO[rows], x_MI[rows], weight_EOI[expert].t(), ctx.wide)
        ctx.save_for_backward(x_MI, weight_EOI)
        return y_MO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MO: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x_MI, weight_EOI = ctx.saved_tensors
        grad_MO, x_MI, counts, wide = grad_MO.contiguous(), x_MI.detach(), ctx.counts, ctx.wide
        dx_MI = torch.empty_like(x_MI)
        for expert, rows in expert_rows(counts):
            _into(dx_MI[rows], grad_MO[rows], weight_EOI[expert], wide)
        shape = weight_EOI.shape

        def part() -> Tensor:
            dweight_EOI: Tensor = x_MI.new_empty(shape, dtype=torch.float64 if wide else None)
            for expert, count in enumerate(counts):
                if not count:
                    dweight_EOI[expert].zero_()
            for expert, rows in expert_rows(counts):
                if wide:
                    dweight_EOI[expert] = over_rows(grad_MO[rows], x_MI[rows])
                else:
                    product(grad_MO[rows].t(), x_MI[rows], out=dweight_EOI[expert])
            return dweight_EOI

        return dx_MI, now_or_later(ctx.later, part), None


def _into(y_MO: Tensor, x_MI: Tensor, weight_IO: Tensor, wide: bool) -> None:
    """Put the product into `y_MO`."""
    if wide:
        y_MO.copy_(of_rows(x_MI, weight_IO))
    else:
        product(x_MI, weight_IO, out=y_MO)


def expert_rows(counts: list[int]) -> list[tuple[int, slice]]:
    """(expert, its rows) of every expert that has rows."""
    blocks, start = [], 0
    for expert, count in enumerate(counts):
        if count:
            blocks.append((expert, slice(start, start + count)))
        start += count
    return blocks


def grouped_linear(x_MI: Tensor, weight_EOI: Tensor, counts: list[int]) -> Tensor:
    """y_MO: the first counts[0] rows through weight[0], the next counts[1] through weight[1], ...

    Follows autocast like `torch.nn.functional.linear`. The weights' part of backward waits where
    `weight_gradients.put_off` is in force. Raises ValueError where counts do not cover the rows.
    """
    if sum(counts) != x_MI.shape[0] or len(counts) != weight_EOI.shape[0]:
        raise ValueError(f"{len(counts)} counts of {sum(counts)} rows for {tuple(x_MI.shape)}")
    kind = x_MI.device.type
    if torch.is_autocast_enabled(kind):
        low = torch.get_autocast_dtype(kind)
        x_MI, weight_EOI = x_MI.to(low), weight_EOI.to(low)
    y_MO: Tensor = _GroupedLinear.apply(x_MI, weight_EOI, counts)  # type: ignore[no-untyped-call]
    return y_MO
