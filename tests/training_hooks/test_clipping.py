"""The norm of a gradient against FP64, and clipping by it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from corpusmill.training_hooks.trainer.clipping import clip_gradients, sum_of_squares


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1_000_003])
def test_squares_are_those_of_fp64_whatever_the_size(size: int) -> None:
    tensor = torch.randn(size, generator=torch.Generator().manual_seed(size)) + 3.0
    wanted = float(tensor.double().square().sum())
    assert float(sum_of_squares(tensor)) == pytest.approx(wanted, rel=2e-7)
    halves = sum(float(sum_of_squares(part)) for part in tensor.split(max(1, size // 2)))
    assert halves == pytest.approx(wanted, rel=2e-7)


def test_gradients_are_brought_to_the_norm_and_small_ones_left_alone() -> None:
    first, second, without = (nn.Parameter(torch.zeros(3, 2)) for _ in range(3))
    first.grad, second.grad = torch.full((3, 2), 3.0), torch.full((3, 2), -4.0)
    norm = clip_gradients([first, second, without], 1.0)
    assert norm == pytest.approx(math.sqrt(6 * 25))
    assert clip_gradients([first, second], 2.0) == pytest.approx(1.0, rel=1e-6)
    assert first.grad[0, 0] == pytest.approx(3.0 / norm, rel=1e-6)
    assert clip_gradients([without], 1.0) == 0.0
    first.grad[1, 1] = math.inf
    assert clip_gradients([first, second], 1.0) == math.inf
    assert second.grad[0, 0] == pytest.approx(-4.0 / norm, rel=1e-6)
