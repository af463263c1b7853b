"""Sizes and values at the edges: odd widths, one token, equal affinities, one expert for all, none at all."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from corpusmill.training_hooks.model.attention import causal_attention
from corpusmill.training_hooks.model.balance import sequence_balance_loss
from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.dispatch import dispatch, slot_order
from corpusmill.training_hooks.model.gate import Gate
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.precision.apply import MODES, Mode, apply, autocast
from corpusmill.training_hooks.precision.formats import E5M6
from corpusmill.training_hooks.precision.hopper import hopper_product
from corpusmill.training_hooks.precision.linear import AFTER_ATTENTION, Cached, Fp8, fp8_linear
from corpusmill.training_hooks.precision.quantise import ALONG_ROW, BLOCK, quantise
from corpusmill.training_hooks.trainer.objective import Objective, objective


def model_of(mode: Mode, vocabulary: int = 61) -> Transformer:
    config = dataclasses.replace(
        preset("v3-mini", vocabulary, 1), num_hidden_layers=2, hidden_size=40, n_routed_experts=8
    )
    model = Transformer(config)
    initialise(model, 1, 0.1)
    apply(model, mode)
    return model


def trained_on(model: Transformer, mode: Mode, tokens: Tensor) -> Objective:
    """Losses, after their gradients were taken and found finite."""
    with autocast(mode, "cpu"):
        losses = objective(model, tokens, tokens >= 0, 0.3, 1e-2)
    torch.autograd.backward([losses.total])
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    return losses


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("rows", "length", "vocabulary"), [(1, 1, 1), (1, 129, 127), (3, 7, 300), (1, 513, 5)]
)
def test_any_size_trains(mode: Mode, rows: int, length: int, vocabulary: int) -> None:
    """One row, one token, one word; sizes that are multiples of nothing; longer than blocked attention."""
    tokens = torch.arange(rows * (length + 2)).view(rows, -1) % vocabulary
    losses = trained_on(model_of(mode, vocabulary), mode, tokens)
    assert float(losses.loss) == pytest.approx(math.log(vocabulary), abs=0.5)
    assert [int(load.sum()) for load in losses.loads] == [rows * length * 4] * 2


@pytest.mark.parametrize("mode", MODES)
def test_equal_affinities_and_experts_without_tokens(mode: Mode) -> None:
    """Zero centroids: every affinity is one half and every gate scale / K, whoever is chosen. Biases
    that send all tokens to four experts leave the other four with zero gradients, not with none."""
    tokens = torch.arange(2 * 131).view(2, 131) % 61
    model = model_of(mode)
    for gate in model.gates():
        torch.nn.init.zeros_(gate.weight)
        assert gate(torch.randn(3, 40))[1].tolist() == [[gate.scale / 4] * 4] * 3
    for gate in model.gates():
        gate.e_score_correction_bias[:4] = 100.0
    losses = trained_on(model, mode, tokens)
    assert [load.tolist() for load in losses.loads] == [[2 * 129] * 4 + [0] * 4] * 2
    assert float(losses.balance) == pytest.approx(2.0)  # no affinity prefers anyone
    for layer in (model.layers[1], model.mtp[0].block):
        gradient = layer.mlp.experts.down_proj.grad  # type: ignore[union-attr]
        assert gradient[:4].abs().amax((1, 2)).min() > 0
        assert not gradient[4:].any()


def gate_of(weight: float) -> Gate:
    gate = Gate(model_of("fp32").config)
    torch.nn.init.constant_(gate.weight, weight)
    return gate


def test_affinities_that_underflow_give_no_nan() -> None:
    """sigmoid(-160) is zero in FP32: no expert counts, and no gradient is made of 0 / 0."""
    x = torch.full((2, 40), 4.0, requires_grad=True)
    gate = gate_of(-1.0)
    _, gates, affinities = gate(x)
    assert not affinities.any()
    assert gates.tolist() == [[0.0] * 4] * 2
    loss = sequence_balance_loss(affinities[None], torch.ones(1, 2, dtype=torch.bool), 4)
    assert float(loss.detach()) == 0.0
    torch.autograd.backward([gates.sum() + loss])
    assert x.grad is not None
    assert not x.grad.any()
    # and what keeps the quotient whole changes no gate that is not tiny
    _, gates, affinities = gate_of(-0.1)(x)
    chosen = affinities[:, :4]
    assert torch.equal(gates, chosen / chosen.sum(-1, keepdim=True) * gate.scale)


def test_a_row_that_is_not_a_number_spoils_no_other() -> None:
    x = torch.ones(3, 40)
    x[1, 7] = math.nan
    _, gates, _ = gate_of(0.1)(x)
    assert gates.isfinite().all(1).tolist() == [True, False, True]


def test_attention_adds_blocks_up_in_fp32() -> None:
    """Key 0 takes every query's whole attention; the gradient of its value is 256 from the first block of
    queries and 1 from each of seven more, which BF16, adding them one by one, would lose: 256 + 1 = 256."""
    length = 512
    q = torch.ones(1, 1, length, 2, dtype=torch.bfloat16)
    k = torch.full((1, 1, length, 2), -500.0, dtype=torch.bfloat16)
    k[:, :, 0] = 500.0
    v = torch.zeros(1, 1, length, 1, dtype=torch.bfloat16, requires_grad=True)
    grad = torch.full((1, 1, length, 1), 1 / 64, dtype=torch.bfloat16)
    grad[:, :, :64] = 4.0
    (dv,) = torch.autograd.grad(causal_attention(q, k, v, 1.0), v, grad)
    assert float(dv[0, 0, 0, 0]) == 264.0  # 263, rounded once
    assert not dv[0, 0, 1:].any()


def test_gradients_of_dispatched_rows_are_added_in_the_type_of_the_tokens() -> None:
    """Off the compiled path too: 256 + 1 is lost in BF16."""
    order = slot_order(torch.tensor([[0, 1, 2]]), 3)
    x = torch.ones(1, 2, dtype=torch.float64, requires_grad=True)
    rows = dispatch(x, order, torch.bfloat16)
    grad = torch.tensor([256.0, 1.0, 0.0], dtype=torch.bfloat16)[:, None].expand(3, 2)
    assert torch.autograd.grad(rows, x, grad)[0].tolist() == [[257.0, 257.0]]


@pytest.mark.parametrize("cached", [Cached(), AFTER_ATTENTION])
@pytest.mark.parametrize("shape", [(0,), (2, 0), (), (2, 3)])
def test_fp8_linear_of_any_number_of_rows(cached: Cached, shape: tuple[int, ...]) -> None:
    x, weight = torch.ones(*shape, 16, requires_grad=True), torch.ones(5, 16, requires_grad=True)
    y = fp8_linear(x, weight, Fp8(), cached)
    assert y.shape == (*shape, 5)
    torch.autograd.backward([y.sum()])
    assert x.grad is not None
    assert weight.grad is not None
    torch.testing.assert_close(x.grad, torch.full_like(x, 5.0))
    torch.testing.assert_close(weight.grad, torch.full_like(weight, y.numel() / 5))
    with pytest.raises(RuntimeError, match="invalid"):
        fp8_linear(torch.ones(3, 15), weight, Fp8())


@pytest.mark.parametrize(("m", "n", "k"), [(256, 384, 512), (33, 200, 300), (1, 1, 1), (129, 5, 1000)])
def test_the_tensor_cores_are_given_the_layouts_that_torch_checks(m: int, n: int, k: int) -> None:
    """On the meta device torch looks at types, shapes and strides as before a product on a GPU."""
    for tiles in ((ALONG_ROW, BLOCK), (ALONG_ROW, ALONG_ROW), (BLOCK, ALONG_ROW)):
        a, b = (
            quantise(torch.empty(rows, k, device="meta"), tile)
            for rows, tile in zip((m, n), tiles, strict=True)
        )
        product = hopper_product(a, b)
        assert (product.shape, product.dtype, product.device.type) == ((m, n), torch.float32, "meta")
    with pytest.raises(ValueError, match="one row high"):
        hopper_product(*(quantise(torch.ones(128, 128), BLOCK) for _ in range(2)))
    with pytest.raises(ValueError, match="no operand"):
        hopper_product(quantise(torch.ones(1, 128), ALONG_ROW, E5M6), quantise(torch.ones(1, 128)))


@pytest.mark.parametrize(("width", "std"), [(7168, 0.006), (128, 0.006 * math.sqrt(56)), (1792, 0.012)])
def test_standard_deviation_grows_as_the_width_shrinks(width: int, std: float) -> None:
    config: ModelConfig = dataclasses.replace(preset("v3-tiny", 9), hidden_size=width)
    assert config.initial_std == pytest.approx(std)
    assert dataclasses.replace(config, initializer_range=0.5).initial_std == 0.5


def test_norms_start_at_one_and_matrices_have_no_mean() -> None:
    model = Transformer(preset("v3-tiny", 50, 1))
    initialise(model, 3, 0.25)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            assert torch.equal(parameter, torch.ones_like(parameter)), name
        else:
            error = 5 / math.sqrt(parameter.numel())
            assert abs(float(parameter.detach().mean())) < 0.25 * error, name
            assert float(parameter.detach().std()) == pytest.approx(0.25, rel=error), name


@pytest.mark.parametrize(("mode", "arrives"), [("bf16", torch.bfloat16), ("fp8", torch.float32)])
def test_rows_are_rounded_once_on_their_way_to_the_experts(mode: Mode, arrives: torch.dtype) -> None:
    """BF16: before they are copied for their experts. FP8: by the experts alone, from FP32."""
    model, found = model_of(mode), []

    def look(_: object, args: tuple[Tensor, list[int]]) -> None:
        found.append(args[0].dtype)

    for name, part in model.named_modules():
        if name.endswith(".experts"):
            part.register_forward_pre_hook(look)
    trained_on(model, mode, torch.arange(20).view(2, 10))
    assert found == [arrives] * 2
