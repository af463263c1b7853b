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
from torch.nn import functional

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.model.config import ModelConfig

FIRST_ROOM = 512  # places of a row to begin with, where it may come to hold as many or more


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
    """The latents of `rows` rows, each of up to `capacity` tokens; room for them is made as they come, at
    least twice as much as there was, so that what is written is copied a bounded number of times.

    `latents_NBSX` has the type of the weights and lies on their device; `lengths_B`, int64 on the CPU, says
    how many tokens of each row are in force; `most_places` is the largest B * S so far. Raises UserError
    where memory does not suffice.
    """

    def __init__(self, config: ModelConfig, layers: int, rows: int, capacity: int, like: Tensor) -> None:
        width = config.kv_lora_rank + config.qk_rope_head_dim
        self.capacity = capacity
        self.lengths_B = torch.zeros(rows, dtype=torch.int64)
        self.latents_NBSX = like.new_zeros(layers, rows, 0, width)
        self.most_places = 0
        self._make_room(min(capacity, FIRST_ROOM))

    @property
    def room(self) -> int:
        """Places of a row for now, S."""
        return self.latents_NBSX.shape[2]

    def positions(self, count: int) -> Tensor:
        """Positions int64[B, T] of the next `count` tokens of each row; afterwards there is room for them.
        Raises ValueError where they are more than the capacity."""
        positions_BT = self.lengths_B[:, None] + torch.arange(count)
        needed = int(positions_BT.max()) + 1 if count else 0
        if needed > self.capacity:
            raise ValueError(f"the cache holds {self.capacity} tokens, {needed} needed")
        if needed > self.room:
            self._make_room(min(max(needed, 2 * self.room), self.capacity))
        return positions_BT

    def _make_room(self, places: int) -> None:
        layers, rows, room, width = self.latents_NBSX.shape
        try:
            self.latents_NBSX = functional.pad(self.latents_NBSX, (0, 0, 0, places - room))
        except RuntimeError as error:  # torch's word for memory that cannot be had
            size = layers * rows * places * width * self.latents_NBSX.element_size() / 2**30
            raise UserError(
                f"no memory for a cache of {places:,} tokens in each of {rows:,} rows, {size:,.1f} GiB: "
                "generate fewer at once, or fewer tokens"
            ) from error
        self.most_places = max(self.most_places, rows * places)

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
