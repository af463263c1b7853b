"""The processor's fast paths against the plain operations, and against themselves again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from corpusmill.training_hooks.kernels import expert_sums
from corpusmill.training_hooks.model import attention, cross_entropy
from corpusmill.training_hooks.model.attention import causal_attention
from corpusmill.training_hooks.model.cross_entropy import head_cross_entropy
from corpusmill.training_hooks.model.dispatch import combine, dispatch, slot_order
from corpusmill.training_hooks.model.rms_norm import RMSNorm
from corpusmill.training_hooks.model.rope import rope_frequencies, rotate, rotation_table
from tests.oracles import training_kernels as oracle

BF16, FP32 = torch.bfloat16, torch.float32


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found.detach().double() - expected.detach().double()).norm() / expected.detach().norm())


@settings(max_examples=60)
@given(
    st.integers(0, 9), st.integers(1, 5), st.sampled_from([1, 3, 16, 37]), st.booleans(), st.integers(0, 99)
)
def test_sums_over_experts(tokens: int, k: int, width: int, low: bool, seed: int) -> None:
    """Forward and backward of dispatch and combine, by the compiled loops."""
    experts = torch.rand(tokens, 6, generator=torch.Generator().manual_seed(seed)).topk(k).indices
    order = slot_order(experts, 6)
    place = order.slot_to_sorted.view(tokens, k)
    rows = drawn(tokens * k, width, seed=seed).to(BF16 if low else FP32).requires_grad_()
    gates, grad = drawn(tokens, k, seed=seed + 1).requires_grad_(), drawn(tokens, width, seed=seed + 2)

    sums = combine(rows, gates, order)
    assert sums.dtype == FP32
    expected_sums = oracle.weighted_sum(rows.detach(), place, gates.detach())
    torch.testing.assert_close(sums.double(), expected_sums, atol=1e-5, rtol=1e-5)
    drows, dgates = torch.autograd.grad(sums, (rows, gates), grad)
    expected_rows, expected_gates = oracle.weighted_sum_gradient(grad, rows.detach(), place, gates.detach())
    assert torch.equal(drows, expected_rows.float().to(drows.dtype))
    torch.testing.assert_close(dgates.double(), expected_gates, atol=1e-4, rtol=1e-5)

    x = drawn(tokens, width, seed=seed + 3).requires_grad_()
    sent = dispatch(x, order, rows.dtype)
    assert torch.equal(sent, x.detach().to(rows.dtype)[order.sorted_to_slot // k])
    (dx,) = torch.autograd.grad(sent, x, rows.detach())
    expected = oracle.weighted_sum(rows.detach(), place, torch.ones(tokens, k))
    torch.testing.assert_close(dx.double(), expected, atol=1e-5, rtol=1e-5)


def test_sums_in_ranges_of_tokens_are_the_same() -> None:
    rows, weight = drawn(60, 19).numpy(), drawn(20, 3, seed=1).numpy()
    place = torch.randperm(60, generator=torch.Generator().manual_seed(2)).view(20, 3).numpy()
    whole, parts = np.empty((20, 19), np.float32), np.empty((20, 19), np.float32)
    expert_sums.weighted_sum(rows, place, weight, whole, 0, 20)
    for start, stop in ((7, 20), (0, 3), (3, 7)):
        expert_sums.weighted_sum(rows, place, weight, parts, start, stop)
    assert np.array_equal(whole, parts)


def test_rounding_to_bf16_is_torchs() -> None:
    """Over every exponent, ties, infinities and NaN: one token, weight 1, its row's gradient."""
    bits = (torch.arange(2**16, dtype=torch.int32) << 16)[None] | torch.tensor([0, 0x7FFF, 0x8000, 0x8001])[
        :, None
    ]
    values = bits.flatten().view(torch.float32)[None]
    rows = torch.zeros(1, values.shape[1], dtype=BF16, requires_grad=True)
    order = slot_order(torch.zeros(1, 1, dtype=torch.int64), 1)
    (found,) = torch.autograd.grad(combine(rows, torch.ones(1, 1), order), rows, values)
    expected = values.to(BF16)
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found.nan_to_num().view(torch.int16), expected.nan_to_num().view(torch.int16))


@pytest.mark.parametrize("length", [1, 63, 64, 65, 150])
def test_attention_and_its_gradients(length: int) -> None:
    q, k = (drawn(2, 3, length, 12, seed=s).double().requires_grad_() for s in (1, 2))
    v = drawn(2, length, 3, 10, seed=3).double().transpose(1, 2)[..., :7].requires_grad_()
    grad = drawn(2, 3, length, 7, seed=4).double()
    found, expected = causal_attention(q, k, v, 0.4), oracle.causal_attention(q, k, v, 0.4)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, (q, k, v), grad)
    for one, other in zip(torch.autograd.grad(found, (q, k, v), grad), wanted, strict=True):
        torch.testing.assert_close(one, other)
    for dtype, bound in ((FP32, 2e-6), (BF16, 8e-3)):
        low = [t.detach().to(dtype).requires_grad_() for t in (q, k, v)]
        o = causal_attention(low[0], low[1], low[2], 0.4)
        assert o.dtype == dtype
        assert relative(o, expected) < bound
        for one, other in zip(torch.autograd.grad(o, low, grad.to(dtype)), wanted, strict=True):
            # a single position has no choice: its true gradients of q and k are zero
            assert relative(one, other) < bound if float(other.norm()) > 1e-9 else float(one.norm()) < 1e-6


