"""A pipeline rank's part of the model: the parameters of its stages, by their names in the whole model.

`model.initialise` draws a parameter by its name, so a part starts with the weights that the whole model has,
and `precision.apply`, `model.recompute` and optimisers take it like a whole one. Where the first and the last
stage are both here, the embedding that MTP modules read is that of the first stage.

B sequences, T positions, W = T + 1 + D' tokens of a row (D' the MTP depth), D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from corpusmill.training_hooks.distributed.stages import Stage, has
from corpusmill.training_hooks.model.block import Block
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.mtp import MultiTokenPrediction
from corpusmill.training_hooks.model.products import Linear
from corpusmill.training_hooks.model.rms_norm import RMSNorm
from corpusmill.training_hooks.model.rope import rope_frequencies, rotation_table
from corpusmill.training_hooks.model.transformer import Forward
from corpusmill.training_hooks.model.wide_sums import Embedding


class Part(nn.Module):
    """The modules of `stages`, with the names of `Transformer`'s. Weights are uninitialised."""

    def __init__(self, config: ModelConfig, stages: Sequence[Stage]) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        if any(has(config, stage, "embed_tokens") for stage in stages):
            empty = torch.empty(config.vocab_size, width)
            self.embed_tokens = Embedding(config.vocab_size, width, _weight=empty)
        numbers = sorted(number for stage in stages for number in stage.layers)
        dense = config.first_k_dense_replace
        self.layers = nn.ModuleDict({str(n): Block(config, dense=n < dense) for n in numbers})
        if any(stage.last for stage in stages):
            self.norm = RMSNorm(width, config.rms_norm_eps)
            self.lm_head = Linear(width, config.vocab_size)
            depths = config.num_nextn_predict_layers
            self.mtp = nn.ModuleList(MultiTokenPrediction(config) for _ in range(depths))
        # Not a buffer, as in `Transformer`.
        self._frequencies_P = rope_frequencies(
            config.qk_rope_head_dim, config.rope_theta, config.rope_scaling
        )

    def forward(
        self, stage: Stage, x_BTD: Tensor | None, tokens_BW: Tensor, real_BW: Tensor
    ) -> tuple[Tensor, Forward]:
        """(output [B, T, D] of the last main layer, what the stage gives of `Transformer.forward`).

        `x_BTD`: the output of the stage before; None for the first, which reads the tokens. Stages before the
        last give no `hidden`.
        """
        depths = self.config.num_nextn_predict_layers
        length = tokens_BW.shape[1] - 1 - depths
        cos_TP, sin_TP = self._rotations(length, tokens_BW.device)
        h_BTD = self.embed_tokens(tokens_BW[:, :length]) if x_BTD is None else x_BTD
        routing = []
        for number in stage.layers:
            h_BTD, of_layer = self.layers[str(number)](h_BTD, cos_TP, sin_TP, real_BW[:, :length])
            if of_layer is not None:
                routing.append(of_layer)
        if not stage.last:
            return h_BTD, Forward([], routing)
        hidden = [self.norm(h_BTD)]
        for depth, module in enumerate(self.mtp, start=1):
            window = slice(depth, depth + length)
            embedded_BTD = self.embed_tokens(tokens_BW[:, window])
            ready_BTD, of_depth = module(hidden[-1], embedded_BTD, cos_TP, sin_TP, real_BW[:, window])
            hidden.append(ready_BTD)
            routing.append(of_depth)
        return h_BTD, Forward(hidden, routing)

    def _rotations(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        scaling = self.config.rope_scaling
        factor = 1.0 if scaling is None else scaling.rotary_factor
        positions_T = torch.arange(length, device=device)
        return rotation_table(self._frequencies_P.to(device), positions_T, factor)
