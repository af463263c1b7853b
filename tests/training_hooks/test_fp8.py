"""FP8 products, linear layers and SwiGLU layers against tests/oracles/training_fp8.py and FP64."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.feed_forward import FeedForward
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.moe import Experts
from corpusmill.training_hooks.model.products import Linear
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import apply, autocast
from corpusmill.training_hooks.precision.formats import E5M6
from corpusmill.training_hooks.precision.hopper import hopper_product, why_not_hopper
from corpusmill.training_hooks.precision.linear import (
    AFTER_ATTENTION,
    Cached,
    Fp8,
    Fp8Linear,
    fp8_linear,
)
from corpusmill.training_hooks.precision.product import cut, emulated_product
from corpusmill.training_hooks.precision.quantise import ALONG_COLUMN, ALONG_ROW, BLOCK, quantise
from corpusmill.training_hooks.precision.swiglu import Fp8Experts, Fp8FeedForward, fp8_swiglu
from corpusmill.training_hooks.trainer.objective import objective
from tests.oracles import training_fp8 as oracle

FP8 = Fp8()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def spiky(*shape: int, seed: int = 0) -> Tensor:
    """Tiles of very different size, so that a scale in the wrong place shows."""
    return drawn(*shape, seed=seed) * drawn(*shape, seed=seed + 1).mul(2).exp()


def rounded(x: Tensor, tile: tuple[int, int], *, power_of_two: bool = False) -> Tensor:
    """FP64 values of `x` in E4M3 tiles."""
    return quantise(x, tile, power_of_two=power_of_two).dequantise().double()


def kept_by(run: Callable[[], Tensor]) -> list[Tensor]:
    """What backward of `run()` keeps."""
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        run()
    return kept


def close(got: Tensor, expected: Tensor) -> None:
    """Equal but for sums in FP32: a millionth of the largest number."""
    torch.testing.assert_close(
        got.detach().double(), expected, rtol=0, atol=2e-6 * float(expected.abs().max())
    )


@pytest.mark.parametrize(("m", "n", "k"), [(3, 5, 300), (1, 1, 1), (4, 130, 128), (2, 3, 257)])
@pytest.mark.parametrize("block", [True, False])
def test_product_is_the_sum_written_with_loops(m: int, n: int, k: int, block: bool) -> None:
    a, b = spiky(m, k), spiky(n, k, seed=5)
    tile = BLOCK if block else ALONG_ROW
    grid_a, scale_a = oracle.quantised(a.numpy(), ALONG_ROW, oracle.E4M3)
    grid_b, scale_b = oracle.quantised(b.numpy(), tile, oracle.E4M3)
    expected = torch.from_numpy(oracle.product(grid_a, scale_a, grid_b, scale_b, 128 if block else 1))
    close(emulated_product(quantise(a), quantise(b, tile)), expected)


def test_slices_are_scaled_before_they_are_added() -> None:
    """Against FP32 written out slice by slice, bit for bit, on numbers whose sums are exact in any order."""
    ints = torch.Generator().manual_seed(3)
    a, b = (torch.randint(-8, 9, (6, 384), generator=ints).float() for _ in range(2))
    a[:, ::128] = b[:, ::128] = 448.0  # scale 1
    a[:, 128:256] *= 2.0**-20
    b[:, 256:] *= 2.0**15
    expected = torch.zeros(6, 6)
    for s in range(3):
        k = slice(128 * s, 128 * (s + 1))
        expected += (a[:, k].double() @ b[:, k].double().T).float()
    assert torch.equal(emulated_product(quantise(a), quantise(b)), expected)


def test_operands_that_do_not_fit_are_refused() -> None:
    a, b = drawn(4, 200), drawn(5, 200)
    with pytest.raises(ValueError, match="no operand"):
        emulated_product(quantise(a, ALONG_COLUMN), quantise(b))
    with pytest.raises(ValueError, match="no operand"):
        emulated_product(quantise(a), quantise(b, ALONG_ROW, E5M6))
    with pytest.raises(ValueError, match="share no K"):
        emulated_product(quantise(a), quantise(drawn(5, 199)))


def test_accumulating_in_few_bits() -> None:
    """Within 2^-13 a step of the exact sum for 14 bits, equal at 24 to sums of 32, worse with fewer."""
    a, b = quantise(drawn(16, 1024).abs()), quantise(drawn(16, 1024, seed=1).abs())
    exact = a.dequantise().double() @ b.dequantise().double().T
    errors = {}
    for bits in (24, 14, 8):
        got = emulated_product(a, b, bits).double()
        errors[bits] = float(((exact - got) / exact).max())
    assert errors[24] < 1e-6
    assert 1e-5 < errors[14] < 4 * 2.0**-13
    assert errors[14] < errors[8] < 4 * 2.0**-7
    assert cut(torch.tensor([1.99, -1.99, 0.0, 3 * 2.0**-30]), 1).tolist() == [1.0, -1.0, 0.0, 2.0**-29]
    with pytest.raises(ValueError, match="24"):
        cut(drawn(1), 25)


@pytest.mark.parametrize(("n", "i", "o"), [(200, 130, 140), (1, 16, 5), (130, 128, 256)])
@pytest.mark.parametrize("after_attention", [False, True])
def test_linear_is_its_three_products(n: int, i: int, o: int, after_attention: bool) -> None:
    """Fprop, Dgrad and Wgrad in FP64 on operands quantised as the report says."""
    x, weight, g = spiky(n, i).requires_grad_(), drawn(o, i, seed=3).requires_grad_(), spiky(n, o, seed=7)
    y = fp8_linear(x, weight, FP8, AFTER_ATTENTION if after_attention else Cached())
    torch.autograd.backward([y], [g])
    w = rounded(weight, BLOCK)
    close(y, rounded(x, ALONG_ROW, power_of_two=after_attention) @ w.T)
    assert x.grad is not None
    assert weight.grad is not None
    close(x.grad, rounded(g, ALONG_ROW) @ w)
    kept = quantise(x, ALONG_ROW, E5M6, power_of_two=True) if after_attention else quantise(x, ALONG_ROW)
    columns = [rounded(side, ALONG_COLUMN, power_of_two=after_attention) for side in (g, kept.dequantise())]
    close(weight.grad, columns[0].T @ columns[1])
    assert weight.grad.dtype == torch.float32


def test_linear_keeps_one_byte_a_number() -> None:
    x, weight = drawn(256, 512).requires_grad_(), drawn(128, 512).requires_grad_()
    for cached, each in ((Cached(), 1.0), (AFTER_ATTENTION, 1.5)):
        kept = kept_by(functools.partial(fp8_linear, x, weight, FP8, cached))
        assert sum(t.nbytes for t in kept) == x.numel() * each + 4 * 256 * 4 + weight.numel() + 4 * 4


def test_linear_computes_only_the_gradients_asked_for() -> None:
    x, weight = drawn(8, 16), drawn(4, 16).requires_grad_()
    torch.autograd.backward([fp8_linear(x, weight, FP8).sum()])
    assert x.grad is None
    assert weight.grad is not None
    frozen = drawn(8, 16).requires_grad_()
    torch.autograd.backward([fp8_linear(frozen, weight.detach(), FP8).sum()])
    assert frozen.grad is not None


@pytest.mark.parametrize("low", [False, True])
def test_types_under_autocast(low: bool) -> None:
    layer = Fp8Linear(nn.Linear(32, 8, bias=False), FP8)
    x = drawn(2, 3, 32).to(torch.bfloat16 if low else torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        y = layer(x)
    assert y.dtype == (torch.bfloat16 if low else torch.float32)
    torch.autograd.backward([y.float().sum()])
    assert x.grad is not None
    assert x.grad.dtype == x.dtype
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
    with torch.no_grad():
        exact = functional.linear(x.float(), layer.weight)
    assert float((y.detach().float() - exact).norm() / exact.norm()) < 0.06


def _swiglu(
    x: Tensor, gate_up: Tensor, down: Tensor, counts: list[int], g: Tensor, travels: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output and gradients in FP64, expert by expert, with the roundings written out."""
    outputs, dxs = [], []
    dgate_up, ddown = torch.zeros_like(gate_up).double(), torch.zeros_like(down).double()
    for e, (rows, rows_g) in enumerate(zip(torch.split(x, counts), torch.split(g, counts), strict=True)):
        if not len(rows):
            continue
        up_weights = [rounded(gate_up[e, half], BLOCK) for half in (0, 1)]
        w_down = rounded(down[e], BLOCK)
        kept = rounded(rows, ALONG_ROW, power_of_two=travels)
        gate, up = (kept @ w.T for w in up_weights)
        outputs.append(rounded((functional.silu(gate) * up).float(), ALONG_ROW) @ w_down.T)
        gate, up = (rounded(half.float(), ALONG_ROW).requires_grad_() for half in (gate, up))
        hidden = functional.silu(gate) * up
        dhidden = rounded(rows_g, ALONG_ROW, power_of_two=travels) @ w_down
        torch.autograd.backward([hidden], [dhidden])
        assert gate.grad is not None
        assert up.grad is not None
        ddown[e] = rounded(rows_g, ALONG_COLUMN).T @ rounded(hidden.detach().float(), ALONG_COLUMN)
        halves = [gate.grad.float(), up.grad.float()]
        dxs.append(
            torch.stack([rounded(h, ALONG_ROW) @ w for h, w in zip(halves, up_weights, strict=True)]).sum(0)
        )
        columns = rounded(kept.float(), ALONG_COLUMN, power_of_two=travels)
        for half in (0, 1):
            dgate_up[e, half] = rounded(halves[half], ALONG_COLUMN, power_of_two=travels).T @ columns
    return torch.cat(outputs), torch.cat(dxs), dgate_up, ddown


