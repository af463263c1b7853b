"""AdamW against torch's and against the algorithm written for one number."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.trainer import adamw as module
from corpusmill.training_hooks.trainer.adamw import AdamW
from corpusmill.training_hooks.trainer.optimiser import adamw, set_learning_rate

SHAPES = [(7, 5), (3,), (70_000,), (2, 3, 4)]
BF16, FP32 = torch.bfloat16, torch.float32


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(dtype: torch.dtype = FP32) -> list[nn.Parameter]:
    return [nn.Parameter(drawn(*shape, seed=i).to(dtype)) for i, shape in enumerate(SHAPES)]


def give_gradients(params: list[nn.Parameter], step: int) -> None:
    for i, p in enumerate(params):
        p.grad = drawn(*p.shape, seed=100 * step + i).to(p.dtype) * 10.0 ** (i - 2)


def groups(params: list[nn.Parameter]) -> list[dict[str, Any]]:
    return [{"params": params[:2], "weight_decay": 0.3}, {"params": params[2:], "weight_decay": 0.0}]


def test_is_torch_adamw_to_round_off() -> None:
    mine, theirs = parameters(), parameters()
    optimisers = [
        AdamW(groups(mine), betas=(0.9, 0.95)),
        torch.optim.AdamW(groups(theirs), betas=(0.9, 0.95), eps=1e-8, foreach=False),
    ]
    for step in range(1, 12):
        for params, optimiser in zip((mine, theirs), optimisers, strict=True):
            give_gradients(params, step)
            for group in optimiser.param_groups:
                group["lr"] = 0.01 * step
            optimiser.step()
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-6, atol=2e-6)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10**6),
    lr=st.floats(1e-5, 0.1),
    decay=st.floats(0, 1),
    beta1=st.floats(0, 0.99),
    beta2=st.floats(0, 0.999),
    steps=st.integers(1, 6),
)
def test_is_the_algorithm(seed: int, lr: float, decay: float, beta1: float, beta2: float, steps: int) -> None:
    start, grads = drawn(3, seed=seed).double(), drawn(steps, 3, seed=seed + 1).double()
    parameter = nn.Parameter(start.clone())
    optimiser = AdamW([parameter], lr, (beta1, beta2), 1e-8, decay)
    for grad in grads:
        parameter.grad = grad
        optimiser.step()
    for i in range(3):
        w, m, v = float(start[i]), 0.0, 0.0
        for t, g in enumerate(grads[:, i].tolist(), start=1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            root = math.sqrt(v / (1 - beta2**t))
            w -= lr * decay * w
            w -= lr * m / (1 - beta1**t) / (root + 1e-8)
        assert float(parameter[i].detach()) == pytest.approx(w, rel=1e-9, abs=1e-12)


def test_bf16_moments_are_rounded_when_put_away_only() -> None:
    """Step by step: BF16 in, FP32 arithmetic, update from FP32 results, BF16 out."""
    params, expected = parameters(), [p.detach().clone() for p in parameters()]
    optimiser = AdamW(params, 0.01, moments=BF16)
    state = [(torch.zeros_like(w, dtype=BF16), torch.zeros_like(w, dtype=BF16)) for w in expected]
    for step in range(1, 6):
        give_gradients(params, step)
        optimiser.step()
        for i, (w, p) in enumerate(zip(expected, params, strict=True)):
            assert p.grad is not None
            m = torch.lerp(state[i][0].float(), p.grad, 1 - 0.9)
            v = state[i][1].float() * 0.95 + (1 - 0.95) * p.grad * p.grad
            w *= 1 - 0.01 * 0.1
            w -= 0.01 / (1 - 0.9**step) * m / (v.sqrt() / math.sqrt(1 - 0.95**step) + 1e-8)
            state[i] = (m.to(BF16), v.to(BF16))
            torch.testing.assert_close(p.detach(), w, rtol=1e-5, atol=1e-6)
            ours = optimiser.state[p]
            assert ours["exp_avg"].dtype == ours["exp_avg_sq"].dtype == BF16
            torch.testing.assert_close(ours["exp_avg"], state[i][0], rtol=2**-7, atol=1e-6)
            torch.testing.assert_close(ours["exp_avg_sq"], state[i][1], rtol=2**-7, atol=1e-9)


def test_bf16_moments_halve_the_state_and_train_as_well() -> None:
    """A quadratic bowl: both come as near to the bottom."""
    ends = {}
    for moments in (FP32, BF16):
        weight = nn.Parameter(drawn(200))
        goal = drawn(200, seed=1)
        optimiser = AdamW([weight], 0.05, weight_decay=0.0, moments=moments)
        for step in range(300):
            optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 300)
            weight.grad = (weight - goal).detach()
            optimiser.step()
        ends[moments] = float((weight - goal).detach().norm())
        nbytes = sum(t.nbytes for t in optimiser.state[weight].values() if isinstance(t, Tensor))
        assert nbytes == 2 * 200 * moments.itemsize
    assert ends[FP32] < 1e-2
    assert ends[BF16] < 1e-2


def test_second_moment_moves_at_the_reports_beta() -> None:
    """Gradients ten times smaller from some step on: BF16 follows at 0.95 and stands still at 0.999."""
    left = {}
    for beta in (0.95, 0.999):
        weight = nn.Parameter(torch.zeros(1))
        optimiser = AdamW([weight], 1e-3, (0.9, beta), moments=BF16)
        for step in range(400):
            weight.grad = torch.tensor([1.0 if step < 200 else 0.1])
            optimiser.step()
        left[beta] = float(optimiser.state[weight]["exp_avg_sq"])
    assert left[0.95] == pytest.approx(0.01, rel=0.2)
    assert left[0.999] > 0.1


def test_low_precision_weights_have_a_master() -> None:
    """Steps far below a BF16 weight's resolution add up in the master copy."""
    weight = nn.Parameter(torch.ones(4, dtype=BF16))
    optimiser = AdamW([weight], 1e-4, weight_decay=0.0)
    for _ in range(200):
        weight.grad = torch.ones(4, dtype=BF16)
        optimiser.step()
    master = optimiser.state[weight]["master"]
    assert master.dtype == FP32
    assert master.tolist() == pytest.approx([0.98] * 4, abs=1e-4)
    assert torch.equal(weight.detach(), master.to(BF16))


