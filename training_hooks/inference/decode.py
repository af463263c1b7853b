"""Passes over new tokens only: the past is in the latent cache and is never computed again.

B rows, T new positions, D model width, V vocabulary, P rotary pairs, S places of the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from corpusmill.training_hooks.inference.absorbed import Form, Places, attend, latents, queries
from corpusmill.training_hooks.inference.latent_cache import LatentCache
from corpusmill.training_hooks.model.block import Block
from corpusmill.training_hooks.model.feed_forward import FeedForward
from corpusmill.training_hooks.model.products import linear
from corpusmill.training_hooks.model.transformer import Transformer


class CachedBlocks:
    """Blocks of `model` and the cache of their latents. `form` of attention: null for the cheaper one."""

    def __init__(
        self,
        model: Transformer,
        blocks: Sequence[nn.Module],
        rows: int,
        capacity: int,
        form: Form | None = None,
    ) -> None:
        self.form = form
        self.use(model, blocks)
        self.cache = LatentCache(model.config, len(blocks), rows, capacity, model.embed_tokens.weight)
        self._cos_SP, self._sin_SP = model.rotations(self.cache.room)

    def use(self, model: Transformer, blocks: Sequence[nn.Module]) -> None:
        """Run these blocks of `model` from now on."""
        self._model = model
        self.blocks = [block for block in blocks if isinstance(block, Block)]
        if len(self.blocks) != len(blocks):
            raise TypeError("only blocks of the model can be cached")

    @torch.no_grad()
    def run(self, x_BTD: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """The blocks' output [B, T, D] at the next T positions of each row, of which the first `counts` stay
        in the cache; null for all T. Equals a pass over the whole rows up to round-off."""
        positions_BT = self.cache.positions(x_BTD.shape[1])
        if len(self._cos_SP) < self.cache.room:
            self._cos_SP, self._sin_SP = self._model.rotations(self.cache.room)
        places = Places.at(positions_BT, self._cos_SP, self._sin_SP)
        for number, block in enumerate(self.blocks):
            x_BTD = self._block(number, block, x_BTD, places)
        self.cache.lengths_B += x_BTD.shape[1] if counts is None else torch.tensor(counts)
        return x_BTD

    def _block(self, number: int, block: Block, x_BTD: Tensor, places: Places) -> Tensor:
        layer = block.self_attn
        normed_BTD = block.input_layernorm(x_BTD)
        held_BSX = self.cache.write(number, places.positions, latents(layer, normed_BTD, places))
        q_BHTX = queries(layer, normed_BTD, places)
        x_BTD = x_BTD + attend(layer, q_BHTX, held_BSX, places.visible, self.form)
        normed_BTD = block.post_attention_layernorm(x_BTD)
        if isinstance(block.mlp, FeedForward):
            dense_BTD: Tensor = block.mlp(normed_BTD)
            return x_BTD + dense_BTD
        real_BT = torch.ones(normed_BTD.shape[:2], dtype=torch.bool, device=normed_BTD.device)
        routed_BTD: Tensor = block.mlp(normed_BTD, real_BT)[0]
        return x_BTD + routed_BTD

    @property
    def lengths(self) -> list[int]:
        """Tokens in force of each row. Set it to drop the last tokens of rows."""
        return [int(length) for length in self.cache.lengths_B]

    @lengths.setter
    def lengths(self, lengths: Sequence[int]) -> None:
        wanted_B = torch.tensor(lengths, dtype=torch.int64)
        if bool((wanted_B < 0).any()) or bool((wanted_B > self.cache.lengths_B).any()):
            raise ValueError(f"rows of {self.lengths} tokens cannot be cut to {list(lengths)}")
        self.cache.lengths_B = wanted_B


class Decoder:
    """The main model over rows that grow. Weights are used as they are; nothing is differentiated."""

    def __init__(self, model: Transformer, rows: int, capacity: int, form: Form | None = None) -> None:
        self.model = model
        self.cached = CachedBlocks(model, list(model.layers), rows, capacity, form)

    @torch.no_grad()
    def feed(self, tokens_BT: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """Representations [B, T, D], ready for the head, of T new tokens in each row, of which the first
        `counts` count (the rest is padding, and rubbish comes of it)."""
        device = self.model.embed_tokens.weight.device
        h_BTD = self.cached.run(self.model.embed_tokens(tokens_BT.to(device)), counts)
        ready_BTD: Tensor = self.model.norm(h_BTD)
        return ready_BTD

    def hand_over(self, model: Transformer) -> None:
        """Go on with `model`, which has the same weights elsewhere, from the latents there are."""
        self.model = model
        self.cached.use(model, list(model.layers))

    @torch.no_grad()
    def logits(self, ready: Tensor) -> Tensor:
        """Next-token logits FP32 [..., V] of representations [..., D]."""
        return head(self.model, ready)


def head(model: Transformer, ready: Tensor) -> Tensor:
    """The output head, FP32 [..., V], of representations behind their last norm."""
    return linear(ready, model.lm_head.weight).float()


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of tokens as int64[B, T], short ones with zeros behind them, which is any token: no row sees
    its padding."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], dtype=torch.int64)
