"""SwiGLU feed-forward layer (Shazeer 2020): down(silu(gate(x)) * up(x)). Dense layers, shared experts."""

from __future__ import annotations

from torch import Tensor, nn

from corpusmill.training_hooks.model.products import Linear
from corpusmill.training_hooks.model.wide_sums import is_wide, silu


class FeedForward(nn.Module):
    """x [..., D] -> [..., D] through width F; no bias."""

    def __init__(self, width: int, intermediate: int) -> None:
        super().__init__()
        self.gate_proj = Linear(width, intermediate)
        self.up_proj = Linear(width, intermediate)
        self.down_proj = Linear(intermediate, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        gate = silu(self.gate_proj(x), is_wide(self.gate_proj.weight))
        output: Tensor = self.down_proj(gate * self.up_proj(x))
        return output
