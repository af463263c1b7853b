"""Sums over the rows of a batch in FP64, rounded to FP32 once: they hardly depend on how rows are divided.

A batch goes through the model in micro-batches, on several ranks, its rows by expert: each division adds up
the same numbers in another order, and FP32 sums differ in their last digits. A training magnifies that where
a gradient cancels out, which Adam divides by its own size, and without bound where two experts are as good
as equal, so that a token changes to the other. What is done against it where a weight is wide:

- Its gradient is added up in FP64, within a product and over micro-batches and ranks, and rounded when the
  optimiser takes it. Two divisions then differ by 1e-16 of the terms, and after rounding next to nowhere.
- All else is computed row by row. MKL's products give a row the same bits among any number of others but
  few: fewer than four a thread take other loops. Those are filled up with rows of zeros (`filled_up`).
- torch takes another exponential for what is left over at the end of a tensor, or of a thread's share of it,
  behind its vectors. Where that is depends on the number of rows, so `silu` is computed in FP64 and rounded.

A weight is wide where its `grad_dtype` is FP64 and its own type FP32: that is the one switch. On a processor
in FP32 alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

ROWS = 16  # of a product, for each thread: as few take other loops


def widen(model: nn.Module) -> None:
    """Make all weights of `model` wide, in place."""
    for parameter in model.parameters():
        parameter.grad_dtype = torch.float64


def is_wide(weight: Tensor) -> bool:
    """Whether the gradient of `weight`, which may be no parameter, is added up in FP64."""
    return weight.is_leaf and weight.dtype == torch.float32 and weight.grad_dtype == torch.float64


def filled_up(x_NI: Tensor) -> Tensor:
    """`x_NI`, or with rows of zeros behind it where it has so few that a product would take other loops."""
    missing = ROWS * torch.get_num_threads() - x_NI.shape[0]
    return x_NI if missing <= 0 else torch.cat((x_NI, x_NI.new_zeros(missing, x_NI.shape[1])))


def of_rows(x_NI: Tensor, weight_IO: Tensor) -> Tensor:
    """x_NI weight_IO, [N, O]: each row the same bits whatever rows are beside it."""
    return torch.matmul(filled_up(x_NI), weight_IO)[: x_NI.shape[0]]


def over_rows(g_NO: Tensor, x_NI: Tensor) -> Tensor:
    """The sum over rows g^T x, FP64 [O, I]."""
    return torch.matmul(g_NO.double().t(), x_NI.double())


def silu(x: Tensor, wide: bool) -> Tensor:
    """`torch.nn.functional.silu`; where `wide`, each number the same bits whatever lies beside it."""
    return functional.silu(x.double()).float() if wide else functional.silu(x)


class _Looked(torch.autograd.Function):
    """Rows of a table [V, D] by `tokens`; their gradients are added up in FP64."""

    @staticmethod
    def forward(ctx: Any, table_VD: Tensor, tokens: Tensor) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.shape = table_VD.shape
        return functional.embedding(tokens, table_VD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (tokens,) = ctx.saved_tensors
        sums_VD = torch.zeros(ctx.shape, dtype=torch.float64)
        return sums_VD.index_add_(0, tokens.flatten(), g.flatten(0, -2).double()), None


class Embedding(nn.Embedding):
    """`torch.nn.Embedding` whose table may be wide."""

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 [...] -> [..., D]."""
        if not is_wide(self.weight):
            return super().forward(tokens)
        rows: Tensor = _Looked.apply(self.weight, tokens)  # type: ignore[no-untyped-call]
        return rows
