"""Weight gradients that wait: the same bits as at once, the same products, and none of them before `run`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.grouped_linear import grouped_linear
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.products import linear
from corpusmill.training_hooks.model.recompute import recompute
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.model.weight_gradients import WeightGradients, in_force, put_off
from corpusmill.training_hooks.precision.apply import Mode, apply, autocast
from corpusmill.training_hooks.trainer.objective import objective

TOKENS = torch.randint(3, 60, (4, 34), generator=torch.Generator().manual_seed(0))
# Of matrices, these gradients do not wait: a sum of rows, a product in the head's forward, the FP32 router.
AT_ONCE = ("embed_tokens", "lm_head", ".gate.")


class Multiplications(TorchDispatchMode):
    """Counts the multiplications of matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if name in ("mm", "bmm", "addmm", "addmm_"):
            first, second = args[-2:]
            self.count += math.prod(first.shape) * second.shape[-1]
        else:
            assert not name.startswith(("matmul", "linear", "baddbmm")), name
        return func(*args, **(kwargs or {}))


@contextmanager
def multiplied(counts: list[int]) -> Iterator[None]:
    with Multiplications() as mode:
        yield
    counts.append(mode.count)


def model_of(mode: Mode, recomputes: bool) -> Transformer:
    config = dataclasses.replace(preset("v3-tiny", 60, 2), num_hidden_layers=2, first_k_dense_replace=1)
    model = Transformer(config)
    initialise(model, 1, config.initial_std)
    apply(model, mode)
    if recomputes:
        recompute(model)
    return model


def backward(model: Transformer, mode: Mode, rows: slice, later: WeightGradients | None) -> list[int]:
    """Multiplications of forward and backward of some rows, whose gradients are added to the model's."""
    counts: list[int] = []
    with autocast(mode, "cpu"), put_off(later), multiplied(counts):
        total = objective(model, TOKENS[rows], TOKENS[rows] != 2, 0.3, 1e-2).total
    with multiplied(counts):
        total.backward()  # type: ignore[no-untyped-call]
    return counts


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("recomputes", [False, True])
@pytest.mark.parametrize("mode", ["fp32", "bf16", "fp8"])
def test_later_is_the_same_bits_and_the_same_products(mode: Mode, recomputes: bool) -> None:
    """Two chunks, both backward passes before the first one's weights."""
    plain, other = model_of(mode, recomputes), model_of(mode, recomputes)
    rows = [slice(0, 2), slice(2, 4)]
    wanted = [backward(plain, mode, of_chunk, None) for of_chunk in rows]
    lists = [WeightGradients() for _ in rows]
    found = [backward(other, mode, *pair) for pair in zip(rows, lists, strict=True)]

    waiting = {n for n, p in other.named_parameters() if p.ndim > 1 and not any(k in n for k in AT_ONCE)}
    assert {n for n, p in other.named_parameters() if p.grad is None} == waiting
    assert len(lists[0]) == len(lists[1]) > 30
    for one, of_chunk, later in zip(wanted, found, lists, strict=True):
        with multiplied(of_chunk):
            later.run()
        assert not len(later)
        assert of_chunk[0] == one[0]
        assert of_chunk[1] + of_chunk[2] == one[1]
        assert of_chunk[2] > of_chunk[0] / 4
    one, two = gradients(plain), gradients(other)
    assert one.keys() == two.keys() == dict(plain.named_parameters()).keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_a_list_that_does_not_wait_computes_at_once() -> None:
    plain, other = model_of("fp32", False), model_of("fp32", False)
    later = WeightGradients()
    later.waiting = False
    assert backward(plain, "fp32", slice(0, 2), None) == backward(other, "fp32", slice(0, 2), later)
    assert len(later) == 0
    wanted, found = gradients(plain), gradients(other)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_parts_of_one_weight_are_added_up_before_they_join_its_gradient() -> None:
    """As backward does: (a + b) + gradient, and not (gradient + a) + b, which here is 0."""
    weight = nn.Parameter(torch.ones(1, 1))
    weight.grad = torch.full((1, 1), 2.0**24)
    later = WeightGradients()
    with put_off(later):
        total = linear(torch.ones(1, 1), weight) + linear(torch.ones(1, 1), weight)
    total.backward()  # type: ignore[no-untyped-call]
    later.run()
    assert weight.grad.item() == 2.0**24 + 2


def test_gradients_reach_parameters_through_what_weights_were_made_of() -> None:
    weight = nn.Parameter(torch.arange(6.0, dtype=torch.float64).view(2, 3))
    frozen = torch.ones(3, 3)
    x = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    later = WeightGradients()
    with put_off(later):
        y = grouped_linear(linear(x, frozen), torch.stack((weight, weight)).float(), [1, 0])
        (y * torch.tensor([1.0, 10.0])).sum().backward()
    assert weight.grad is None
    assert x.grad is not None
    assert len(later) == 1
    later.run()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[6.0] * 3, [60.0] * 3]


def test_it_is_in_force_inside_alone() -> None:
    outer, inner = WeightGradients(), WeightGradients()
    with put_off(outer):
        with put_off(inner):
            assert in_force() is inner
        with pytest.raises(ValueError), put_off(inner):
            raise ValueError
        assert in_force() is outer
        with put_off(None):
            assert in_force() is None
    assert in_force() is None
