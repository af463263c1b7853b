"""Loss, loads and every gradient of whole models against the report's equations in FP64."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.model.yarn import YarnScaling
from corpusmill.training_hooks.trainer.objective import objective
from tests.oracles.training_whole import training_loss

PAD = 2
# No two widths are equal, so that none can stand in for another.
SIZES: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "intermediate_size": 20,
    "num_attention_heads": 3,
    "q_lora_rank": 10,
    "kv_lora_rank": 9,
    "qk_nope_head_dim": 5,
    "qk_rope_head_dim": 8,
    "v_head_dim": 6,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 7,
    "n_group": 4,
    "topk_group": 2,
    "routed_scaling_factor": 1.7,
}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "yarn": {"rope_scaling": YarnScaling(8.0, 200)},
    "two depths, three shared experts": {"num_nextn_predict_layers": 2, "n_shared_experts": 3},
    "no depth, no shared expert": {"num_nextn_predict_layers": 0, "n_shared_experts": 0},
}


def config_of(kind: str) -> ModelConfig:
    return dataclasses.replace(preset("v3-tiny", 37, 1), **(SIZES | KINDS[kind]))


def started(config: ModelConfig, draws: torch.Generator) -> Transformer:
    model = Transformer(config)
    initialise(model, 3, 0.3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=draws))
        for gate in model.gates():
            gate.e_score_correction_bias.normal_(0, 0.3, generator=draws)
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "length"), [(3, 9), (1, 1), (1, 66)])
def test_loss_loads_and_gradients_are_the_equations(kind: str, rows: int, length: int) -> None:
    """Also for one token, for more than a block of attention, and for rows that are partly or all padding."""
    config, draws = config_of(kind), torch.Generator().manual_seed(1)
    model = started(config, draws)
    width = length + 1 + config.num_nextn_predict_layers
    tokens = torch.randint(3, 37, (rows, width), generator=draws)
    if rows > 1:
        tokens[0, 5:] = PAD
        tokens[1, :-1] = PAD
    real = tokens != PAD
    got = objective(model, tokens, real, 0.3, 0.05)
    torch.autograd.backward([got.total])
    weights = {
        name: tensor.double().detach().requires_grad_("bias" not in name)
        for name, tensor in model.state_dict().items()
    }
    expected, loads = training_loss(weights, config, tokens, real, 0.3, 0.05)
    torch.autograd.backward([expected])
    assert float(got.total.detach()) == pytest.approx(float(expected.detach()), rel=2e-6)
    assert [load.tolist() for load in got.loads] == list(loads.values())
    for name, parameter in model.named_parameters():
        gradient = weights[name].grad
        assert gradient is not None or length == 1, name
        wanted = torch.zeros_like(parameter.double()) if gradient is None else gradient
        assert parameter.grad is not None
        error = float((parameter.grad - wanted).norm()) / (float(wanted.norm()) + 1e-9)
        assert error < 3e-5, name


def test_embedding_and_head_are_trained_by_every_depth() -> None:
    """One tensor each in memory, whose gradient is the sum of what the main model and each depth give."""
    config, draws = config_of("two depths, three shared experts"), torch.Generator().manual_seed(1)
    model = started(config, draws)
    tokens = torch.arange(3, 23).view(2, 10)

    def gradients(mtp_weight: float) -> list[torch.Tensor]:
        model.zero_grad(set_to_none=True)
        torch.autograd.backward([objective(model, tokens, tokens != PAD, mtp_weight, 0.0).total])
        found = [model.embed_tokens.weight.grad, model.lm_head.weight.grad]
        return [gradient for gradient in found if gradient is not None]

    alone, both, twice = (gradients(weight) for weight in (0.0, 0.3, 0.6))
    for main, one, two in zip(alone, both, twice, strict=True):
        assert float((one - main).norm()) > 0.05 * float(main.norm())
        torch.testing.assert_close(two - main, 2 * (one - main), atol=1e-5, rtol=1e-3)
    # A row's last token but one is an input of the last depth only, which reads it from the same embedding.
    for row in tokens.tolist():
        assert not alone[0][row[-2]].any()
        assert both[0][row[-2]].any()
        assert not both[0][row[-1]].any()


def test_embedding_and_head_are_the_same_tensors_for_every_depth() -> None:
    """MTP has neither of its own: one embedding and one head, in memory and in the state dict."""
    model = Transformer(preset("v3-tiny", 60, 2))
    assert not any("embed" in name or "head" in name for name in model.mtp.state_dict())
    wide = [name for name, p in model.named_parameters() if 60 in p.shape]
    assert wide == ["embed_tokens.weight", "lm_head.weight"]
