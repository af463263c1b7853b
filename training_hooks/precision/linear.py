"""A linear layer whose three products run in FP8 (section 3.3.1).

Fprop y = x W^T, Dgrad dx = g W, Wgrad dW = g^T x, all with E4M3 operands. x and g are in 1 x 128 tiles, W in
128 x 128 blocks, which serve both Fprop and Dgrad; Wgrad sums over tokens, so there x and g are in 128 x 1
tiles. Backward keeps x as Fprop read it, in E4M3, and tiles it anew for Wgrad: one byte a number and no copy
of x in higher precision, at the price of rounding twice. dW is FP32. Wgrad may wait
(`model.weight_gradients`).

The input of the linear after attention is kept in E5M6 with power-of-two scales instead, and its E4M3 tiles
have power-of-two scales too, in both directions of tiling: moving from one tiling to the other then changes
exponents only (section 3.3.3). Fprop reads E4M3 tiles of the input itself; the report does not say whether
they should be made of its E5M6 copy.

N tokens, I input and O output width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from corpusmill.training_hooks.model.weight_gradients import note, now_or_later
from corpusmill.training_hooks.precision.formats import E4M3, E5M6, Format
from corpusmill.training_hooks.precision.hopper import hopper_product
from corpusmill.training_hooks.precision.product import emulated_product
from corpusmill.training_hooks.precision.quantise import (
    ALONG_COLUMN,
    ALONG_ROW,
    BLOCK,
    Quantised,
    quantise,
)

Engine = Literal["emulated", "hopper"]


@dataclass(frozen=True)
class Fp8:
    """How products run: `engine`, and for the emulated one `accumulate_bits` (see `product`)."""

    engine: Engine = "emulated"
    accumulate_bits: int | None = None

    def product(self, a: Quantised, b: Quantised) -> Tensor:
        """a [M, K] b [N, K]^T, FP32 [M, N]."""
        if self.engine == "hopper":
            return hopper_product(a, b)
        return emulated_product(a, b, self.accumulate_bits)

    def weight_gradient(self, g_NO: Tensor, x_NI: Tensor, *, power_of_two: bool = False) -> Tensor:
        """g^T x, FP32 [O, I], both in 128 x 1 tiles along the tokens."""
        g, x = (quantise(side, ALONG_COLUMN, power_of_two=power_of_two) for side in (g_NO, x_NI))
        return self.product(g.t(), x.t())


@dataclass(frozen=True)
class Cached:
    """How a linear's input is tiled and what backward keeps of it."""

    format: Format = E4M3
    power_of_two: bool = False


AFTER_ATTENTION = Cached(E5M6, power_of_two=True)


class _Fp8Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, weight_OI: Tensor, fp8: Fp8, cached: Cached) -> Tensor:
        x = quantise(x_NI, ALONG_ROW, power_of_two=cached.power_of_two)
        weight = quantise(weight_OI, BLOCK)
        kept = x if cached.format is E4M3 else quantise(x_NI, ALONG_ROW, cached.format, power_of_two=True)
        ctx.save_for_backward(kept.codes, kept.scales, weight.codes, weight.scales)
        ctx.fp8, ctx.cached, ctx.shape, ctx.dtype = fp8, cached, x_NI.shape, x_NI.dtype
        ctx.later = note(weight_OI)
        return fp8.product(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_NO: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        codes, scales, weight_codes, weight_scales = ctx.saved_tensors
        fp8: Fp8 = ctx.fp8
        cached: Cached = ctx.cached
        dx_NI = dweight_OI = None
        if ctx.needs_input_grad[0]:
            weight = Quantised(weight_codes, weight_scales, BLOCK, weight_codes.shape)
            dx_NI = fp8.product(quantise(g_NO), weight.t()).to(ctx.dtype)
        if ctx.needs_input_grad[1]:
            x = Quantised(codes, scales, ALONG_ROW, ctx.shape, cached.format)

            def part() -> Tensor:
                return fp8.weight_gradient(g_NO, x.dequantise(), power_of_two=cached.power_of_two)

            dweight_OI = now_or_later(ctx.later, part)
        return dx_NI, dweight_OI, None, None


def fp8_linear(x: Tensor, weight_OI: Tensor, fp8: Fp8, cached: Cached | None = None) -> Tensor:
    """x [..., I] -> [..., O] in FP8; the result is in autocast's type where it is on, else FP32."""
    outputs, inputs = weight_OI.shape
    y_NO: Tensor = _Fp8Linear.apply(  # type: ignore[no-untyped-call]
        x.reshape(x.shape[:-1].numel(), inputs), weight_OI, fp8, cached or Cached()
    )
    return y_NO.view(*x.shape[:-1], outputs).to(output_dtype(x.device.type))


def output_dtype(kind: str) -> torch.dtype:
    """The type a linear layer's output has under the autocast in force on device type `kind`."""
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


class Fp8Linear(nn.Linear):
    """Stands in the place of a bias-free `nn.Linear` and has its weight, the same Parameter, FP32."""

    def __init__(self, plain: nn.Linear, fp8: Fp8, cached: Cached | None = None) -> None:
        if "bias" in dict(plain.named_parameters()):
            raise ValueError("a linear in FP8 has no bias")
        super().__init__(plain.in_features, plain.out_features, bias=False, device="meta")
        self.weight = plain.weight
        self.fp8, self.cached = fp8, cached or Cached()

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        return fp8_linear(x, self.weight, self.fp8, self.cached)