def test_attention_in_bf16_keeps_scores_in_fp32() -> None:
    """Scores near 200 that differ by 0.25 weigh 0.56 to 0.44; in BF16 they would be one number."""
    q = torch.tensor([16.0, 1.0], dtype=BF16).expand(1, 1, 2, 2)
    k = torch.tensor([[[[12.5, 0.0], [12.5, 0.25]]]], dtype=BF16)
    v = torch.tensor([[[[0.0], [1.0]]]], dtype=BF16)
    found = float(causal_attention(q, k, v, 1.0)[0, 0, 1, 0])
    assert found == pytest.approx(1 / (1 + math.exp(-0.25)), rel=1e-2)


def test_long_sequences_take_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = drawn(1, 2, 40, 8), drawn(1, 2, 40, 8, seed=1), drawn(1, 2, 40, 5, seed=2)
    blocked = causal_attention(q, k, v, 0.3)
    monkeypatch.setattr(attention, "LONGEST", 39)
    fused = causal_attention(q, k, v, 0.3)
    assert fused.shape == blocked.shape
    torch.testing.assert_close(fused, blocked, atol=1e-6, rtol=1e-5)


def test_attention_repeats_to_the_bit() -> None:
    torch.set_num_threads(2)
    results = []
    for _ in range(3):
        tensors = [drawn(2, 4, 130, 24, seed=s).to(BF16).requires_grad_() for s in range(3)]
        o = causal_attention(tensors[0], tensors[1], tensors[2], 0.2)
        results.append((o, *torch.autograd.grad(o.float().square().sum(), tensors)))
    assert all(torch.equal(a, b) for again in results[1:] for a, b in zip(again, results[0], strict=True))


@pytest.mark.parametrize("start", [0, 1, 2])
@pytest.mark.parametrize("row", [8, 9])
@pytest.mark.parametrize("step", [1, 2])
def test_rotation_of_any_layout(start: int, row: int, step: int) -> None:
    """Pairs at odd places of the memory, rows an odd number apart, elements apart."""
    memory = drawn(5, row * step).double().requires_grad_()
    x, grad = memory[:, ::step][:, start : start + 6], drawn(5, 6, seed=1).double()
    cos, sin = rotation_table(rope_frequencies(6, 10.0), torch.arange(5))
    even, odd = x[:, ::2], x[:, 1::2]
    plain = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(1)
    found = rotate(x, cos, sin)
    torch.testing.assert_close(found.double(), plain, atol=1e-6, rtol=1e-6)
    one, other = (torch.autograd.grad(y.double(), memory, grad)[0] for y in (found, plain))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
    low = memory.detach().float()[:, ::step][:, start : start + 6]
    torch.testing.assert_close(rotate(low, cos, sin), plain.detach().float(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 4, 6)])
def test_rms_norm_and_its_gradients(shape: tuple[int, ...]) -> None:
    norm = RMSNorm(6, 1e-3)
    weight, x, grad = drawn(6, seed=1), drawn(*shape).requires_grad_(), drawn(*shape, seed=2)
    with torch.no_grad():
        norm.weight.copy_(weight)
    plain_x, plain_weight = x.detach().double().requires_grad_(), weight.double().requires_grad_()
    found, expected = norm(x), oracle.rms_norm(plain_x, plain_weight, 1e-3)
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-6)
    wanted = torch.autograd.grad(expected, (plain_x, plain_weight), grad.double())
    for one, other in zip(torch.autograd.grad(found, (x, norm.weight), grad), wanted, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [FP32, BF16])
def test_head_cross_entropy_over_blocks(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that fill no block, several blocks a product, logits of hundreds."""
    monkeypatch.setattr(cross_entropy, "BLOCK_NUMBERS", 64)
    x, head = drawn(600, 8).mul_(9).requires_grad_(), drawn(13, 8, seed=1).mul_(9).requires_grad_()
    target, weight = torch.arange(600) % 13, drawn(600, seed=2).abs()
    with torch.autocast("cpu", BF16, enabled=dtype == BF16):
        total, each = head_cross_entropy(x, head, target, weight)
    wide = [t.detach().double().requires_grad_() for t in (x, head)]
    plain = torch.nn.functional.cross_entropy(wide[0] @ wide[1].T, target, reduction="none")
    bound = 2e-6 if dtype == FP32 else 1e-2
    assert relative(each, plain) < bound
    found = torch.autograd.grad(total, (x, head))
    wanted = torch.autograd.grad((plain * weight.double()).sum(), wide)
    for one, other in zip(found, wanted, strict=True):
        assert relative(one, other) < (2e-6 if dtype == FP32 else 5e-2)
