"""Rows to other ranks and their gradients back: all-to-all with uneven splits, differentiable.

M rows sent and R rows received by this rank, P ranks, D width.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows_MD: Tensor,
        sent: list[int],
        received: list[int],
        group: dist.ProcessGroup,
        back: dist.ProcessGroup,
    ) -> Tensor:
        ctx.sent, ctx.received, ctx.back = sent, received, back
        return _all_to_all(rows_MD, sent, received, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RD: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _all_to_all(grad_RD, ctx.received, ctx.sent, ctx.back), None, None, None, None


def exchange(
    rows_MD: Tensor,
    sent: list[int],
    received: list[int],
    group: dist.ProcessGroup,
    back: dist.ProcessGroup | None = None,
) -> Tensor:
    """Rows [R, D] from all ranks, in their order: `received[p]` of rank p, to which the next `sent[p]` rows
    of `rows_MD` go. Every rank of the group calls it, forward and backward, with or without rows.

    `back`: the group that gradients travel in, of the same ranks. One of their own lets a rank run a forward
    and a backward pass side by side: collectives of one group must be in one order on all its ranks.

    Raises ValueError where the counts are not those of the rows.
    """
    ranks = group.size()
    if len(sent) != ranks or len(received) != ranks or sum(sent) != rows_MD.shape[0]:
        raise ValueError(f"{sent} and {received} rows for {ranks} ranks and {rows_MD.shape[0]} rows to send")
    rows_RD: Tensor = _Exchange.apply(  # type: ignore[no-untyped-call]
        rows_MD, sent, received, group, group if back is None else back
    )
    return rows_RD


def exchange_counts(counts_PX: Tensor, group: dist.ProcessGroup) -> Tensor:
    """int64[P, X]: row p is the row that rank p has for this rank. `counts_PX`: row p is meant for rank p."""
    theirs_PX = torch.empty_like(counts_PX)
    dist.all_to_all_single(theirs_PX, counts_PX.contiguous(), group=group)
    return theirs_PX


def add_up(tensors: Iterable[Tensor], group: dist.ProcessGroup) -> None:
    """In place: each tensor becomes the sum of those of all ranks, in its own type."""
    for tensor in tensors:
        dist.all_reduce(tensor, group=group)


def _all_to_all(rows_MD: Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup) -> Tensor:
    rows_RD = rows_MD.new_empty(sum(received), *rows_MD.shape[1:])
    dist.all_to_all_single(rows_RD, rows_MD.contiguous(), received, sent, group=group)
    return rows_RD
