"""One step: a batch in pieces, biases, what experts received; and the balance loss, literally."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.model.balance import max_violation, sequence_balance_loss
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.recompute import recompute
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.expert_load import (
    RoutingTally,
    layer_names,
    load_entropy,
    load_measures,
    mean_violation,
)
from corpusmill.training_hooks.trainer.optimiser import adamw
from corpusmill.training_hooks.trainer.step import Batch, Settings, StepResult, gradients, training_step
from corpusmill.training_hooks.trainer.stop import StopRequest
from tests.oracles.training_balance import balance_gradient, balance_loss

PAD = 2
SETTINGS = Settings(
    learning_rate=1e-3, gamma=0.01, mtp_weight=0.3, alpha=0.5, micro_batch=100, precision="fp32"
)


def model_of(depth: int = 2, std: float = 0.2) -> Transformer:
    config = dataclasses.replace(preset("v3-tiny", 50, depth), hidden_size=32, num_hidden_layers=3)
    model = Transformer(config)
    initialise(model, 1, std)
    return model


def batch_of(rows: int, depth: int = 2, length: int = 9) -> Batch:
    """Rows of very different shares of padding: the last of nothing else, the first with one token, the
    second with one at the very end, which is no input of the main model."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(8, 50, (rows, length + 1 + depth))
    for row in range(rows):
        tokens[row, rng.integers(1, tokens.shape[1] + 1) :] = PAD
    tokens[-1] = PAD
    tokens[0, 1:] = PAD
    tokens[1] = PAD
    tokens[1, -1] = 9
    codes = np.where(tokens == PAD, -1, rng.integers(0, 3, tokens.shape))
    return Batch(tokens, codes, PAD)


def step(model: Transformer, batch: Batch, **changed: Any) -> StepResult:
    settings = dataclasses.replace(SETTINGS, **changed)
    done = training_step(model, adamw(model), batch, settings, sources=3, stop=StopRequest())
    assert done is not None
    return done


