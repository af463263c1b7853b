"""Loss by position: whether a longer context still helps, or breaks.

B rows, T positions, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from corpusmill.training_hooks.inference.decode import head
from corpusmill.training_hooks.model.transformer import Transformer

HEAD_LOGITS = 2**24  # logits held at once: the head runs over pieces of a sequence, not over all of it


@dataclass(frozen=True)
class PositionLoss:
    """Mean loss in nats of `tokens` targets at positions `first`..`last`, both counted (a target at position
    p has p tokens before it); null without targets."""

    first: int
    last: int
    tokens: int
    loss: float | None


def doubling_edges(longest: int) -> list[int]:
    """Edges 1, 2, 4, 8, ... of buckets of positions, up to `longest` + 1: as many tokens again in each."""
    edges = [1]
    while edges[-1] <= longest:
        edges.append(min(2 * edges[-1], longest + 1))
    return edges


@torch.no_grad()
def loss_by_position(
    model: Transformer, batches: Iterable[tuple[Tensor, Tensor]], edges: Sequence[int]
) -> list[PositionLoss]:
    """Mean next-token loss of the main model in each bucket `edges[i]` <= position < `edges[i + 1]`.

    `batches`: (tokens int64[B, T + 1], real bool[B, T + 1], false on padding, which is no target). Positions
    beyond the last edge are left out. Raises ValueError for edges that do not rise or start below 1: the
    token at position 0 is predicted from nothing.
    """
    if len(edges) < 2 or edges[0] < 1 or any(b <= a for a, b in pairwise(edges)):
        raise ValueError(f"edges must rise and start at 1 or above, got {list(edges)}")
    sums = torch.zeros(len(edges) - 1, dtype=torch.float64)
    counts = torch.zeros(len(edges) - 1, dtype=torch.int64)
    bounds = torch.tensor(edges)
    device = model.embed_tokens.weight.device
    for given, given_real in batches:
        tokens, real = given.to(device), given_real.to(device)
        h_BTD, _ = model.trunk(tokens[:, :-1], real[:, :-1])
        losses_BT = token_losses(model, model.norm(h_BTD), tokens[:, 1:]).cpu()
        positions_T = torch.arange(1, tokens.shape[1])
        bucket_T = torch.bucketize(positions_T, bounds, right=True) - 1
        inside_BT = real[:, 1:].cpu() & ((bucket_T >= 0) & (bucket_T < len(sums)))
        bucket_N = bucket_T.expand_as(inside_BT)[inside_BT]
        sums.index_add_(0, bucket_N, losses_BT[inside_BT].double())
        counts += torch.bincount(bucket_N, minlength=len(sums))
    return [
        PositionLoss(first, end - 1, int(count), float(total) / int(count) if count else None)
        for (first, end), total, count in zip(pairwise(edges), sums, counts, strict=True)
    ]


@torch.no_grad()
def token_losses(model: Transformer, ready_BTD: Tensor, targets_BT: Tensor) -> Tensor:
    """Loss in nats of each target, FP32[B, T], from representations ready for the head. Never holds the
    logits of more than about 2^24 numbers."""
    rows, length, _ = ready_BTD.shape
    step = max(1, HEAD_LOGITS // (rows * model.config.vocab_size))
    pieces = []
    for start in range(0, length, step):
        logits_BTV = head(model, ready_BTD[:, start : start + step])
        part_BT = targets_BT[:, start : start + step]
        losses = functional.cross_entropy(logits_BTV.flatten(0, 1), part_BT.flatten(), reduction="none")
        pieces.append(losses.view_as(part_BT))
    return torch.cat(pieces, dim=1)