@pytest.mark.parametrize("travels", [False, True])
def test_swiglu_is_its_products(travels: bool) -> None:
    """No tile mixes experts, an expert may have no rows, gate and up matrices share no block.

    What is quantised in the middle is itself a result: where FP32 and FP64 fall on two sides of a tie one
    number of many moves by a unit, so the mean is tight and the largest error loose.
    """
    counts = [130, 0, 7, 1]
    x, g = drawn(138, 140, seed=1), drawn(138, 140, seed=2)
    gate_up, down = 0.1 * drawn(4, 2, 72, 140, seed=3), 0.1 * drawn(4, 140, 72, seed=4)
    inputs = [t.clone().requires_grad_() for t in (x, gate_up, down)]
    one, two, three = inputs
    y = fp8_swiglu(one, two, three, counts, FP8, travels=travels)
    torch.autograd.backward([y], [g])
    expected = _swiglu(x, gate_up, down, counts, g, travels)
    for got, wanted in zip((y.detach(), *(t.grad for t in inputs)), expected, strict=True):
        assert got is not None
        error = (got.double() - wanted).abs() / wanted.abs().max()
        assert float(error.mean()) < 1e-5
        assert float(error.max()) < 5e-3
    assert inputs[1].grad is not None
    assert not inputs[1].grad[1].any()
    with pytest.raises(ValueError, match="counts"):
        fp8_swiglu(one, two, three, [1, 2, 3, 4], FP8)


