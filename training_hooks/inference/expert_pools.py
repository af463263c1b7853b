"""Serving with redundant experts (section 3.4): a pool of devices reads prompts, another writes.

Prefilling places whole groups of experts on nodes, so that tokens reach few of them; decoding places any
expert anywhere, and the shared expert as one more that every token is routed to. Latents are handed over
between the two. Each layer of each pool measures its loads and is planned anew from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from corpusmill.training_hooks.inference.generation import generate
from corpusmill.training_hooks.inference.placed_experts import LayerFigures, PlacedExperts, Pool
from corpusmill.training_hooks.inference.sampling import GREEDY, Sampling
from corpusmill.training_hooks.model.block import Block
from corpusmill.training_hooks.model.moe import Experts, MixtureOfExperts
from corpusmill.training_hooks.model.transformer import Transformer


@dataclass(frozen=True)
class PoolFigures:
    """A pool and the figures of its layers, by their number in the model."""

    pool: Pool
    layers: dict[int, LayerFigures]


@dataclass(frozen=True)
class Served:
    """`tokens` of each request's continuation, in order."""

    tokens: tuple[tuple[int, ...], ...]
    prefill: PoolFigures
    decode: PoolFigures


def placed_copy(model: Transformer, pool: Pool) -> tuple[Transformer, dict[int, PlacedExperts]]:
    """A model that shares all weights of `model` but those of experts, which are on devices of `pool`, and
    these by layer. MTP modules are left out of the pool. Raises ValueError for sizes that do
    not fit and for a model without experts."""
    with torch.device("meta"):
        copy = Transformer(model.config)
    copy.load_state_dict(model.state_dict(), assign=True)
    placed: dict[int, PlacedExperts] = {}
    for number, layer in enumerate(copy.layers):
        if isinstance(layer, Block) and isinstance(layer.mlp, MixtureOfExperts):
            mixture = layer.mlp
            assert isinstance(mixture.experts, Experts)
            mixture.experts = placed[number] = PlacedExperts(mixture.experts, mixture.shared_experts, pool)
            if pool.shared:
                mixture.shared_experts = None
    if not placed:
        raise ValueError("the model has no routed experts")
    return copy.requires_grad_(False), placed


def serve(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    prefill: Pool,
    decode: Pool,
    batch: int,
    max_new_tokens: int,
    sampling: Sampling = GREEDY,
) -> Served:
    """Continue the prompts by `max_new_tokens` each, `batch` of them at a time, as `generate` does, through
    both pools. Prompts of one length leave no padding, which would count as load."""
    reading, read = placed_copy(model, prefill)
    writing, written = placed_copy(model, decode)
    tokens: list[tuple[int, ...]] = []
    for some in batches(prompts, batch):
        continuations, _ = generate(
            reading, some, max_new_tokens=max_new_tokens, sampling=sampling, decoding=writing
        )
        tokens += [tuple(one.tokens) for one in continuations]
    return Served(tuple(tokens), PoolFigures(prefill, _figures(read)), PoolFigures(decode, _figures(written)))


def batches(prompts: Sequence[Sequence[int]], batch: int) -> Iterator[Sequence[Sequence[int]]]:
    """`batch` prompts at a time, in order."""
    for start in range(0, len(prompts), batch):
        yield prompts[start : start + batch]


def _figures(layers: dict[int, PlacedExperts]) -> dict[int, LayerFigures]:
    for layer in layers.values():
        layer.close()
    return {number: layer.figures for number, layer in layers.items()}
