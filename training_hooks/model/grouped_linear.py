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


class _GroupedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MI: Tensor, weight_EOI: Tensor, counts: list[int]) -> Tensor:
        y_MO = x_MI.new_empty(x_MI.shape[0], weight_EOI.shape[1])
        for expert, rows in expert_rows(counts):
            product(x_MI[rows], weight_EOI[expert].t(), out=y_MO[rows])
        ctx.save_for_backward(x_MI, weight_EOI)
        ctx.counts, ctx.later = counts, note(weight_EOI)
        return y_MO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MO: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x_MI, weight_EOI = ctx.saved_tensors
        grad_MO, x_MI, counts = grad_MO.contiguous(), x_MI.detach(), ctx.counts
        dx_MI = torch.empty_like(x_MI)
        for expert, rows in expert_rows(counts):
            product(grad_MO[rows], weight_EOI[expert], out=dx_MI[rows])
        shape = weight_EOI.shape

        def part() -> Tensor:
            dweight_EOI: Tensor = x_MI.new_empty(shape)
            for expert, count in enumerate(counts):
                if not count:
                    dweight_EOI[expert].zero_()
            for expert, rows in expert_rows(counts):
                product(grad_MO[rows].t(), x_MI[rows], out=dweight_EOI[expert])
            return dweight_EOI

        return dx_MI, now_or_later(ctx.later, part), None


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