def test_swiglu_keeps_inputs_in_one_byte_and_no_output() -> None:
    x = drawn(256, 128).requires_grad_()
    gate_up, down = drawn(1, 2, 384, 128).requires_grad_(), drawn(1, 128, 384).requires_grad_()
    kept = kept_by(lambda: fp8_swiglu(x, gate_up, down, [256], FP8))
    activations = 256 * (128 + 2 * 384) + 4 * 256 * (1 + 2 * 3)
    weights = 3 * 384 * 128 + 4 * 9
    assert sum(t.nbytes for t in kept) == activations + weights


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), i=st.integers(1, 200), o=st.integers(1, 30))
def test_linear_error_is_that_of_its_roundings(seed: int, n: int, i: int, o: int) -> None:
    """|y - exact| <= sum over k of |x| |w| (2^-4 + 2^-4 + 2^-8), plus what underflows in its tile."""
    x, weight = drawn(n, i, seed=seed), drawn(o, i, seed=seed + 1)
    y = fp8_linear(x, weight, FP8).double()
    exact = x.double() @ weight.double().T
    terms = x.abs().double() @ weight.abs().double().T
    small = i * 2.0**-10 / 448 * float(x.abs().max()) * float(weight.abs().max()) * 3
    assert ((y - exact).abs() <= terms * (2**-3 + 2**-8) + small).all()


