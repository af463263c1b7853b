"""RMSNorm (Zhang & Sennrich 2019): x / sqrt(mean(x^2) + eps) * weight, over the last axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


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
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)
