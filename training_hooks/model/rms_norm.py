"""RMSNorm (Zhang & Sennrich 2019): x / sqrt(mean(x^2) + eps) * weight, over the last axis."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from corpusmill.training_hooks.model.wide_sums import is_wide


class _RMSNorm(torch.autograd.Function):
    """What torch fuses on GPUs, in fewer passes and with less kept than its composition for processors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_D: Tensor, eps: float) -> Tensor:
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        scale = square.div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight_D, scale)
        ctx.wide = is_wide(weight_D)
        normed: Tensor = (x * scale).mul_(weight_D)
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight_D, scale = ctx.saved_tensors
        y = x * scale
        gy = g * y
        sums = torch.float64 if ctx.wide else weight_D.dtype
        dweight_D = gy.reshape(-1, x.shape[-1]).sum(0, dtype=sums)
        # dx = scale * (g weight - y * mean(g weight y)), the mean by one product with the weight
        sum_of_row = (gy.double() @ weight_D.double()).to(gy.dtype) if ctx.wide else gy @ weight_D
        mean = sum_of_row.div_(x.shape[-1])[..., None]
        return (g * weight_D).sub_(y.mul_(mean)).mul_(scale), dweight_D, None


class RMSNorm(nn.Module):
    """`weight` [width], ones at the start. Computes and returns FP32 whatever the input, as norms stay
    out of low precision (section 3.3.1)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis of `x` [..., width]; same shape."""
        # The view gathers what the norm gives back to x into one sum before it joins other gradients of x, so
        # that sums are the same to the bit where the norm is computed again in backward.
        x = x.float().view_as(x)
        if x.device.type == "cpu":
            normed: Tensor = _RMSNorm.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]
            return normed
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)
