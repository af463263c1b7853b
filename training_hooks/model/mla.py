"""Multi-head latent attention (section 2.1.1, equations 1-11), in the form used for training.

Keys and values come from one latent c_KV of L numbers a token; positions enter through a separate rotary key
k_R shared by all heads. Only c_KV and k_R need caching when decoding: `latents` gives exactly those.
B sequences, T positions, D model width, H heads, C content, R rotary and U value width, Q and L latents.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from corpusmill.training_hooks.model.attention import causal_attention
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.products import Linear
from corpusmill.training_hooks.model.rms_norm import RMSNorm
from corpusmill.training_hooks.model.rope import rotate

# The norms of the latents ignore the configuration's epsilon, in the released code as in transformers.
LATENT_EPS = 1e-6


class MultiHeadLatentAttention(nn.Module):
    """Causal attention over x [B, T, D]. The latents pass one RMSNorm more than the equations show
    (section 4.2). Fused projections: `q_b_proj` = [W_UQ; W_QR] head by head, `kv_a_proj_with_mqa` =
    [W_DKV; W_KR], `kv_b_proj` = [W_UK; W_UV] head by head.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.content, self.rotary = config.qk_nope_head_dim, config.qk_rope_head_dim
        self.value, self.latent = config.v_head_dim, config.kv_lora_rank
        self.softmax_scale = config.softmax_scale
        width = config.hidden_size
        self.q_a_proj = Linear(width, config.q_lora_rank)
        self.q_a_layernorm = RMSNorm(config.q_lora_rank, LATENT_EPS)
        self.q_b_proj = Linear(config.q_lora_rank, self.heads * config.qk_head_dim)
        self.kv_a_proj_with_mqa = Linear(width, self.latent + self.rotary)
        self.kv_a_layernorm = RMSNorm(self.latent, LATENT_EPS)
        self.kv_b_proj = Linear(self.latent, self.heads * (self.content + self.value))
        self.o_proj = Linear(self.heads * self.value, width)

    def queries(self, x_BTD: Tensor, cos_TP: Tensor, sin_TP: Tensor) -> Tensor:
        """q = [q_C; rotated q_R] of every head, [B, H, T, C + R] (equations 6-9)."""
        c_BTQ = self.q_a_layernorm(self.q_a_proj(x_BTD))
        q_BHTX = torch.unflatten(self.q_b_proj(c_BTQ), -1, (self.heads, -1)).transpose(1, 2)
        q_BHTC, q_BHTR = torch.split(q_BHTX, [self.content, self.rotary], dim=-1)
        return torch.cat((q_BHTC, rotate(q_BHTR, cos_TP, sin_TP)), dim=-1)

    def latents(self, x_BTD: Tensor, cos_TP: Tensor, sin_TP: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised c_KV [B, T, L] and rotated shared k_R [B, T, R] (equations 1 and 3)."""
        c_BTL, k_BTR = torch.split(self.kv_a_proj_with_mqa(x_BTD), [self.latent, self.rotary], dim=-1)
        return self.kv_a_layernorm(c_BTL), rotate(k_BTR, cos_TP, sin_TP)

    def expand(self, c_BTL: Tensor, k_BTR: Tensor) -> tuple[Tensor, Tensor]:
        """Keys [B, H, T, C + R] and values [B, H, T, U] of every head (equations 2, 4 and 5)."""
        kv_BHTX = torch.unflatten(self.kv_b_proj(c_BTL), -1, (self.heads, -1)).transpose(1, 2)
        k_BHTC, v_BHTU = torch.split(kv_BHTX, [self.content, self.value], dim=-1)
        k_BHTR = k_BTR[:, None].expand(-1, self.heads, -1, -1).to(k_BHTC.dtype)
        return torch.cat((k_BHTC, k_BHTR), dim=-1), v_BHTU

    def forward(self, x_BTD: Tensor, cos_TP: Tensor, sin_TP: Tensor) -> Tensor:
        """Attention output [B, T, D] (equations 10 and 11); every position sees itself and those before."""
        q_BHTX = self.queries(x_BTD, cos_TP, sin_TP)
        return self.attend(q_BHTX, *self.expand(*self.latents(x_BTD, cos_TP, sin_TP)))

    def attend(self, q_BHTX: Tensor, k_BHTX: Tensor, v_BHTU: Tensor) -> Tensor:
        """Output [B, T, D] of queries over keys and values of the same positions."""
        o_BHTU = causal_attention(q_BHTX, k_BHTX, v_BHTU, self.softmax_scale)
        output_BTD: Tensor = self.o_proj(o_BHTU.transpose(1, 2).flatten(2))
        return output_BTD
