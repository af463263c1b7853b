"""The losses of a batch, against explicit positions."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer.objective import objective

PAD = 2


def model_of(depth: int) -> Transformer:
    config = dataclasses.replace(preset("v3-tiny", 50, depth), hidden_size=32, num_hidden_layers=2)
    model = Transformer(config)
    initialise(model, 1, 0.2)
    return model


def tokens_of(rows: int, width: int) -> Tensor:
    return torch.randint(8, 50, (rows, width), generator=torch.Generator().manual_seed(0))


def losses(model: Transformer, tokens: Tensor, *, lam: float = 0.3, alpha: float = 1e-2) -> Any:
    return objective(model, tokens, tokens != PAD, lam, alpha)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_targets_of_every_depth(depth: int) -> None:
    """Depth d predicts token i + 1 + d from tokens up to i + d: position by position, equations 21-25."""
    model, length = model_of(depth), 7
    tokens = tokens_of(2, length + 1 + depth)
    real = torch.ones_like(tokens, dtype=torch.bool)
    got = losses(model, tokens)
    h_BTD, routing = model.trunk(tokens[:, :length], real[:, :length])
    cos_TP, sin_TP = model.rotations(length)
    means, balance = [], [r.balance_loss for r in routing]
    ready_BTD = model.norm(h_BTD)
    for d in range(depth + 1):
        if d:
            module: Any = model.mtp[d - 1]
            joined_BTD = torch.empty(2, length, 32)
            for b in range(2):
                for i in range(length):
                    pair = (
                        module.hnorm(ready_BTD[b, i]),
                        module.enorm(model.embed_tokens.weight[tokens[b, i + d]]),
                    )
                    joined_BTD[b, i] = module.eh_proj.weight @ torch.cat(pair)
            h_BTD, block_routing = module.block(joined_BTD, cos_TP, sin_TP, real[:, :length])
            balance.append(block_routing.balance_loss)
            ready_BTD = module.norm(h_BTD)
        each = [
            functional.cross_entropy(model.lm_head.weight @ ready_BTD[b, i], tokens[b, i + 1 + d])
            for b in range(2)
            for i in range(length)
        ]
        means.append(float(torch.stack(each).mean().detach()))
    mtp = sum(means[1:]) / depth if depth else 0.0
    assert float(got.loss) == pytest.approx(means[0], rel=1e-5)
    assert float(got.mtp) == pytest.approx(mtp, rel=1e-5)
    assert float(got.balance) == pytest.approx(float(torch.stack(balance).sum().detach()), rel=1e-5)
    expected = means[0] + 0.3 * mtp + 1e-2 * float(torch.stack(balance).sum().detach())
    assert float(got.total.detach()) == pytest.approx(expected, rel=1e-5)
    assert len(got.loads) == len(model.gates()) == 1 + depth


def test_padding_does_not_contribute() -> None:
    """Rows padded further give the same losses, loads and gradients as the rows alone."""
    model = model_of(1)
    tokens = tokens_of(3, 9)
    padded = functional.pad(tokens, (0, 6), value=PAD)
    ends = functional.pad(tokens, (0, 2), value=PAD)
    with_pads, without = losses(model, padded), losses(model, ends)
    for name in ("loss", "mtp", "balance"):
        assert float(getattr(with_pads, name)) == pytest.approx(float(getattr(without, name)), rel=1e-5)
    for one, other in zip(with_pads.loads, without.loads, strict=True):
        assert torch.equal(one, other)
    assert int(with_pads.counted.sum()) == 3 * 8
    parameters = list(model.parameters())
    grads = [torch.autograd.grad(x.total, parameters, allow_unused=True) for x in (with_pads, without)]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_a_batch_of_padding_gives_zero_not_nan() -> None:
    got = losses(model_of(1), torch.full((2, 9), PAD))
    assert float(got.total.detach()) == 0.0


def test_a_token_is_seen_by_its_own_targets_only() -> None:
    """Per-token losses before position p do not change with token p + 1."""
    model = model_of(1)
    tokens = tokens_of(1, 12)
    changed = tokens.clone()
    changed[0, 7] = 9 if tokens[0, 7] != 9 else 10
    one, other = losses(model, tokens).token_loss[0], losses(model, changed).token_loss[0]
    torch.testing.assert_close(one[:6], other[:6], atol=1e-6, rtol=1e-5)
    assert not torch.isclose(one[6], other[6])


def test_every_parameter_learns() -> None:
    model = model_of(1)
    tokens = tokens_of(4, 34)
    losses(model, tokens).total.backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []
