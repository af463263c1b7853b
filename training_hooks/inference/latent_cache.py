"""The cache of decoding: c_KV and k_R of every token and layer, and nothing else (section 2.1.1).

L numbers of the latent and R of the rotary key, side by side, X = L + R: what multi-head attention would
cache are H * (C + R + U) numbers, keys and values of every head. N layers, B rows, S places of the cache,
T new positions.

Rows may have different lengths: a row's next token stands at its own length. What a pass writes beyond the
tokens that count (the right padding of short prompts, drafts that were refused) lies behind the length, where
no query looks, until it is written over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from corpusmill.training_hooks.model.config import ModelConfig


@dataclass(frozen=True)
class CacheBytes:
    """Bytes that one token of context takes in all layers."""

    latent: int
    expanded: int

    @property
    def ratio(self) -> float:
        """How many times the latent cache is smaller than expanded keys and values."""
        return self.expanded / self.latent


def cache_bytes(config: ModelConfig, layers: int, itemsize: int = 4) -> CacheBytes:
    """Bytes a token of `layers` attention layers, each number `itemsize` bytes: latents, and the keys and
    values of all heads that they stand for. DeepSeek-V3, 61 layers in BF16: 70,272 and 4,997,120."""
    latent = config.kv_lora_rank + config.qk_rope_head_dim
    expanded = config.num_attention_heads * (config.qk_head_dim + config.v_head_dim)
    return CacheBytes(layers * latent * itemsize, layers * expanded * itemsize)


class LatentCache:
    """Room for `capacity` tokens in each of `rows` rows, allocated at once.

    `latents_NBSX` has the type of the weights and lies on their device; `lengths_B`, int64 on the CPU, says
    how many tokens of each row are in force.
    """

    def __init__(self, config: ModelConfig, layers: int, rows: int, capacity: int, like: Tensor) -> None:
        width = config.kv_lora_rank + config.qk_rope_head_dim
        self.latents_NBSX = like.new_zeros(layers, rows, capacity, width)
        self.lengths_B = torch.zeros(rows, dtype=torch.int64)

    @property
    def capacity(self) -> int:
        return self.latents_NBSX.shape[2]

    def positions(self, count: int) -> Tensor:
        """Positions int64[B, T] of the next `count` tokens of each row. Raises ValueError where they are more
        than there is room for."""
        positions_BT = self.lengths_B[:, None] + torch.arange(count)
        if count and int(positions_BT.max()) >= self.capacity:
            raise ValueError(f"the cache holds {self.capacity} tokens, {int(positions_BT.max()) + 1} needed")
        return positions_BT

    def write(self, layer: int, positions_BT: Tensor, latents_BTX: Tensor) -> Tensor:
        """Write one layer's latents at `positions_BT`; returns those of all places up to the last of them,
        [B, S', X], a view."""
        held_BSX = self.latents_NBSX[layer]
        first, count = int(positions_BT[0, 0]), positions_BT.shape[1]
        if bool((positions_BT[:, 0] == first).all()):
            held_BSX[:, first : first + count] = latents_BTX
        else:
            rows = torch.arange(len(positions_BT), device=held_BSX.device)[:, None]
            held_BSX[rows, positions_BT.to(held_BSX.device)] = latents_BTX.to(held_BSX.dtype)
        return held_BSX[:, : int(positions_BT[:, -1].max()) + 1]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""
        which = torch.tensor(rows, dtype=torch.int64)
        self.latents_NBSX = self.latents_NBSX.index_select(1, which.to(self.latents_NBSX.device))
        self.lengths_B = self.lengths_B[which]
