"""Drafts by the multi-token prediction modules, for the main model to verify (sections 2.2 and 3.4).

Module d reads at position i the representation of depth d - 1 and the token at i + d, and predicts the token
at i + d + 1. With K tokens of a row known and the main model run up to position K - 2, module 1 at K - 2
drafts token K, module 2 at K - 2, given that draft, token K + 1, and so on: D drafts a round.

A module's cache holds its own latents. Places up to K - d - 1 rest on known tokens alone and stay; the d - 1
after them rest on drafts and are computed anew in the next round, when the tokens are known. For that each
depth keeps one representation, the last that the next one will read again.

B rows, T positions, D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from corpusmill.training_hooks.inference.decode import CachedBlocks, head
from corpusmill.training_hooks.model.mtp import MultiTokenPrediction
from corpusmill.training_hooks.model.transformer import Transformer

# Tokens of each row from logits [B, V], given the position in the row that the token will stand at.
Choose = Callable[[Tensor, Sequence[int]], list[int]]


def deepest(model: Transformer, prompts: Sequence[Sequence[int]]) -> int:
    """How many drafts a round these prompts allow: as many as modules, and at most the shortest prompt's
    tokens and one."""
    return min(len(model.mtp), min(len(prompt) for prompt in prompts) + 1)


class Drafter:
    """Drafts `depth` tokens a round for `rows` rows of up to `capacity` tokens. See `deepest`."""

    def __init__(self, model: Transformer, depth: int, rows: int, capacity: int) -> None:
        self.model, self.depth = model, depth
        self._modules = [m for m in list(model.mtp)[:depth] if isinstance(m, MultiTokenPrediction)]
        if len(self._modules) != depth:
            raise ValueError(f"the model has {len(model.mtp)} modules to draft with, {depth} asked for")
        self._caches = [CachedBlocks(model, [m.block], rows, capacity) for m in self._modules]
        self._carried_BD: list[Tensor | None] = [None] * depth

    @torch.no_grad()
    def propose(
        self, known: Sequence[Sequence[int]], ready_BTD: Tensor, first: Sequence[int], choose: Choose
    ) -> list[list[int]]:
        """`depth` drafts of each row.

        `ready_BTD`: the main model's representations, ready for the head, at positions `first`,
        `first` + 1, ... of each row, of which those up to `len(known)` - 2 count: all that came since the
        last round.
        """
        rows = range(len(known))
        drafts: list[list[int]] = [[] for _ in rows]
        carried: list[Tensor | None] = [None] * self.depth  # for the next round
        for index, (module, cached) in enumerate(zip(self._modules, self._caches, strict=True)):
            depth = index + 1
            carried_BD = self._carried_BD[index]
            if carried_BD is not None:
                ready_BTD = torch.cat((carried_BD[:, None], ready_BTD), dim=1)
            start = cached.lengths
            counts = [len(known[row]) - 1 - start[row] for row in rows]
            ready_BTD = self._run(module, cached, known, drafts, ready_BTD, depth, counts)
            kept = [len(known[row]) - depth for row in rows]
            cached.lengths = kept
            if depth < self.depth:
                # The next depth will start at its own length, one less than this one's.
                again = [kept[row] - 1 - start[row] for row in rows]
                carried[depth] = ready_BTD[torch.arange(len(known)), torch.tensor(again)]
            last_BD = ready_BTD[torch.arange(len(known)), torch.tensor(counts) - 1]
            places = [len(known[row]) + index for row in rows]
            for draft, token in zip(drafts, choose(head(self.model, last_BD), places), strict=True):
                draft.append(token)
        self._carried_BD = carried
        return drafts

    def _run(
        self,
        module: MultiTokenPrediction,
        cached: CachedBlocks,
        known: Sequence[Sequence[int]],
        drafts: Sequence[Sequence[int]],
        ready_BTD: Tensor,
        depth: int,
        counts: Sequence[int],
    ) -> Tensor:
        """One module's representations, from those of the depth before."""
        width = ready_BTD.shape[1]
        ahead = []
        for row, start in enumerate(cached.lengths):
            tokens = [*known[row][start + depth : start + depth + width], *drafts[row]][: counts[row]]
            ahead.append([*tokens, *[0] * (width - len(tokens))])
        embedded_BTD = self.model.embed_tokens(torch.tensor(ahead, device=ready_BTD.device))
        joined = torch.cat((module.hnorm(ready_BTD), module.enorm(embedded_BTD)), dim=-1)
        of_depth_BTD: Tensor = module.norm(cached.run(module.eh_proj(joined).float(), counts))
        return of_depth_BTD

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""
        which = torch.tensor(rows, dtype=torch.int64)
        for cached in self._caches:
            cached.cache.keep(rows)
        self._carried_BD = [
            None if carried is None else carried[which.to(carried.device)] for carried in self._carried_BD
        ]
