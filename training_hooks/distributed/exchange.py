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

from corpusmill.training_hooks.distributed.node_groups import Hop
from corpusmill.training_hooks.distributed.traffic_count import Leg, Pass, Traffic
from corpusmill.training_hooks.distributed.wire import AS_THEY_ARE, Wire, pack, unpack


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows_MD: Tensor,
        sent: list[int],
        received: list[int],
        hop: Hop,
        leg: Leg,
        wire: Wire,
        traffic: Traffic,
    ) -> Tensor:
        ctx.sent, ctx.received, ctx.leg = sent, received, leg
        ctx.hop, ctx.wire, ctx.traffic = hop, wire, traffic
        return _there(rows_MD, sent, received, hop, "forward", leg, wire, traffic)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RD: Tensor) -> tuple[Tensor | None, ...]:
        # The gradient of dispatched rows comes back as results do, and that of results goes as rows do.
        leg: Leg = "combine" if ctx.leg == "dispatch" else "dispatch"
        grad_MD = _there(grad_RD, ctx.received, ctx.sent, ctx.hop, "backward", leg, ctx.wire, ctx.traffic)
        return grad_MD, None, None, None, None, None, None


def exchange(
    rows_MD: Tensor,
    sent: list[int],
    received: list[int],
    hop: Hop,
    leg: Leg = "dispatch",
    wire: Wire = AS_THEY_ARE,
    traffic: Traffic | None = None,
) -> Tensor:
    """Rows [R, D] from all ranks, in their order: `received[p]` of rank p, to which the next `sent[p]` rows
    of `rows_MD` go. Every rank of the hop calls it, forward and backward, with or without rows. They keep
    their type, whatever the format on the wire.

    Raises ValueError where the counts are not those of the rows.
    """
    ranks = len(hop.links)
    if len(sent) != ranks or len(received) != ranks or sum(sent) != rows_MD.shape[0]:
        raise ValueError(f"{sent} and {received} rows for {ranks} ranks and {rows_MD.shape[0]} rows to send")
    rows_RD: Tensor = _Exchange.apply(  # type: ignore[no-untyped-call]
        rows_MD, sent, received, hop, leg, wire, traffic or Traffic()
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


def all_to_all(rows_MD: Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup) -> Tensor:
    """`exchange` without gradients, formats and counts: rows of any type, [R, ...]."""
    rows_RD = rows_MD.new_empty(sum(received), *rows_MD.shape[1:])
    dist.all_to_all_single(rows_RD, rows_MD.contiguous(), received, sent, group=group)
    return rows_RD


def _there(
    rows_MD: Tensor,
    sent: list[int],
    received: list[int],
    hop: Hop,
    during: Pass,
    leg: Leg,
    wire: Wire,
    traffic: Traffic,
) -> Tensor:
    format = wire.dispatch if leg == "dispatch" else wire.combine
    payload = pack(rows_MD, format)
    traffic.note(during, leg, hop.links, sent, payload.shape[1] * payload.element_size())
    arrived = all_to_all(payload, sent, received, hop.group(during))
    return unpack(arrived, format, rows_MD.shape[1], rows_MD.dtype)
