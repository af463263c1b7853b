"""Multi-token prediction (section 2.2, equations 21-25): one module a depth, one more token ahead each.

Module k takes the representations of depth k - 1 and the embeddings of the tokens k places on, and predicts
the tokens k + 1 places on, through the shared embedding and output head. The representations are those that
the head reads, behind the last norm of the depth before: the report leaves that open, the modelling code in
DeepSeek's releases hands them over so, and the engines that draft with the released module (transformers,
vLLM, SGLang) rely on it. B sequences, T positions, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from corpusmill.training_hooks.model.block import Block
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.moe import Routing
from corpusmill.training_hooks.model.products import Linear
from corpusmill.training_hooks.model.rms_norm import RMSNorm


class MultiTokenPrediction(nn.Module):
    """h'_i = M [RMSNorm(h_i); RMSNorm(Emb(t_{i+k}))], then one block, then `norm` before the shared head.

    `eh_proj` is M of equation 21 with the hidden half first. The released weights hold the embedding half
    first: whoever exports to that layout swaps the halves.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.hnorm = RMSNorm(width, eps)
        self.enorm = RMSNorm(width, eps)
        self.eh_proj = Linear(2 * width, width)
        self.block = Block(config, dense=False)
        self.norm = RMSNorm(width, eps)

    def forward(
        self, ready_BTD: Tensor, embedded_BTD: Tensor, cos_TP: Tensor, sin_TP: Tensor, real_BT: Tensor
    ) -> tuple[Tensor, Routing]:
        """Representations [B, T, D] of this depth, ready for the shared head and for the next depth, and the
        routing of its block. `ready_BTD` are those of the depth before, ready for the head likewise."""
        joined = torch.cat((self.hnorm(ready_BTD), self.enorm(embedded_BTD)), dim=-1)
        output_BTD, routing = self.block(self.eh_proj(joined).float(), cos_TP, sin_TP, real_BT)
        if routing is None:
            raise AssertionError("the block of an MTP module is a mixture of experts")
        return self.norm(output_BTD), routing
