"""Recomputing norms and up-projections: the same bits, less memory, nothing counted twice."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from corpusmill.training_hooks.model import recompute as module
from corpusmill.training_hooks.model.attention import causal_attention
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.recompute import Recomputation, recompute, saved_bytes
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import Mode, apply, autocast
from corpusmill.training_hooks.trainer.objective import Objective, objective

TOKENS = torch.randint(3, 60, (2, 66), generator=torch.Generator().manual_seed(0))


def model_of(mode: Mode, **changed: Any) -> Transformer:
    config = dataclasses.replace(preset("v3-tiny", 60, 1), num_hidden_layers=2, **changed)
    model = Transformer(config)
    initialise(model, 1, config.initial_std)
    apply(model, mode)
    return model


def losses_of(model: Transformer, mode: Mode) -> Objective:
    with autocast(mode, "cpu"):
        return objective(model, TOKENS, TOKENS != 2, 0.3, 1e-2)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("mode", ["fp32", "bf16", "fp8"])
@pytest.mark.parametrize("value_width", [32, 48, 64])
def test_losses_loads_and_gradients_are_bit_equal(mode: Mode, value_width: int) -> None:
    """Values narrower than, as wide as and wider than keys; twice, for what a first step may leave behind."""
    plain, other = (model_of(mode, v_head_dim=value_width) for _ in range(2))
    recompute(other)
    for _ in range(2):
        one, two = losses_of(plain, mode), losses_of(other, mode)
        assert torch.equal(one.total, two.total)
        assert [load.tolist() for load in one.loads] == [load.tolist() for load in two.loads]
        for losses in (one, two):
            torch.autograd.backward([losses.total])
        wanted, got = gradients(plain), gradients(other)
        assert len(got) == len(wanted) == len(list(plain.parameters()))
        assert [name for name in wanted if not torch.equal(wanted[name], got[name])] == []


@pytest.mark.parametrize("mode", ["fp32", "bf16", "fp8"])
def test_memory_is_saved(mode: Mode) -> None:
    def kept(model: Transformer, recomputation: Recomputation | None) -> int:
        def forward() -> object:
            with autocast(mode, "cpu"):
                return model(TOKENS, TOKENS != 2)

        return saved_bytes(model, forward, recomputation)

    model = model_of(mode)
    before = kept(model, None)
    after = kept(model, recompute(model))
    # At least queries, keys and values of 64 positions, 2 sequences, 4 heads of 48, in 3 layers.
    heads = 3 * 3 * 2 * 64 * 4 * 48 * (4 if mode == "fp32" else 2)
    # BF16 and FP8 put the norms' FP32 output before the router away too.
    assert before - after > heads
    assert after < 0.75 * before


def test_nothing_else_runs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls in forward and backward together: norms and up-projections twice, everything else once."""
    model = model_of("fp32")
    recompute(model)
    calls: dict[str, int] = {}

    def count(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            calls[name] = calls.get(name, 0) + 1

        return hook

    for name, part in model.named_modules():
        if isinstance(part, nn.Linear) or name.endswith((".gate", ".experts")):
            part.register_forward_hook(count(name))
    real, attentions = causal_attention, []

    def attend(*args: Any) -> Tensor:
        attentions.append(1)
        return real(*args)

    monkeypatch.setattr("corpusmill.training_hooks.model.mla.causal_attention", attend)
    torch.autograd.backward([losses_of(model, "fp32").total])
    twice = {name for name, number in calls.items() if number == 2}
    assert set(calls.values()) == {1, 2}
    assert twice == {name for name in calls if name.endswith(("q_b_proj", "kv_b_proj"))}
    assert len(attentions) == 3


def test_backward_within_autocast_finds_every_weight() -> None:
    """There autocast may still hold casts of the first run, which had no graph: not to be used again."""
    plain, other = model_of("bf16"), model_of("bf16")
    recompute(other)
    for model in (plain, other):
        with autocast("bf16", "cpu"):
            losses = objective(model, TOKENS, TOKENS != 2, 0.3, 1e-2)
            torch.autograd.backward([losses.total])
    wanted, got = gradients(plain), gradients(other)
    assert wanted.keys() == got.keys()
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)


def test_names_and_parameters_stay() -> None:
    model = model_of("fp32")
    before, keys = dict(model.named_parameters()), list(model.state_dict())
    recompute(model)
    after = dict(model.named_parameters())
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    assert list(model.state_dict()) == keys
    with pytest.raises(ValueError, match="already"):
        recompute(model)


def test_precision_may_be_applied_after() -> None:
    one, other = model_of("fp8"), model_of("fp32")
    recompute(other)
    apply(other, "fp8")
    for model in (one, other):
        torch.autograd.backward([losses_of(model, "fp8").total])
    wanted, got = gradients(one), gradients(other)
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)


