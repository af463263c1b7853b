"""Operations a token, against a count of what torch really multiplies."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.parameter_counts import flops_per_token
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.flops import measured_peak
from corpusmill.training_hooks.trainer.objective import objective
from corpusmill.training_hooks.trainer.progress import duration


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_operations_are_those_of_forward_and_backward(depth: int) -> None:
    """On short sequences, where attention is next to nothing."""
    config = dataclasses.replace(preset("v3-tiny", 512, depth), num_hidden_layers=4)
    model, rows, context = Transformer(config), 16, 8
    initialise(model, 1, 0.05)
    tokens = torch.randint(8, 512, (rows, context + 1 + depth), generator=torch.Generator().manual_seed(0))
    # Torch's counter knows the product that makes a new tensor, not the one that adds to an old one.
    in_place = {torch.ops.aten.addmm_: lambda _, a, b, *more, out_shape=None, **kw: 2 * a[0] * a[1] * b[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        objective(model, tokens, tokens >= 0, 0.3, 1e-4).total.backward()  # type: ignore[no-untyped-call]
    found = counter.get_total_flops() / (rows * context)
    assert found == pytest.approx(flops_per_token(config, context), rel=0.02)


def test_operations_of_attention() -> None:
    """V3: 62 blocks of 128 heads, 128 + 64 wide for scores and 128 for values, half of the pairs."""
    config = preset("v3-671b", 129280)
    longer, shorter = flops_per_token(config, 4096), flops_per_token(config, 2048)
    assert longer - shorter == pytest.approx(3 * 2 * (192 + 128) * 128 * 62 * 2048 / 2)
    assert longer == pytest.approx(6 * (36.6e9 + 1.6e9), rel=0.15)


def test_a_peak_is_measured() -> None:
    assert 1e8 < measured_peak(torch.device("cpu"), low_precision=False) < 1e15


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 59.4, 60, 3599, 3600, 7503)] == [
        "0s", "59s", "1m00s", "59m59s", "1h00m", "2h05m",
    ]  # fmt: skip
