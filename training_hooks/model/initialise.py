"""Filling the weights: normal matrices, unit norms, zero biases."""

from __future__ import annotations

import torch
from torch import nn

from corpusmill.pipelines.contract.randomness import seed_of


@torch.no_grad()
def initialise(model: nn.Module, seed: int, std: float) -> None:
    """Draw every matrix from N(0, std^2) and set every vector (norm weights) to one.

    Each parameter has its own generator, seeded by its name, so that adding a layer or a module changes
    the start of no other.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            parameter.fill_(1.0)
        else:
            draws = torch.Generator().manual_seed(seed_of(seed, f"initialise {name}") >> 1)
            values = torch.empty(parameter.shape, dtype=torch.float32).normal_(0.0, std, generator=draws)
            parameter.copy_(values)
