"""The model against the report's equations written with loops (tests/oracles/training_model.py)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from corpusmill.training_hooks.model.balance import (
    expert_load,
    max_violation,
    sequence_balance_loss,
    update_bias,
)
from corpusmill.training_hooks.model.config import PRESET_NAMES, ModelConfig, preset
from corpusmill.training_hooks.model.cross_entropy import head_cross_entropy
from corpusmill.training_hooks.model.dispatch import combine, dispatch, slot_order
from corpusmill.training_hooks.model.gate import choose_experts
from corpusmill.training_hooks.model.grouped_linear import grouped_linear
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.mla import MultiHeadLatentAttention
from corpusmill.training_hooks.model.moe import MixtureOfExperts
from corpusmill.training_hooks.model.rope import rope_frequencies, rotation_table
from corpusmill.training_hooks.model.transformer import Transformer
from tests.oracles import training_model as oracle

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
    qk_rope_head_dim=6,
    v_head_dim=3,
    n_routed_experts=8,
    n_shared_experts=2,
    num_experts_per_tok=3,
    moe_intermediate_size=5,
    n_group=4,
    topk_group=2,
    routed_scaling_factor=1.7,
    initializer_range=0.4,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def started(config: ModelConfig, seed: int = 1) -> Transformer:
    model = Transformer(config)
    initialise(model, seed, config.initial_std)
    with torch.no_grad():
        for i, (name, parameter) in enumerate(model.named_parameters()):
            if "norm" in name:  # ones would hide a norm applied with the wrong weight
                parameter.add_(0.3 * drawn(*parameter.shape, seed=i))
    return model


@pytest.mark.parametrize("value_width", [3, 10, 14])
def test_attention_is_equations_1_to_11(value_width: int) -> None:
    """Values narrower than, as wide as and wider than keys."""
    config = dataclasses.replace(SMALL, v_head_dim=value_width)
    layer = MultiHeadLatentAttention(config).requires_grad_(False)
    initialise(layer, 3, 0.4)
    with torch.no_grad():
        layer.kv_a_layernorm.weight.copy_(1 + 0.3 * drawn(5))
    x_BTD = drawn(2, 6, 12)
    cos_TP, sin_TP = rotation_table(rope_frequencies(6, config.rope_theta), torch.arange(6))
    got = layer(x_BTD, cos_TP, sin_TP)
    expected = torch.stack([oracle.attention(layer, x_TD, config.rope_theta) for x_TD in x_BTD])
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)


def test_what_decoding_caches_is_the_latent_and_one_shared_key() -> None:
    layer = MultiHeadLatentAttention(SMALL)
    cos_TP, sin_TP = rotation_table(rope_frequencies(6, 1e4), torch.arange(4))
    latent, key = layer.latents(drawn(2, 4, 12), cos_TP, sin_TP)
    assert (latent.shape, key.shape) == ((2, 4, 5), (2, 4, 6))


@pytest.mark.parametrize(("groups", "kept", "shared"), [(1, 1, 2), (4, 2, 2), (2, 1, 0)])
def test_mixture_is_equations_12_to_16(groups: int, kept: int, shared: int) -> None:
    config = dataclasses.replace(SMALL, n_group=groups, topk_group=kept, n_shared_experts=shared)
    layer = MixtureOfExperts(config)
    initialise(layer, 5, 0.4)
    layer.gate.e_score_correction_bias.copy_(0.5 * drawn(8, seed=9))
    x_BTD = drawn(2, 9, 12)
    got, routing = layer(x_BTD, torch.ones(2, 9, dtype=torch.bool))
    expected, load = oracle.mixture(layer, x_BTD.flatten(0, 1))
    torch.testing.assert_close(got.flatten(0, 1), expected, atol=2e-5, rtol=1e-4)
    assert routing.load.tolist() == load
    assert sum(load) == 2 * 9 * 3


def test_mixture_gradients_are_the_loops() -> None:
    layer = MixtureOfExperts(SMALL)
    initialise(layer, 5, 0.4)
    x_BTD = drawn(2, 7, 12).requires_grad_()
    mine = layer(x_BTD, torch.ones(2, 7, dtype=torch.bool))[0].square().sum()
    wanted = [x_BTD, *layer.parameters()]
    got = torch.autograd.grad(mine, wanted)
    expected = torch.autograd.grad(oracle.mixture(layer, x_BTD.flatten(0, 1))[0].square().sum(), wanted)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)


def test_bias_routes_but_never_scales() -> None:
    """A bias equal for all experts changes nothing; one that keeps the choice leaves the gates alone."""
    layer = MixtureOfExperts(SMALL)
    initialise(layer, 5, 0.4)
    x_ND = drawn(9, 12)
    experts, gates, _ = layer.gate(x_ND)
    layer.gate.e_score_correction_bias.fill_(0.25)
    experts_after, gates_after, _ = layer.gate(x_ND)
    assert torch.equal(experts, experts_after)
    assert torch.equal(gates, gates_after)
    layer.gate.e_score_correction_bias.copy_(torch.tensor([9.0] * 4 + [0.0] * 4))
    assert layer.gate(x_ND)[0].max() <= 3
    torch.testing.assert_close(layer.gate(x_ND)[1].sum(-1), torch.full((9,), 1.7))
    assert "gate.e_score_correction_bias" not in dict(layer.named_parameters())


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 4), kept=st.integers(2, 4))
def test_node_limit_is_the_sorted_one(seed: int, k: int, kept: int) -> None:
    affinity, bias = drawn(5, 8, seed=seed).sigmoid(), drawn(8, seed=seed + 1)
    got = choose_experts(affinity + bias, k, 4, kept).tolist()
    assert got == [oracle.chosen_experts(a, bias, k, 4, kept) for a in affinity]


@settings(deadline=None, max_examples=100)
@given(
    biased=st.lists(st.integers(-3, 3), min_size=12, max_size=12),
    groups=st.sampled_from([1, 2, 3, 4, 6]),
    data=st.data(),
)
def test_node_limit_among_equals(biased: list[int], groups: int, data: st.DataObject) -> None:
    """Few different values, negative ones too: every choice is one that some breaking of ties gives."""
    kept = data.draw(st.integers(1, groups))
    k = data.draw(st.integers(1, kept * 12 // groups))
    chosen = choose_experts(torch.tensor([biased]) / 4, k, groups, kept)[0].tolist()
    assert oracle.may_be_chosen([b / 4 for b in biased], chosen, k, groups, kept)


def test_dropped_groups_stay_out_when_every_affinity_is_negative() -> None:
    """Masking with zero instead of minus infinity would prefer exactly the groups that were dropped."""
    affinities = torch.full((1, 8), -2.0)
    affinities[0, 4:6] = -1.0
    assert sorted(choose_experts(affinities, 2, 4, 1)[0].tolist()) == [4, 5]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), tokens=st.integers(1, 20), experts=st.integers(2, 9))
def test_sequence_loss_is_equations_17_to_20(seed: int, tokens: int, experts: int) -> None:
    affinities = drawn(3, tokens, experts, seed=seed).sigmoid()
    k = 1 + seed % (experts - 1)
    got = float(sequence_balance_loss(affinities, torch.ones(3, tokens, dtype=torch.bool), k))
    assert got == pytest.approx(sum(oracle.balance_loss(s, k) for s in affinities) / 3, rel=1e-4)


def test_sequence_loss_leaves_padding_out() -> None:
    affinities = drawn(3, 10, 6).sigmoid()
    real = torch.ones(3, 10, dtype=torch.bool)
    real[0, 4:] = False
    real[1] = False
    got = float(sequence_balance_loss(affinities, real, 2))
    expected = (oracle.balance_loss(affinities[0, :4], 2) + oracle.balance_loss(affinities[2], 2)) / 2
    assert got == pytest.approx(expected, rel=1e-4)
    assert float(sequence_balance_loss(affinities, torch.zeros_like(real), 2)) == 0.0


def test_bias_moves_by_gamma_exactly() -> None:
    bias = torch.tensor([0.5, -0.25, 0.0, 0.125])
    update_bias(bias, torch.tensor([7, 3, 5, 5]), 0.0625)
    assert bias.tolist() == [0.4375, -0.1875, 0.0, 0.125]


def test_load_and_violation() -> None:
    experts = torch.tensor([[0, 1], [1, 2], [1, 0]])
    load = expert_load(experts, torch.tensor([True, True, False]), 4)
    assert load.tolist() == [1, 2, 1, 0]
    assert max_violation(load) == 1.0
    assert max_violation(torch.zeros(4, dtype=torch.int64)) is None


def test_grouped_linear_and_its_gradients() -> None:
    counts = [3, 0, 2, 4]
    x, w = drawn(9, 5).double().requires_grad_(), drawn(4, 6, 5, seed=1).double().requires_grad_()
    expected = torch.cat([part @ w[e].T for e, part in enumerate(torch.split(x, counts))])
    torch.testing.assert_close(grouped_linear(x, w, counts), expected)
    assert torch.autograd.gradcheck(lambda a, b: grouped_linear(a, b, counts), (x, w))
    with pytest.raises(ValueError, match="counts"):
        grouped_linear(x, w, [3, 0, 2, 5])


def test_dispatch_and_combine_lose_no_token() -> None:
    experts = torch.tensor([[2, 0], [0, 1], [2, 1], [0, 2]])
    order = slot_order(experts, 4)
    assert order.counts == [3, 2, 3, 0]
    x = drawn(4, 3).double().requires_grad_()
    rows = dispatch(x, order)
    assert torch.equal(rows, x[[0, 1, 3, 1, 2, 0, 2, 3]])
    gates = drawn(4, 2, seed=2).double().requires_grad_()
    torch.testing.assert_close(combine(rows, gates, order), x * gates.sum(1, keepdim=True))
    assert torch.autograd.gradcheck(lambda a, g: combine(dispatch(a, order).sin(), g, order), (x, gates))


@pytest.mark.parametrize("tokens", [1, 64, 150])
def test_head_cross_entropy_is_the_plain_one(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpusmill.training_hooks.model.cross_entropy.BLOCK_NUMBERS", 64)
    x, head = drawn(tokens, 6).requires_grad_(), drawn(11, 6, seed=1).requires_grad_()
    target = torch.arange(tokens) % 11
    weight = drawn(tokens, seed=2).abs()
    total, each = head_cross_entropy(x, head, target, weight)
    plain = functional.cross_entropy(x @ head.T, target, reduction="none")
    torch.testing.assert_close(each, plain.detach())
    torch.testing.assert_close(total, (plain * weight).sum())
    for one, other in zip(
        torch.autograd.grad(3 * total, (x, head)),
        torch.autograd.grad(3 * (plain * weight).sum(), (x, head)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_attention_and_routing_are_causal() -> None:
    """Changing a token changes no logits before it."""
    model = started(SMALL)
    tokens = torch.arange(20).view(2, 10)
    changed = tokens.clone()
    changed[:, 6] += 5
    before, after = model.logits(tokens), model.logits(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_presets_have_the_sizes_they_promise() -> None:
    bodies = {}
    for name in PRESET_NAMES:
        with torch.device("meta"):
            model = Transformer(preset(name, 1000))
        total = sum(p.numel() for p in model.parameters())
        bodies[name] = total - 2 * 1000 * model.config.hidden_size
    assert 0.8e6 < bodies["v3-tiny"] < 1.6e6
    assert 8e6 < bodies["v3-mini"] < 13e6
    with pytest.raises(KeyError, match="v3-tiny"):
        preset("v3-huge", 1000)


def test_start_of_a_weight_depends_on_its_name_alone() -> None:
    shallow, deep = started(SMALL), started(dataclasses.replace(SMALL, num_hidden_layers=3))
    mine, theirs = dict(shallow.named_parameters()), dict(deep.named_parameters())
    shared = [name for name in mine if name in theirs and "norm" not in name]
    assert len(shared) > 20
    assert all(torch.equal(mine[name], theirs[name]) for name in shared)
    assert float(mine["lm_head.weight"].std().detach()) == pytest.approx(0.4, rel=0.1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"qk_rope_head_dim": 5}, "even"),
        ({"first_k_dense_replace": 3}, "first_k_dense_replace"),
        ({"n_group": 3}, "groups"),
        ({"topk_group": 5}, "topk_group"),
        ({"n_group": 8}, "at least two"),
        ({"topk_group": 1}, "num_experts_per_tok"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **changed)