@pytest.mark.parametrize(("dtype", "moments"), [(FP32, FP32), (FP32, BF16), (BF16, BF16)])
def test_resume_is_exact(dtype: torch.dtype, moments: torch.dtype) -> None:
    def steps(params: list[nn.Parameter], optimiser: AdamW, numbers: range) -> None:
        for step in numbers:
            give_gradients(params, step)
            optimiser.step()

    whole = parameters(dtype)
    optimiser = AdamW(groups(whole), 0.01, moments=moments)
    steps(whole, optimiser, range(1, 4))
    saved = optimiser.state_dict()
    resumed = [nn.Parameter(p.detach().clone()) for p in whole]
    other = AdamW(groups(resumed), 0.01, moments=moments)
    other.load_state_dict(saved)
    steps(whole, optimiser, range(4, 7))
    steps(resumed, other, range(4, 7))
    for one, two in zip(whole, resumed, strict=True):
        assert torch.equal(one, two)
        for name, value in optimiser.state[one].items():
            found = other.state[two][name]
            assert type(found) is type(value)
            assert torch.equal(found, value) if isinstance(value, Tensor) else found == value
            assert not isinstance(value, Tensor) or found.dtype == value.dtype


def test_blocks_and_layout_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for block, columns in ((2**17, False), (1000, False), (2**17, True)):
        monkeypatch.setattr(module, "BLOCK", block)
        weight = drawn(100, 50)
        parameter = nn.Parameter(weight.t().contiguous().t() if columns else weight)
        optimiser = AdamW([parameter], 0.01, moments=BF16)
        for step in range(3):
            parameter.grad = drawn(100, 50, seed=step + 1)
            optimiser.step()
        results.append(parameter.detach().contiguous())
    assert torch.equal(results[0], results[1])
    torch.testing.assert_close(results[0], results[2], rtol=1e-6, atol=1e-7)


def test_parameters_without_a_gradient_stay() -> None:
    params = parameters()
    before = params[0].detach().clone()
    optimiser = AdamW(params, 0.1)
    give_gradients(params, 1)
    params[0].grad = None
    optimiser.step()
    assert torch.equal(params[0], before)
    assert params[0] not in optimiser.state


@pytest.mark.parametrize(
    "bad",
    [{"lr": -1.0}, {"eps": 0.0}, {"betas": (1.0, 0.9)}, {"weight_decay": -0.1}, {"moments": torch.half}],
)
def test_settings_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"lr|moments"):
        AdamW(parameters(), **bad)


def test_settings_are_the_reports() -> None:
    """Section 4.2; matrices decay, and norm weights, which are vectors, do not."""
    model = Transformer(preset("v3-tiny", 30, 1))
    optimiser = adamw(model, moments=BF16)
    assert isinstance(optimiser, AdamW)
    assert optimiser.moments == BF16
    decays = {p: group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert decays.pop(parameter) == (0.0 if "norm" in name else 0.1), name
    assert not decays
    for group in optimiser.param_groups:
        assert (group["betas"], group["eps"]) == ((0.9, 0.95), 1e-8)
    set_learning_rate(optimiser, 0.125)
    assert [group["lr"] for group in optimiser.param_groups] == [0.125, 0.125]
