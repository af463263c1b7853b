"""How many parameters a configuration has, and how many a token meets, without allocating them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from corpusmill.training_hooks.model.block import Block
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.moe import MixtureOfExperts
from corpusmill.training_hooks.model.transformer import Transformer


@dataclass(frozen=True)
class Counts:
    """Parameters; the routing biases, which no gradient reaches, are left out.

    - `total`: the main model, embedding and head included, MTP modules not. V3: 671.0B.
    - `active`: of `total`, what one token is multiplied by: all but the embedding, of which it reads one
      row, and the routed experts it is not sent to. V3: 36.6B, the report's 37B.
    - `embedding`, `head`: V * D each, within `total`. V3: 0.9B each.
    - `mtp_unique`: the MTP modules without the embedding and the head that they share. V3: 11.6B.
    - `mtp_blocks`: of `mtp_unique`, the transformer blocks; the rest are projections and norms. V3: 11.5B,
      which the README of the released weights gives as unique to MTP.
    - `mtp_active`: what one token is multiplied by in the MTP modules, the shared head once a depth
      included. V3: 1.6B (the README's 2.4B counts the embedding and leaves the projection out).

    A step of training costs about 6 * (`active` + `mtp_active`) floating-point operations a token, and those
    of the attention scores.
    """

    total: int
    active: int
    embedding: int
    head: int
    mtp_unique: int
    mtp_blocks: int
    mtp_active: int


def parameter_counts(config: ModelConfig) -> Counts:
    """The counts of `Transformer(config)`, taken from one on the meta device: no memory, under a second."""
    with torch.device("meta"):
        model = Transformer(config)
    embedding = _count(model.embed_tokens)
    head = _count(model.lm_head)
    mtp_unique = _count(model.mtp)
    mtp_idle = _idle(model.mtp)
    total = _count(model) - mtp_unique
    return Counts(
        total=total,
        active=total - embedding - (_idle(model) - mtp_idle),
        embedding=embedding,
        head=head,
        mtp_unique=mtp_unique,
        mtp_blocks=sum(_count(part) for part in model.mtp.modules() if isinstance(part, Block)),
        mtp_active=mtp_unique - mtp_idle + len(model.mtp) * head,
    )


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _idle(module: torch.nn.Module) -> int:
    """Parameters of the routed experts that a token is not sent to."""
    layers = [part for part in module.modules() if isinstance(part, MixtureOfExperts)]
    return sum(_count(layer.experts) * (layer.n_experts - layer.k) // layer.n_experts for layer in layers)
