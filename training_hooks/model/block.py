"""One transformer block: x + attention(norm(x)), then x + feed-forward(norm(x)).

B sequences, T positions, D model width.
"""

from __future__ import annotations

from torch import Tensor, nn

from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.feed_forward import FeedForward
from corpusmill.training_hooks.model.mla import MultiHeadLatentAttention
from corpusmill.training_hooks.model.moe import MixtureOfExperts, Routing
from corpusmill.training_hooks.model.rms_norm import RMSNorm


class Block(nn.Module):
    """`mlp` is dense where `dense`, else a mixture of experts. The residual stream stays FP32."""

    def __init__(self, config: ModelConfig, *, dense: bool) -> None:
        super().__init__()
        width = config.hidden_size
        self.input_layernorm = RMSNorm(width, config.rms_norm_eps)
        self.self_attn = MultiHeadLatentAttention(config)
        self.post_attention_layernorm = RMSNorm(width, config.rms_norm_eps)
        self.mlp: FeedForward | MixtureOfExperts = (
            FeedForward(width, config.intermediate_size) if dense else MixtureOfExperts(config)
        )

    def forward(
        self, x_BTD: Tensor, cos_TP: Tensor, sin_TP: Tensor, real_BT: Tensor
    ) -> tuple[Tensor, Routing | None]:
        """(output [B, T, D], routing of this layer or None where it is dense)."""
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), cos_TP, sin_TP)
        normed_BTD = self.post_attention_layernorm(x_BTD)
        if isinstance(self.mlp, FeedForward):
            return x_BTD + self.mlp(normed_BTD), None
        y_BTD, routing = self.mlp(normed_BTD, real_BT)
        return x_BTD + y_BTD, routing
