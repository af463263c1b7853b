"""SwiGLU layers, dense and by expert, in FP8 (sections 3.3.1 and 3.3.3).

Backward keeps the layer's input and the two inputs of SwiGLU in E4M3 tiles, and computes SwiGLU's output from
them again: 1 byte a number for D + 2F numbers a row. Forward goes on with SwiGLU's inputs as they were before
they were put away in E4M3. Gate and up matrices are quantised apart, also where they are stored in one.

Rows arrive sorted by expert; an expert's tiles along the tokens start at its own first row, so that no tile
mixes experts. The input of routed experts and the gradient that comes back to their output travel between
devices in the large model; both have power-of-two scales.

M rows, E experts, D width, F feed-forward width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from corpusmill.training_hooks.model.feed_forward import FeedForward
from corpusmill.training_hooks.model.grouped_linear import expert_rows
from corpusmill.training_hooks.model.moe import Experts
from corpusmill.training_hooks.model.weight_gradients import note, now_or_later
from corpusmill.training_hooks.precision.linear import Fp8, output_dtype
from corpusmill.training_hooks.precision.quantise import ALONG_ROW, BLOCK, Quantised, quantise


class _Fp8SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_MD: Tensor,
        gate_up_E2FD: Tensor,
        down_EDF: Tensor,
        counts: list[int],
        fp8: Fp8,
        travels: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        x = quantise(x_MD, power_of_two=travels)
        gate_up, down = quantise(gate_up_E2FD, BLOCK), quantise(down_EDF, BLOCK)
        width = gate_up_E2FD.shape[2]
        gate_MF, up_MF = (x_MD.new_empty(x_MD.shape[0], width, dtype=torch.float32) for _ in range(2))
        for expert, rows in expert_rows(counts):
            of_expert = x.rows(rows)
            gate_MF[rows] = fp8.product(of_expert, gate_up[expert, 0])
            up_MF[rows] = fp8.product(of_expert, gate_up[expert, 1])
        gate_MF, up_MF = gate_MF.to(dtype), up_MF.to(dtype)
        gate, up = quantise(gate_MF), quantise(up_MF)
        hidden = quantise(nn.functional.silu(gate_MF.float()) * up_MF.float())
        y_MD = x_MD.new_empty(x_MD.shape[0], down_EDF.shape[1], dtype=torch.float32)
        for expert, rows in expert_rows(counts):
            y_MD[rows] = fp8.product(hidden.rows(rows), down[expert])
        kept = [part for q in (x, gate, up, gate_up, down) for part in (q.codes, q.scales)]
        ctx.save_for_backward(*kept)
        ctx.counts, ctx.fp8, ctx.travels, ctx.dtype = counts, fp8, travels, x_MD.dtype
        ctx.later = note(gate_up_E2FD), note(down_EDF)
        return y_MD.to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_MD: Tensor) -> tuple[Tensor | None, ...]:
        kept = ctx.saved_tensors
        tiles = (ALONG_ROW, ALONG_ROW, ALONG_ROW, BLOCK, BLOCK)
        x, gate, up, gate_up, down = (
            Quantised(codes, scales, tile, codes.shape)
            for codes, scales, tile in zip(kept[::2], kept[1::2], tiles, strict=True)
        )
        fp8, blocks, travels = ctx.fp8, expert_rows(ctx.counts), ctx.travels
        g_MD = g_MD.contiguous().float()
        gate_MF, up_MF = gate.dequantise(), up.dequantise()
        sigmoid_MF = gate_MF.sigmoid()
        silu_MF = gate_MF * sigmoid_MF
        hidden_MF = silu_MF * up_MF

        g = quantise(g_MD, power_of_two=travels)
        dhidden_MF = torch.empty_like(hidden_MF)
        for expert, rows in blocks:
            dhidden_MF[rows] = fp8.product(g.rows(rows), down[expert].t())

        dgate_MF = dhidden_MF * up_MF * sigmoid_MF * (1 + gate_MF * (1 - sigmoid_MF))
        dup_MF = dhidden_MF * silu_MF
        dgate, dup = quantise(dgate_MF), quantise(dup_MF)
        dx_MD = g_MD.new_empty(x.shape)
        for expert, rows in blocks:
            dx_MD[rows] = fp8.product(dgate.rows(rows), gate_up[expert, 0].t())
            dx_MD[rows] += fp8.product(dup.rows(rows), gate_up[expert, 1].t())

        def gate_up_part() -> Tensor:
            dgate_up_E2FD, x_MD = g_MD.new_zeros(gate_up.shape), x.dequantise()
            for expert, rows in blocks:
                for half, gradient_MF in enumerate((dgate_MF, dup_MF)):
                    dgate_up_E2FD[expert, half] = fp8.weight_gradient(
                        gradient_MF[rows], x_MD[rows], power_of_two=travels
                    )
            return dgate_up_E2FD

        def down_part() -> Tensor:
            ddown_EDF = g_MD.new_zeros(down.shape)
            for expert, rows in blocks:
                ddown_EDF[expert] = fp8.weight_gradient(g_MD[rows], hidden_MF[rows])
            return ddown_EDF

        of_gate_up, of_down = ctx.later
        dgate_up_E2FD = now_or_later(of_gate_up, gate_up_part)
        ddown_EDF = now_or_later(of_down, down_part)
        return dx_MD.to(ctx.dtype), dgate_up_E2FD, ddown_EDF, None, None, None, None


def fp8_swiglu(
    x_MD: Tensor,
    gate_up_E2FD: Tensor,
    down_EDF: Tensor,
    counts: list[int],
    fp8: Fp8,
    *,
    travels: bool = False,
) -> Tensor:
    """down(silu(gate(x)) * up(x)) [M, D], the first counts[0] rows through expert 0, and so on.

    `gate_up_E2FD` [E, 2, F, D] holds gate and up matrices; `travels` asks for power-of-two scales of the
    input and of the output's gradient. Raises ValueError where counts do not cover the rows.
    """
    if sum(counts) != x_MD.shape[0] or len(counts) != down_EDF.shape[0]:
        raise ValueError(f"{len(counts)} counts of {sum(counts)} rows for {tuple(x_MD.shape)}")
    dtype = output_dtype(x_MD.device.type)
    y_MD: Tensor = _Fp8SwiGLU.apply(  # type: ignore[no-untyped-call]
        x_MD, gate_up_E2FD, down_EDF, counts, fp8, travels, dtype
    )
    return y_MD


class Fp8FeedForward(FeedForward):
    """Stands in the place of a `FeedForward` and has its linear layers, the same modules."""

    def __init__(self, plain: FeedForward, fp8: Fp8) -> None:
        nn.Module.__init__(self)
        self.gate_proj, self.up_proj, self.down_proj = plain.gate_proj, plain.up_proj, plain.down_proj
        self.fp8 = fp8

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        x_MD = x.flatten(0, -2)
        gate_up_E2FD = torch.stack((self.gate_proj.weight, self.up_proj.weight))[None]
        down_EDF = self.down_proj.weight[None]
        return fp8_swiglu(x_MD, gate_up_E2FD, down_EDF, [x_MD.shape[0]], self.fp8).view_as(x)


def fp8_experts(experts: Experts, x_MD: Tensor, counts: list[int], fp8: Fp8) -> Tensor:
    """What `experts` give in FP8, [M, D], of rows sorted by expert; `counts` rows each."""
    gate_up_E2FD = torch.unflatten(experts.gate_up_proj, 1, (2, -1))
    return fp8_swiglu(x_MD, gate_up_E2FD, experts.down_proj, counts, fp8, travels=True)


class Fp8Experts(Experts):
    """Stands in the place of `Experts` and has its stacked weights, the same Parameters."""

    def __init__(self, plain: Experts, fp8: Fp8) -> None:
        nn.Module.__init__(self)
        self.gate_up_proj, self.down_proj = plain.gate_up_proj, plain.down_proj
        self.fp8 = fp8

    def forward(self, x_MD: Tensor, counts: list[int]) -> Tensor:
        """[M, D] of rows sorted by expert; `counts` rows each."""
        return fp8_experts(self, x_MD, counts, self.fp8)

    def rows_dtype(self, x_ND: Tensor) -> torch.dtype:
        """As they are: quantising reads what the layer before gave."""
        return x_ND.dtype