def test_modules_stand_in_for_plain_ones() -> None:
    plain = FeedForward(48, 40)
    experts = Experts(3, 48, 40)
    for module in (plain, experts):
        initialise(module, 1, 0.2)
    x = drawn(10, 48)
    one = Fp8FeedForward(plain, FP8)
    assert one.state_dict().keys() == plain.state_dict().keys()
    assert all(p is q for p, q in zip(one.parameters(), plain.parameters(), strict=True))
    x.requires_grad_(False)
    for module in (plain, experts):
        module.requires_grad_(False)
    exact = plain(x)
    assert 0 < float((one(x) - exact).norm() / exact.norm()) < 0.15
    many = Fp8Experts(experts, FP8)
    assert all(p is q for p, q in zip(many.parameters(), experts.parameters(), strict=True))
    exact = experts(x, [4, 0, 6])
    assert 0 < float((many(x, [4, 0, 6]) - exact).norm() / exact.norm()) < 0.15
    with pytest.raises(ValueError, match="bias"):
        Fp8Linear(nn.Linear(4, 4), FP8)


def test_routed_experts_take_what_has_travelled_and_others_do_not() -> None:
    """Power-of-two scales of their input and of the gradient that comes back, to the bit."""
    experts, dense = Experts(2, 48, 40), FeedForward(48, 40)
    for module in (experts, dense):
        initialise(module, 1, 0.2)
    x, g = spiky(9, 48), spiky(9, 48, seed=3)

    def results(run: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        leaf = x.clone().requires_grad_()
        y = run(leaf)
        return y.detach(), torch.autograd.grad(y, leaf, g)[0]

    halves = torch.unflatten(experts.gate_up_proj, 1, (2, -1))
    joined = torch.stack((dense.gate_proj.weight, dense.up_proj.weight))[None]
    many, one = Fp8Experts(experts, FP8), Fp8FeedForward(dense, FP8)
    kinds = [
        (lambda t: many(t, [4, 5]), halves, experts.down_proj, [4, 5], True),
        (one, joined, dense.down_proj.weight[None], [9], False),
    ]
    for run, gate_up, down, counts, travels in kinds:
        found = results(run)
        for choice in (True, False):
            expected = results(
                functools.partial(
                    fp8_swiglu, gate_up_E2FD=gate_up, down_EDF=down, counts=counts, fp8=FP8, travels=choice
                )
            )
            equal = [torch.equal(a, b) for a, b in zip(found, expected, strict=True)]
            assert equal == [choice == travels] * 2


def small_model() -> Transformer:
    model = Transformer(preset("v3-tiny", 60, 1))
    initialise(model, 1, model.config.initial_std)
    return model


def test_apply_replaces_what_the_report_says_and_nothing_else() -> None:
    model = small_model()
    before, names = dict(model.named_parameters()), list(model.state_dict())
    replaced = apply(model, "fp8")
    after = dict(model.named_parameters())
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    assert list(model.state_dict()) == names
    attention = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
    expected = {f"layers.{n}.self_attn.{name}" for n in range(3) for name in attention}
    expected |= {f"mtp.0.block.self_attn.{name}" for name in attention}
    expected |= {"mtp.0.eh_proj", "layers.0.mlp"}
    mixtures = ("layers.1.mlp", "layers.2.mlp", "mtp.0.block.mlp")
    expected |= {f"{mixture}.{part}" for mixture in mixtures for part in ("experts", "shared_experts")}
    assert set(replaced) == expected
    assert type(model.lm_head) is Linear
    for name, module in model.named_modules():
        if isinstance(module, Fp8Linear):
            assert (module.cached == AFTER_ATTENTION) == name.endswith("o_proj")
    with pytest.raises(ValueError, match="already"):
        apply(model, "fp8")
    assert apply(small_model(), "bf16") == apply(small_model(), "fp32") == []
    with pytest.raises(ValueError, match="fp32, bf16, fp8"):
        apply(small_model(), "fp4")  # type: ignore[arg-type]


def test_tensor_cores_are_never_replaced_silently() -> None:
    assert why_not_hopper(torch.device("cpu")) is not None
    with pytest.raises(UserError, match="emulated engine"):
        apply(small_model(), "fp8", engine="hopper")


def test_every_parameter_learns_in_fp8_and_the_step_repeats() -> None:
    tokens = torch.randint(3, 60, (2, 34), generator=torch.Generator().manual_seed(0))
    results = []
    for mode in ("fp32", "fp8", "fp8"):
        model = small_model()
        apply(model, mode)
        with autocast(mode, "cpu"):
            losses = objective(model, tokens, tokens != 2, 0.3, 1e-2)
        torch.autograd.backward([losses.total])
        grads = {name: p.grad for name, p in model.named_parameters()}
        assert [name for name, g in grads.items() if g is None or not g.abs().sum() > 0] == []
        results.append((float(losses.total.detach()), copy.copy(grads)))
    exact, one, other = results
    assert one[0] == other[0]
    assert one[0] == pytest.approx(exact[0], rel=5e-3)
    for name, grad in one[1].items():
        again, plain = other[1][name], exact[1][name]
        assert grad is not None
        assert again is not None
        assert plain is not None
        assert torch.equal(grad, again)
        # A few of the 66 tokens go to another expert, which router and experts feel most.
        bound = 0.7 if ".mlp." in name else 0.9
        assert float(functional.cosine_similarity(grad.flatten(), plain.flatten(), dim=0)) > bound, name


def test_bf16_keeps_weights_gradients_and_router_in_fp32() -> None:
    model = small_model()
    tokens = torch.randint(3, 60, (2, 34), generator=torch.Generator().manual_seed(0))
    with autocast("bf16", "cpu"):
        losses = objective(model, tokens, tokens != 2, 0.3, 1e-2)
    torch.autograd.backward([losses.total])
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


@pytest.mark.skipif(
    not torch.cuda.is_available() or why_not_hopper(torch.device("cuda")) is not None,
    reason="needs a Hopper GPU and torch built with CUDA 12.9 or later",
)
@pytest.mark.parametrize(("m", "n", "k"), [(256, 384, 512), (33, 200, 300), (1, 1, 1)])
@pytest.mark.parametrize("tiles", [(ALONG_ROW, BLOCK), (ALONG_ROW, ALONG_ROW), (BLOCK, ALONG_ROW)])
def test_tensor_cores_agree_with_the_emulation(
    m: int, n: int, k: int, tiles: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    a, b = quantise(spiky(m, k).cuda(), tiles[0]), quantise(spiky(n, k, seed=4).cuda(), tiles[1])
    got, expected = hopper_product(a, b), emulated_product(a, b)
    error = (got - expected).norm() / expected.norm()
    assert float(error) < 2.0**-10
    assert np.isfinite(float(error))
