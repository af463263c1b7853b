"""BF16 products without BF16 instructions: what hardware computes, and never torch's slow loops."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from corpusmill.pipelines.contract.stage import Context
from corpusmill.training_hooks.model import products
from corpusmill.training_hooks.model.attention import LONGEST, causal_attention
from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.grouped_linear import grouped_linear
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.recompute import recompute
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import Mode, apply, autocast
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer.objective import objective
from tests.oracles.training_shards import Writer, chain_language

BF16 = torch.bfloat16


@pytest.fixture
def how(monkeypatch: pytest.MonkeyPatch) -> Callable[[products.How], None]:
    """Take products in this way from here on, whatever the processor has."""
    return lambda way: monkeypatch.setattr(products, "bf16_products", lambda: way)


def whole(seed: int, *shape: int) -> Tensor:
    """Small whole numbers: BF16 holds them, and FP32 any sum of their products, exactly."""
    return torch.randint(-9, 10, shape, generator=torch.Generator().manual_seed(seed)).float()


def rounded(exact: Tensor) -> Tensor:
    """FP64 -> BF16, to nearest and ties to even, from the definition: 8 significant bits."""
    mantissa, exponent = torch.frexp(exact)
    return torch.ldexp(torch.round(mantissa * 256), exponent - 8).to(BF16)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 70), st.integers(1, 9), st.integers(0, 99))
def test_a_linear_layer_is_rounded_once_forward_and_backward(n: int, k: int, o: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "bf16_products", lambda: "fp32")
        x, weight = whole(seed, 2, n, k).requires_grad_(), whole(seed + 1, o, k).requires_grad_()
        grad = whole(seed + 2, 2, n, o)
        with torch.autocast("cpu", BF16):
            y = products.linear(x, weight)
        y.backward(grad.to(BF16))
    assert y.dtype == BF16
    assert x.grad is not None
    assert weight.grad is not None
    x64, weight64, grad64 = x.detach().double(), weight.detach().double(), grad.double()
    assert torch.equal(y, rounded(x64 @ weight64.T))
    assert torch.equal(x.grad, rounded(grad64 @ weight64).float())
    assert torch.equal(weight.grad, rounded(grad64.flatten(0, 1).T @ x64.flatten(0, 1)).float())


def test_both_ways_agree(how: Callable[[products.How], None]) -> None:
    """Where sums are exact, bit for bit; the gradients too."""

    def run() -> list[Tensor]:
        x, stack = whole(1, 12, 20).requires_grad_(), whole(2, 3, 5, 20).requires_grad_()
        with torch.autocast("cpu", BF16):
            y = grouped_linear(x, stack, [4, 0, 8])
            z = products.linear(y, torch.ones(2, 5))
        z.float().sum().backward()
        assert x.grad is not None
        assert stack.grad is not None
        return [y, z, x.grad, stack.grad]

    how("native")
    native = run()
    how("fp32")
    assert all(torch.equal(a, b) for a, b in zip(native, run(), strict=True))


@pytest.mark.parametrize("length", [40, LONGEST + 1])
def test_attention_is_near_that_in_fp64(length: int, how: Callable[[products.How], None]) -> None:
    how("fp32")
    draws = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 2, length, 8, generator=draws).to(BF16) for _ in range(3))
    exact = functional.scaled_dot_product_attention(
        q.double(), k.double(), v.double(), is_causal=True, scale=0.4
    )
    for context in (torch.autocast("cpu", BF16), torch.autocast("cpu", enabled=False)):
        with context:
            found = causal_attention(q, k, v, 0.4)
        assert found.dtype == BF16
        assert (found.double() - exact).abs().max() < 2**-7 * exact.abs().max()


class _Products(TorchDispatchMode):
    """Notes the matrix products that torch is given in BF16."""

    def __init__(self) -> None:
        super().__init__()
        self.low: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        multiplies = any(part in name for part in ("mm", "matmul", "linear", "attention", "baddbmm"))
        if multiplies and any(isinstance(a, Tensor) and a.dtype == BF16 for a in args):
            self.low.append(name)
        return func(*args, **(kwargs or {}))


def tiny() -> ModelConfig:
    return preset("v3-tiny", 64, 1)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    tokens = torch.randint(3, 60, (2, 42), generator=torch.Generator().manual_seed(0))
    return tokens, torch.ones_like(tokens, dtype=torch.bool)


@pytest.mark.parametrize(("mode", "recomputed"), [("bf16", False), ("bf16", True), ("fp8", False)])
def test_a_step_gives_torch_no_product_in_bf16(
    mode: Mode, recomputed: bool, batch: tuple[Tensor, Tensor], how: Callable[[products.How], None]
) -> None:
    losses = {}
    for way in ("native", "fp32"):
        how(way)  # type: ignore[arg-type]
        model = Transformer(tiny())
        initialise(model, 0, model.config.initial_std)
        apply(model, mode)
        if recomputed:
            recompute(model)
        watch: AbstractContextManager[Any] = _Products()
        with watch as seen:
            with autocast(mode, "cpu"):
                total = objective(model, *batch, 0.3, 1e-4).total
            total.backward()  # type: ignore[no-untyped-call]
        assert bool(seen.low) == (way == "native"), seen.low
        losses[way] = float(total.detach())
        assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())
    assert losses["fp32"] == pytest.approx(losses["native"], abs=2e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_records_how_it_multiplied(precision: str, write: Writer, tmp_path: Path) -> None:
    stage = Train(precision=precision, steps=1, batch_size=2, context=16, threads=1)  # type: ignore[arg-type]
    found = stage.prepare(Context(seed=3)).run(
        {"shards": [write("0.arrow", chain_language(4, 64, 0))]}, tmp_path
    )
    assert found.get("bf16_products") == (products.bf16_products() if precision == "bf16" else None)
