"""YaRN against its formula, and a model that changes its context without changing its weights."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.mla import MultiHeadLatentAttention
from corpusmill.training_hooks.model.rope import rope_frequencies, rotation_table
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.model.yarn import YarnScaling
from tests.oracles import training_model as oracle

V3 = YarnScaling(factor=40.0, original_max_position_embeddings=4096)


def test_figures_of_the_released_model() -> None:
    """Pairs up to 10 keep their frequency, from 23 on they are 40 times slower; scores grow by 1.3689^2."""
    assert V3.ramp(64, 10000.0) == (10, 23)
    assert V3.max_position_embeddings == 163840
    assert V3.rotary_factor == 1.0
    assert V3.softmax_factor == pytest.approx((0.1 * math.log(40) + 1) ** 2)
    plain, scaled = rope_frequencies(64, 10000.0), rope_frequencies(64, 10000.0, V3)
    assert torch.equal(scaled[:11], plain[:11])
    torch.testing.assert_close(scaled[23:], plain[23:] / 40)
    middle = float(scaled[15] / plain[15])
    assert middle == pytest.approx((1 - 5 / 13) + 5 / 13 / 40, rel=1e-6)
    config = preset("v3-671b", 129280)
    assert config.rope_scaling == V3
    assert config.softmax_scale == pytest.approx(192**-0.5 * 1.8738542)


@settings(deadline=None, max_examples=100)
@given(
    pairs=st.integers(1, 40),
    theta=st.sampled_from([100.0, 10000.0, 5e5]),
    factor=st.floats(1.0, 100.0),
    original=st.integers(256, 200_000),
    beta_fast=st.floats(4.0, 64.0),
    beta_slow=st.floats(0.5, 4.0),
)
def test_frequencies_are_the_formula(
    pairs: int, theta: float, factor: float, original: int, beta_fast: float, beta_slow: float
) -> None:
    scaling = YarnScaling(factor, original, beta_fast, beta_slow)
    first, last = scaling.ramp(2 * pairs, theta)
    assume(last > first)  # else the released code's thousandth of a pair decides, tested apart
    got = rope_frequencies(2 * pairs, theta, scaling)
    expected = [oracle.yarn_frequency(j, 2 * pairs, theta, scaling) for j in range(pairs)]
    torch.testing.assert_close(got, torch.tensor(expected), rtol=2e-5, atol=0)


def test_factor_one_changes_nothing() -> None:
    scaling = YarnScaling(1.0, 4096)
    assert (scaling.softmax_factor, scaling.rotary_factor) == (1.0, 1.0)
    torch.testing.assert_close(
        rope_frequencies(64, 1e4, scaling), rope_frequencies(64, 1e4), rtol=2e-7, atol=0
    )


@pytest.mark.parametrize(
    ("mscale", "all_dim", "rotary", "scores"),
    [
        (1.0, 1.0, 1.0, (0.1 * math.log(8) + 1) ** 2),
        (0.5, 1.0, (0.05 * math.log(8) + 1) / (0.1 * math.log(8) + 1), (0.1 * math.log(8) + 1) ** 2),
        (0.5, None, 0.1 * math.log(8) + 1, 1.0),
        (None, 0.5, 0.1 * math.log(8) + 1, (0.05 * math.log(8) + 1) ** 2),
        (None, None, 0.1 * math.log(8) + 1, 1.0),
    ],
)
def test_where_the_sharpening_goes(
    mscale: float | None, all_dim: float | None, rotary: float, scores: float
) -> None:
    scaling = YarnScaling(8.0, 64, mscale=mscale, mscale_all_dim=all_dim)
    assert scaling.rotary_factor == pytest.approx(rotary)
    assert scaling.softmax_factor == pytest.approx(scores)
    cos, sin = rotation_table(rope_frequencies(8, 1e4, scaling), torch.arange(5), scaling.rotary_factor)
    torch.testing.assert_close(cos**2 + sin**2, torch.full((5, 4), rotary**2))


SMALL = ModelConfig(
    vocab_size=40,
    hidden_size=12,
    num_hidden_layers=2,
    first_k_dense_replace=1,
    intermediate_size=10,
    num_attention_heads=3,
    q_lora_rank=7,
    kv_lora_rank=5,
    qk_nope_head_dim=4,
    qk_rope_head_dim=12,
    v_head_dim=3,
    n_routed_experts=4,
    n_shared_experts=1,
    num_experts_per_tok=2,
    moe_intermediate_size=5,
    initializer_range=0.4,
)


def test_attention_is_the_report_with_yarn() -> None:
    scaling = YarnScaling(8.0, 200)  # a ramp inside the six pairs
    assert 0 <= scaling.ramp(12, 1e4)[0] < scaling.ramp(12, 1e4)[1] < 6
    layer = MultiHeadLatentAttention(SMALL.with_rope_scaling(scaling)).requires_grad_(False)
    initialise(layer, 3, 0.4)
    x_BTD = torch.randn(2, 9, 12, generator=torch.Generator().manual_seed(0))
    cos_TP, sin_TP = rotation_table(rope_frequencies(12, 1e4, scaling), torch.arange(9))
    got = layer(x_BTD, cos_TP, sin_TP)
    expected = torch.stack([oracle.attention(layer, x_TD, 1e4, scaling) for x_TD in x_BTD])
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)
    plain = torch.stack([oracle.attention(layer, x_TD, 1e4) for x_TD in x_BTD])
    assert not torch.allclose(got, plain, atol=1e-3)


def test_a_phase_changes_the_context_and_no_weight() -> None:
    """Setting a scaling equals having been built with it; taking it back gives the first logits."""
    scaling = YarnScaling(8.0, 16)
    model = Transformer(SMALL)
    initialise(model, 1, 0.4)
    weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    tokens = torch.arange(36).view(2, 18)
    before = model.logits(tokens)
    model.set_rope_scaling(scaling)
    assert model.config == dataclasses.replace(SMALL, rope_scaling=scaling, max_position_embeddings=128)
    assert all(torch.equal(tensor, weights[key]) for key, tensor in model.state_dict().items())
    built = Transformer(SMALL.with_rope_scaling(scaling))
    built.load_state_dict(weights)
    assert torch.equal(model.logits(tokens), built.logits(tokens))
    assert not torch.allclose(model.logits(tokens), before, atol=1e-3)
    model.set_rope_scaling(None)
    assert torch.equal(model.logits(tokens), before)


def test_rotations_can_start_anywhere_and_outlive_casts() -> None:
    """The table of a part is the part of the table; weights in BF16 leave the angles FP32."""
    model = Transformer(SMALL.with_rope_scaling(V3))
    cos, sin = model.rotations(50)
    model.to(torch.bfloat16)
    for whole, part in zip((cos, sin), model.rotations(20, 30), strict=True):
        assert torch.equal(whole[30:], part)
        assert part.dtype == torch.float32


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"factor": 0.5}, "at least 1"),
        ({"factor": math.inf}, "at least 1"),
        ({"original_max_position_embeddings": 0}, "positive"),
        ({"beta_slow": 0.0}, "beta_slow"),
        ({"beta_fast": 0.5}, "beta_slow"),
        ({"mscale": 0.0}, "null"),
        ({"mscale_all_dim": -1.0}, "null"),
    ],
)
def test_scaling_without_meaning_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(V3, **changed)
