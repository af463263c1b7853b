"""The whole model: embedding, blocks, output head and the multi-token prediction modules.

B sequences, T positions, W = T + 1 + D' tokens of a training row (D' the MTP depth), D width, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from corpusmill.training_hooks.model.block import Block
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.gate import Gate
from corpusmill.training_hooks.model.mla import MultiHeadLatentAttention
from corpusmill.training_hooks.model.moe import MixtureOfExperts, Routing
from corpusmill.training_hooks.model.mtp import MultiTokenPrediction
from corpusmill.training_hooks.model.products import Linear, linear
from corpusmill.training_hooks.model.rms_norm import RMSNorm
from corpusmill.training_hooks.model.rope import rope_frequencies, rotation_table
from corpusmill.training_hooks.model.wide_sums import Embedding
from corpusmill.training_hooks.model.yarn import YarnScaling


class Forward(NamedTuple):
    """What a training pass gives: `hidden[d]` [B, T, D] is ready for the head and at position i predicts
    token i + 1 + d (d = 0 the main model, then each MTP depth); `routing` is one entry for each mixture
    layer, in the order of `Transformer.gates`."""

    hidden: list[Tensor]
    routing: list[Routing]


class Transformer(nn.Module):
    """DeepSeek-V3 in small. Weights are uninitialised until `initialise.initialise` fills them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.hidden_size
        # Without draws of its own, which on the meta device import torch's compiler: two seconds.
        empty = torch.empty(config.vocab_size, width)
        self.embed_tokens = Embedding(config.vocab_size, width, _weight=empty)
        self.layers = nn.ModuleList(
            Block(config, dense=index < config.first_k_dense_replace)
            for index in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(width, config.rms_norm_eps)
        self.lm_head = Linear(width, config.vocab_size)
        self.mtp = nn.ModuleList(MultiTokenPrediction(config) for _ in range(config.num_nextn_predict_layers))
        self._use(config)

    def set_rope_scaling(self, scaling: YarnScaling | None) -> None:
        """Take up another context length, in place, as a phase of long-context training does: `config`
        follows, no weight changes."""
        self._use(self.config.with_rope_scaling(scaling))

    def _use(self, config: ModelConfig) -> None:
        self.config = config
        # Not a buffer: it must neither be cast with the weights nor stay empty where they are built on the
        # meta device.
        self._frequencies_P = rope_frequencies(
            config.qk_rope_head_dim, config.rope_theta, config.rope_scaling
        )
        for module in self.modules():
            if isinstance(module, MultiHeadLatentAttention):
                module.softmax_scale = config.softmax_scale

    def gates(self) -> list[Gate]:
        """The router of every mixture layer, MTP modules included, in the order of `Forward.routing`."""
        return [module.gate for module in self.modules() if isinstance(module, MixtureOfExperts)]

    def trunk(self, tokens_BT: Tensor, real_BT: Tensor) -> tuple[Tensor, list[Routing]]:
        """Representations [B, T, D] before the final norm, and the routing of the main layers."""
        cos_TP, sin_TP = self.rotations(tokens_BT.shape[1])
        h_BTD = self.embed_tokens(tokens_BT)
        routing = []
        for layer in self.layers:
            h_BTD, layer_routing = layer(h_BTD, cos_TP, sin_TP, real_BT)
            if layer_routing is not None:
                routing.append(layer_routing)
        return h_BTD, routing

    def rotations(self, length: int, start: int = 0) -> tuple[Tensor, Tensor]:
        """cos and sin FP32[T, P] of positions start..start + length - 1, on the device of the weights."""
        device = self.embed_tokens.weight.device
        positions_T = torch.arange(start, start + length, device=device)
        scaling = self.config.rope_scaling
        factor = 1.0 if scaling is None else scaling.rotary_factor
        return rotation_table(self._frequencies_P.to(device), positions_T, factor)

    def forward(self, tokens_BW: Tensor, real_BW: Tensor) -> Forward:
        """A training pass over rows of T inputs and the 1 + D' tokens after them.

        `real_BW` bool is false on padding. Attention crosses document boundaries, as in V3's
        pre-training (section 4.1).
        """
        depths = len(self.mtp)
        length = tokens_BW.shape[1] - 1 - depths
        h_BTD, routing = self.trunk(tokens_BW[:, :length], real_BW[:, :length])
        hidden = [self.norm(h_BTD)]
        cos_TP, sin_TP = self.rotations(length)
        for depth, module in enumerate(self.mtp, start=1):
            embedded_BTD = self.embed_tokens(tokens_BW[:, depth : depth + length])
            real_BT = real_BW[:, depth : depth + length]
            ready_BTD, depth_routing = module(hidden[-1], embedded_BTD, cos_TP, sin_TP, real_BT)
            hidden.append(ready_BTD)
            routing.append(depth_routing)
        return Forward(hidden, routing)

    def logits(self, tokens_BT: Tensor) -> Tensor:
        """Next-token logits FP32[B, T, V] of the main model."""
        h_BTD, _ = self.trunk(tokens_BT, torch.ones_like(tokens_BT, dtype=torch.bool))
        return linear(self.norm(h_BTD), self.lm_head.weight).float()
