"""Models to generate with, and generation the slow way: the whole context again for every token."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.model.yarn import YarnScaling

VOCABULARY = 96
TINY = dataclasses.replace(preset("v3-tiny", VOCABULARY, 3), num_hidden_layers=2)
GROUPS = dataclasses.replace(TINY, n_group=4, topk_group=2, routed_scaling_factor=1.75, q_lora_rank=24)
CONFIGS = {
    "tiny": TINY,
    "groups with yarn": GROUPS.with_rope_scaling(YarnScaling(8.0, 16)),
    "narrow values, rotary part sharpened": dataclasses.replace(
        TINY, qk_nope_head_dim=24, qk_rope_head_dim=8, v_head_dim=20, kv_lora_rank=40
    ).with_rope_scaling(YarnScaling(4.0, 16, mscale_all_dim=None)),
    "values wider than keys": dataclasses.replace(
        TINY, qk_nope_head_dim=10, qk_rope_head_dim=6, v_head_dim=28, num_attention_heads=3
    ),
}


def random_model(config: ModelConfig, seed: int = 1) -> Transformer:
    """Random weights, norms and routing biases, large enough for continuations that go on changing."""
    model = Transformer(config)
    initialise(model, seed, 2 * config.initial_std)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=draws))
        for gate in model.gates():
            gate.e_score_correction_bias.normal_(std=0.3, generator=draws)
    return model.requires_grad_(False)


def after(token: int) -> int:
    """What `taught_model` learns to write after a token, most of the time: a fixed permutation."""
    return (token * 5 + 7) % VOCABULARY


@cache
def taught_model() -> Transformer:
    """A model trained on rows where each token follows from the one before, save one in ten."""
    model = Transformer(TINY)
    initialise(model, 3, TINY.initial_std)
    draws = torch.Generator().manual_seed(11)
    optimiser = torch.optim.AdamW(model.parameters(), lr=8e-3)
    length, depths = 24, len(model.mtp)
    for _ in range(40):
        row = torch.randint(0, VOCABULARY, (8, 1), generator=draws)
        while row.shape[1] < length + 1 + depths:
            following = (row[:, -1:] * 5 + 7) % VOCABULARY
            strange = torch.randint(0, VOCABULARY, (8, 1), generator=draws)
            noisy = torch.rand(8, 1, generator=draws) < 0.1
            row = torch.cat((row, torch.where(noisy, strange, following)), dim=1)
        passed = model(row, torch.ones_like(row, dtype=torch.bool))
        loss = torch.zeros(())
        for depth, hidden in enumerate(passed.hidden):
            targets = row[:, depth + 1 : depth + 1 + length]
            logits = functional.linear(hidden, model.lm_head.weight)
            loss = loss + functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return model.requires_grad_(False)


@torch.no_grad()
def greedy(model: Transformer, prompt: Sequence[int], steps: int) -> list[int]:
    """The `steps` tokens after `prompt`, each the most likely after all before it."""
    row = list(prompt)
    for _ in range(steps):
        row.append(int(model.logits(torch.tensor([row]))[0, -1].argmax()))
    return row[len(prompt) :]


def tokens_of(rows: int, length: int, seed: int = 3) -> Tensor:
    return torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


def prompts_of(*lengths: int) -> list[list[int]]:
    return [tokens_of(1, length, seed=length)[0].tolist() for length in lengths]