def test_without_gradients_it_is_the_plain_model() -> None:
    plain, other = model_of("fp32"), model_of("fp32")
    recompute(other)
    with torch.no_grad():
        assert torch.equal(plain.logits(TOKENS), other.logits(TOKENS))
        assert torch.equal(losses_of(plain, "fp32").total, losses_of(other, "fp32").total)
    assert torch.equal(plain.logits(TOKENS).detach(), other.logits(TOKENS).detach())


def test_frozen_weights_get_no_gradient() -> None:
    plain, other = model_of("fp32"), model_of("fp32")
    recompute(other)
    for model in (plain, other):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("q_" not in name and "norm" not in name)
        torch.autograd.backward([losses_of(model, "fp32").total])
    wanted, got = gradients(plain), gradients(other)
    assert wanted.keys() == got.keys()
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)


def test_an_error_in_the_model_leaves_no_hooks_behind() -> None:
    model = model_of("fp32")
    recomputation = recompute(model)
    with pytest.raises(IndexError):
        model(TOKENS + 1000, TOKENS != 2)
    assert recomputation.hooks is None
    torch.autograd.backward([losses_of(model, "fp32").total])
    assert not recomputation.made


class Doubling(nn.Module):
    """A part whose segment doubles its input; `between` runs before the layer that keeps the output."""

    def __init__(self, recomputation: Recomputation, between: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.recomputation, self.between = recomputation, between

    def forward(self, x: Tensor) -> Tensor:
        doubled = self.recomputation.segment(lambda y: (y * 2,), [x], [])[0]
        other = self.between(doubled)
        return other.sin() if isinstance(other, Tensor) else doubled.sin()


def _run(between: Callable[[Tensor], Any]) -> tuple[Tensor, Tensor]:
    recomputation = Recomputation()
    part = Doubling(recomputation, between)
    x = torch.linspace(-1, 1, 24).view(4, 6).requires_grad_()
    recomputation.enter()
    try:
        y = part(x)
    finally:
        recomputation.leave()
    return x, y


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t,
        lambda t: t[1:, 2:4],
        lambda t: t.t(),
        lambda t: t.flatten()[3:],
        lambda t: t[2].view(3, 2),
    ],
)
def test_views_of_an_output_are_found(view: Callable[[Tensor], Tensor]) -> None:
    x, y = _run(view)
    torch.autograd.backward([y.sum()])
    plain = x.detach().clone().requires_grad_()
    torch.autograd.backward([view(plain * 2).sin().sum()])
    assert x.grad is not None
    assert plain.grad is not None
    assert torch.equal(x.grad, plain.grad)


def test_an_output_changed_in_place_is_kept_as_it_is() -> None:
    """The note would bring back what it was before: such a tensor is kept like any other."""
    x, y = _run(lambda t: t.add_(1.0))
    torch.autograd.backward([y.sum()])
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * (2 * x.detach() + 1).cos())


def test_an_address_used_again_is_not_mistaken() -> None:
    """An output dies and its memory serves another tensor: that one must not be taken for the output."""
    recomputation = Recomputation()
    x = torch.randn(64, 64, requires_grad=True)
    recomputation.enter()
    try:
        (output,) = recomputation.segment(lambda y: (y * 2,), [x], [])
        address, made = output.untyped_storage().data_ptr(), next(iter(recomputation.made.values()))
        assert recomputation.find(output) is made
        gone = weakref.ref(output)
        del output
        gc.collect()
        assert gone() is None
        stranger = torch.zeros(64, 64)
        recomputation.made[stranger.untyped_storage().data_ptr()] = made
        assert address
        assert recomputation.find(stranger) is None
        assert recomputation.pack(stranger) is stranger
    finally:
        recomputation.leave()


def test_an_input_changed_before_backward_is_an_error() -> None:
    recomputation = Recomputation()
    leaf = torch.ones(3, requires_grad=True)
    x = leaf * 1
    recomputation.enter()
    try:
        y = recomputation.segment(lambda t: (t * 2,), [x], [])[0].sin()
    finally:
        recomputation.leave()
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        torch.autograd.backward([y.sum()])


def test_a_second_backward_is_an_error() -> None:
    _, y = _run(lambda t: t)
    torch.autograd.backward([y.sum()], retain_graph=True)
    with pytest.raises(RuntimeError, match="run forward again"):
        torch.autograd.backward([y.sum()])


def test_inputs_are_let_go_after_backward() -> None:
    """Also while somebody still holds the loss."""
    segments: list[Any] = []
    recomputation = Recomputation()
    leaf = torch.ones(3, requires_grad=True)
    recomputation.enter()
    y = recomputation.segment(lambda t: (t * 2,), [leaf], [])[0].sin()
    segments += [made.segment for made in recomputation.made.values()]
    recomputation.leave()
    torch.autograd.backward([y.sum()])
    assert [(s.kept, s.second) for s in segments] == [(None, None)]
    assert isinstance(segments[0], module._Segment)