@pytest.mark.parametrize("piece", [1, 2, 3, 5])
def test_gradients_of_a_batch_in_pieces_are_those_of_the_batch(piece: int) -> None:
    model, batch = model_of(), batch_of(7)
    found = []
    for micro_batch in (7, piece):
        settings = dataclasses.replace(SETTINGS, micro_batch=micro_batch)
        done = gradients(model, adamw(model), batch, settings, sources=3, stop=StopRequest())
        assert done is not None
        found.append((done, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    (whole, of_whole), (pieces, of_pieces) = found
    assert len(of_whole) == len(of_pieces) == len(list(model.parameters()))
    for one, two in zip(of_whole, of_pieces, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=2e-6 * float(one.abs().max()) + 1e-9)
    for name in ("loss", "mtp", "balance", "targets"):
        assert getattr(pieces, name) == pytest.approx(getattr(whole, name), rel=1e-6)
    assert whole.balance > 1  # an uneven load was there to be divided up
    assert all(torch.equal(a, b) for a, b in zip(whole.loads, pieces.loads, strict=True))
    assert whole.source_targets.tolist() == pieces.source_targets.tolist()
    assert whole.source_targets.sum() == whole.targets
    assert whole.source_loss.sum() / whole.targets == pytest.approx(whole.loss, rel=1e-5)


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("piece", [7, 2])
def test_every_bias_moves_by_gamma_once_a_step(recomputed: bool, piece: int) -> None:
    """By the sign of the load of the whole batch, MTP's layers too, recomputation or not."""
    model, batch = model_of(), batch_of(7)
    if recomputed:
        recompute(model)
    expected = [torch.zeros(8, dtype=torch.float64) for _ in model.gates()]
    assert len(expected) == 2 + 2
    for _ in range(3):
        done = step(model, batch, micro_batch=piece, gamma=0.25, learning_rate=0.0)
        for moved, load in zip(expected, done.loads, strict=True):
            for expert, count in enumerate(load.tolist()):
                mean = sum(load.tolist()) / 8
                moved[expert] += 0.25 * ((count < mean) - (count > mean))
        assert max(max_violation(load) or 0.0 for load in done.loads) > 0
    for gate, moved in zip(model.gates(), expected, strict=True):
        assert gate.e_score_correction_bias.tolist() == moved.tolist()
        assert moved.abs().max() > 0


@pytest.mark.parametrize("clip", [1e-3, 1.0, 1e9])
def test_the_gradient_is_clipped_to_its_norm(clip: float) -> None:
    """All parameters together; the norm told is that before."""
    found = []
    for bound in (1e9, clip):
        model = model_of()
        done = step(model, batch_of(7), clip=bound)
        found.append((done.norm, [p.grad for p in model.parameters() if p.grad is not None]))
    (norm, plain), (told, clipped) = found
    assert told == norm > 1.0
    for one, other in zip(plain, clipped, strict=True):
        torch.testing.assert_close(one * min(1.0, clip / norm), other, rtol=1e-4, atol=1e-12)


def test_recomputation_changes_no_bit() -> None:
    plain, batch = model_of(), batch_of(7)
    other = copy.deepcopy(plain)
    recompute(other)
    one, two = step(plain, batch, micro_batch=3), step(other, batch, micro_batch=3)
    assert (one.loss, one.norm) == (two.loss, two.norm)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_frozen_biases_stay() -> None:
    model = model_of()
    step(model, batch_of(7), gamma=0.0)
    assert all(not gate.e_score_correction_bias.any() for gate in model.gates())


def test_a_stop_between_pieces_changes_nothing() -> None:
    model, stop = model_of(), StopRequest(asked=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert training_step(model, adamw(model), batch_of(7), SETTINGS, sources=3, stop=stop) is None
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_no_finite_loss_no_step() -> None:
    model = model_of()
    with torch.no_grad():
        model.embed_tokens.weight[20] = math.inf
    before = model.lm_head.weight.detach().clone()
    with pytest.raises(UserError, match="lower the learning rate"):
        step(model, batch_of(7))
    assert torch.equal(model.lm_head.weight, before)


@pytest.mark.parametrize("piece", [7, 2])
def test_routing_by_source_adds_up_to_the_loads(piece: int) -> None:
    model, batch = model_of(), batch_of(7)
    tally = RoutingTally(model, 3)
    settings = dataclasses.replace(SETTINGS, micro_batch=piece)
    with tally.listening():
        done = training_step(model, adamw(model), batch, settings, sources=3, stop=StopRequest(), tally=tally)
    assert done is not None
    assert tally.counts.shape == (4, 3, 8)
    for counts, load in zip(tally.counts, done.loads, strict=True):
        assert counts.sum(0).tolist() == load.tolist()
    inputs = batch.codes[:, :9]
    for source in range(3):
        assert tally.counts[0, source].sum() == 2 * (inputs == source).sum()
        assert tally.counts[2, source].sum() == 2 * (batch.codes[:, 1:10] == source).sum()
    assert layer_names(model) == ["layers.1", "layers.2", "mtp.0", "mtp.1"]
    step(model, batch)  # nobody listens any more
    assert tally.counts[0].sum() == done.loads[0].sum()


def test_measures_of_load() -> None:
    even, one, half = torch.tensor([5, 5, 5, 5]), torch.tensor([8, 0, 0, 0]), torch.tensor([6, 6, 0, 0])
    found = load_measures([even, one, half])
    assert found["max_violation"] == [0.0, 3.0, 1.0]
    assert found["mean_violation"] == [0.0, 1.5, 1.0]
    assert found["entropy"] == [1.0, 0.0, 0.5]
    assert (mean_violation(torch.zeros(4)), load_entropy(torch.zeros(4))) == (None, None)


def affinities(sequences: int, tokens: int, experts: int, seed: int) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(sequences, tokens, experts, generator=draws, dtype=torch.float64) * 0.98 + 0.01


@given(tokens=st.integers(1, 6), experts=st.integers(2, 7), k=st.integers(1, 4), seed=st.integers(0, 1000))
def test_balance_loss_and_gradient_are_equations_17_to_20(
    tokens: int, experts: int, k: int, seed: int
) -> None:
    k = min(k, experts)
    s = affinities(1, tokens, experts, seed).requires_grad_()
    loss = sequence_balance_loss(s, torch.ones(1, tokens, dtype=torch.bool), k)
    loss.backward()  # type: ignore[no-untyped-call]
    rows = s[0].tolist()
    assert float(loss.detach()) == pytest.approx(balance_loss(rows, k), rel=1e-12)
    assert s.grad is not None
    np.testing.assert_allclose(s.grad[0].numpy(), balance_gradient(rows, k), rtol=1e-9, atol=1e-12)


def test_balance_loss_of_a_batch_is_a_mean_over_sequences_without_their_padding() -> None:
    s = affinities(3, 6, 5, 3).requires_grad_()
    real = torch.tensor([[True] * 6, [True] * 2 + [False] * 4, [False] * 6])
    sequence_balance_loss(s, real, 2).backward()  # type: ignore[no-untyped-call]
    assert s.grad is not None
    expected = np.zeros((3, 6, 5))
    expected[0] = balance_gradient(s[0].tolist(), 2) / 2
    expected[1, :2] = balance_gradient(s[1, :2].tolist(), 2) / 2
    np.testing.assert_allclose(s.grad.numpy(), expected, rtol=1e-9, atol=1e-12)
