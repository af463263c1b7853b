"""Matrix products of BF16 numbers on any processor, at the speed of its FP32 ones where it has no others.

torch multiplies BF16 on a processor through oneDNN, which needs AVX-512 (x86) or BF16 instructions (ARM).
Without them torch falls back to loops that are 15 to 50 times slower than its FP32 products. There, operands
are widened to FP32, multiplied, and the result is rounded to BF16 once. Hardware for BF16 computes the same:
a product of two BF16 numbers is exact in FP32, and sums are kept in FP32. Only the order of the sums differs,
as it does between any two processors. `bf16_products` says which of the two is in force; a training records
it in its summary and its log. GPUs, and FP32 and FP64 anywhere, are multiplied as torch does.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from corpusmill.training_hooks.model.weight_gradients import in_force, note, now_or_later
from corpusmill.training_hooks.model.wide_sums import is_wide, of_rows, over_rows

How = Literal["native", "fp32"]


@cache
def bf16_products() -> How:
    """How this processor multiplies BF16: `native`, or `fp32` for FP32 products of BF16 values, rounded."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # a build may lack oneDNN
    return "native" if supported is not None and supported() else "fp32"


def widened(*tensors: Tensor) -> bool:
    """Whether products of these are taken in FP32 and rounded: BF16 on a processor that lacks them."""
    low = all(t.dtype == torch.bfloat16 and t.device.type == "cpu" for t in tensors)
    return low and bf16_products() == "fp32"


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """a [M, K] b [K, N], or that of every matrix of a batch, in their common type; into `out` if given."""
    if widened(a, b):
        with torch.autocast("cpu", enabled=False):  # which would narrow the operands again
            result = torch.matmul(a.float(), b.float())
        return result.to(torch.bfloat16) if out is None else out.copy_(result)
    return torch.matmul(a, b) if out is None else torch.matmul(a, b, out=out)


class _Linear(torch.autograd.Function):
    """x [N, I] of any type, weight [O, I], rounded to that type here -> [N, O] in that type."""

    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, weight_OI: Tensor) -> Tensor:
        ctx.save_for_backward(x_NI, weight_OI)
        ctx.later, ctx.wide = note(weight_OI), is_wide(weight_OI)
        if ctx.wide:
            return of_rows(x_NI, weight_OI.t())
        return product(x_NI, weight_OI.to(x_NI.dtype).t())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_NO: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x_NI, weight_OI = ctx.saved_tensors
        dx_NI = dweight_OI = None
        if ctx.needs_input_grad[0]:
            dx_NI = of_rows(g_NO, weight_OI) if ctx.wide else product(g_NO, weight_OI.to(x_NI.dtype))
        if ctx.needs_input_grad[1]:
            x_NI, dtype, wide = x_NI.detach(), weight_OI.dtype, ctx.wide

            # Rounded to the low type before it is widened, as the gradient of a cast weight is.
            def part() -> Tensor:
                return over_rows(g_NO, x_NI) if wide else product(g_NO.t(), x_NI).to(dtype)

            dweight_OI = now_or_later(ctx.later, part)
        return dx_NI, dweight_OI


def linear(x: Tensor, weight_OI: Tensor) -> Tensor:
    """x [..., I] -> [..., O] as `torch.nn.functional.linear`, autocast included. The weight's part of
    backward waits where `weight_gradients.put_off` is in force."""
    dtype = _product_dtype(x, weight_OI)
    plain = in_force() is None and not _low(x, weight_OI) and not is_wide(weight_OI)
    if dtype is None or plain:
        return functional.linear(x, weight_OI)
    x_NI = x.to(dtype).reshape(x.shape[:-1].numel(), weight_OI.shape[1])
    y_NO: Tensor = _Linear.apply(x_NI, weight_OI)  # type: ignore[no-untyped-call]
    return y_NO.view(*x.shape[:-1], weight_OI.shape[0])


def _product_dtype(x: Tensor, weight: Tensor) -> torch.dtype | None:
    """The type that torch multiplies the two in; None for two types that it does not multiply, or that
    autocast leaves as they are."""
    known = (torch.float32, torch.bfloat16, torch.float16)
    if torch.is_autocast_enabled(x.device.type) and x.dtype in known and weight.dtype in known:
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype if x.dtype == weight.dtype else None


def _low(x: Tensor, weight: Tensor) -> bool:
    if x.device.type != "cpu" or bf16_products() == "native":
        return False
    if torch.is_autocast_enabled("cpu"):
        known = (torch.float32, torch.bfloat16)
        return (
            torch.get_autocast_dtype("cpu") == torch.bfloat16 and x.dtype in known and weight.dtype in known
        )
    return x.dtype == weight.dtype == torch.bfloat16


class Linear(nn.Linear):
    """`torch.nn.Linear` without a bias, through `linear`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        return linear(x, self.weight)
