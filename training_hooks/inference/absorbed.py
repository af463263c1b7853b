"""Attention over cached latents, in the two forms that the same equations allow (section 2.1.1).

Expanded: keys and values of every head are made from the latents, as in training. Absorbed: since
q_C . (W_UK c) = (W_UK^T q_C) . c, the query is taken to the latent instead, all heads attend over the one
shared row [c; k_R], and W_UV is applied to what they bring back: no key or value of a head ever exists.

Both give the same up to round-off. One query over S latents costs a head S * L * (C + U) multiplications to
expand and S * (C + R + U) to attend, against L * (C + U) and S * (2L + R) absorbed: many queries at once pay
for the expansion (prefill), few do not (decoding). `attend` takes the form with the fewer.

B rows, T queries, S places of the cache, D model width, H heads, C content, R rotary and U value width, L
latent, X = L + R.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from corpusmill.training_hooks.model.mla import MultiHeadLatentAttention

Form = Literal["absorbed", "expanded"]


@dataclass(frozen=True)
class Places:
    """Where the new tokens of a pass stand: `positions` int64[B, T] on the CPU; `cos` and `sin` of the
    rotation at each, FP32[B, T, P]; `visible` bool[B, T, S], the cached places each query sees, or None
    where every row holds these tokens and no others, so that plain causality says it, or where there is one
    query and it sees all."""

    positions: Tensor
    cos: Tensor
    sin: Tensor
    visible: Tensor | None

    @classmethod
    def at(cls, positions_BT: Tensor, cos_SP: Tensor, sin_SP: Tensor) -> Places:
        """Places of `positions_BT`, with rotations from tables over all places of the cache."""
        device = cos_SP.device
        there_BT = positions_BT.to(device)
        first = positions_BT[:, 0]
        level = bool((first == first[0]).all())
        visible_BTS = None
        if not (level and (positions_BT.shape[1] == 1 or int(first[0]) == 0)):
            places_S = torch.arange(int(positions_BT.max()) + 1, device=device)
            visible_BTS = places_S <= there_BT[..., None]
        return cls(positions_BT, cos_SP[there_BT], sin_SP[there_BT], visible_BTS)


def latents(layer: MultiHeadLatentAttention, x_BTD: Tensor, places: Places) -> Tensor:
    """What is cached of each token: [normalised c_KV; rotated k_R], [B, T, X]."""
    c_BTL, k_BTR = layer.latents(x_BTD, places.cos, places.sin)
    return torch.cat((c_BTL, k_BTR.to(c_BTL.dtype)), dim=-1)


def queries(layer: MultiHeadLatentAttention, x_BTD: Tensor, places: Places) -> Tensor:
    """[q_C; rotated q_R] of every head, [B, H, T, C + R]."""
    return layer.queries(x_BTD, places.cos[:, None], places.sin[:, None])


def cheaper_form(layer: MultiHeadLatentAttention, queries: int, cached: int) -> Form:
    """The form with fewer multiplications for T `queries` a row over S `cached` latents."""
    up = layer.latent * (layer.content + layer.value)
    expanded = cached * up + queries * cached * (layer.content + layer.rotary + layer.value)
    absorbed = queries * up + queries * cached * (2 * layer.latent + layer.rotary)
    return "absorbed" if absorbed < expanded else "expanded"


def attend(
    layer: MultiHeadLatentAttention,
    q_BHTX: Tensor,
    latents_BSX: Tensor,
    visible_BTS: Tensor | None,
    form: Form | None = None,
) -> Tensor:
    """Attention output [B, T, D] of queries over cached latents, their own among them. Without
    `visible_BTS`, query t of T sees the first S - T + t + 1 latents, where T is S or 1."""
    chosen = form or cheaper_form(layer, q_BHTX.shape[2], latents_BSX.shape[1])
    heads = absorbed_heads if chosen == "absorbed" else expanded_heads
    o_BTX = heads(layer, q_BHTX, latents_BSX, visible_BTS).transpose(1, 2).flatten(2)
    output_BTD: Tensor = layer.o_proj(o_BTX)
    return output_BTD


def absorbed_heads(
    layer: MultiHeadLatentAttention, q_BHTX: Tensor, latents_BSX: Tensor, visible_BTS: Tensor | None
) -> Tensor:
    """What each head brings back, [B, H, T, U], with W_UK in the query and W_UV behind the sum."""
    w_uk_HCL, w_uv_HUL = torch.split(
        torch.unflatten(layer.kv_b_proj.weight, 0, (layer.heads, -1)), [layer.content, layer.value], dim=1
    )
    q_BHTC, q_BHTR = torch.split(q_BHTX, [layer.content, layer.rotary], dim=-1)
    q_BHTX = torch.cat((q_BHTC @ w_uk_HCL, q_BHTR), dim=-1)
    rows, heads, length, width = q_BHTX.shape
    # All heads share the one row of keys, so heads and queries are one axis of a single product a row.
    scores_BHTS = (q_BHTX.reshape(rows, heads * length, width) @ latents_BSX.transpose(1, 2)).view(
        rows, heads, length, -1
    )
    scores_BHTS = scores_BHTS.float() * layer.softmax_scale
    if visible_BTS is None and length > 1:
        visible_BTS = torch.ones(1, length, length, dtype=torch.bool, device=q_BHTX.device).tril()
    if visible_BTS is not None:
        scores_BHTS = scores_BHTS.masked_fill(~visible_BTS[:, None], float("-inf"))
    share_BHTS = scores_BHTS.softmax(-1).to(latents_BSX.dtype)
    c_BSL = latents_BSX[..., : layer.latent]
    sum_BHTL = (share_BHTS.view(rows, heads * length, -1) @ c_BSL).view(rows, heads, length, -1)
    return sum_BHTL @ w_uv_HUL.transpose(1, 2)


def expanded_heads(
    layer: MultiHeadLatentAttention, q_BHTX: Tensor, latents_BSX: Tensor, visible_BTS: Tensor | None
) -> Tensor:
    """The same, [B, H, T, U], from keys and values of every head made for this pass."""
    k_BHSX, v_BHSU = layer.expand(*torch.split(latents_BSX, [layer.latent, layer.rotary], dim=-1))
    # The fused kernels want values as wide as keys; zero columns add nothing.
    v_BHSX = functional.pad(v_BHSU, (0, max(q_BHTX.shape[-1] - layer.value, 0)))
    o_BHTX = functional.scaled_dot_product_attention(
        q_BHTX,
        k_BHSX,
        v_BHSX,
        attn_mask=None if visible_BTS is None else visible_BTS[:, None],
        is_causal=visible_BTS is None and q_BHTX.shape[2] > 1,
        scale=layer.softmax_scale,
    )
    return o_BHTX[..., : layer.value]
