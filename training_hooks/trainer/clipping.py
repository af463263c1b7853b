"""The gradient's norm and clipping by it, alike in one process and in ranks that share out the gradient.

Squares are added up in FP32 within rows of `ROW` numbers and in FP64 beyond: one FP32 sum over a large tensor
loses digits (3.6e-6 of the norm for ten million numbers), and another for every cut of it into shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

ROW = 512


def sum_of_squares(tensor: Tensor) -> Tensor:
    """FP64 [], on the tensor's device. `tensor`: FP32 or FP64, any shape."""
    flat = tensor.detach().reshape(-1)
    whole = flat.numel() // ROW * ROW
    rows = torch.linalg.vector_norm(flat[:whole].view(-1, ROW), dim=1)
    rest = torch.linalg.vector_norm(flat[whole:])
    return torch.cat((rows, rest[None])).double().square().sum()


def factor(norm: float, clip: float) -> float:
    """What a gradient of this norm is multiplied by."""
    return min(1.0, clip / (norm + 1e-6))


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], clip: float) -> float:
    """The norm of all gradients together, which are multiplied by `factor` in place; 0.0 without any. Those
    of a norm that is no finite number are left alone."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return 0.0
    norm = math.sqrt(float(torch.stack([sum_of_squares(gradient) for gradient in gradients]).sum()))
    if math.isfinite(norm) and factor(norm, clip) < 1.0:
        for gradient in gradients:
            gradient *= factor(norm, clip)
    return norm
