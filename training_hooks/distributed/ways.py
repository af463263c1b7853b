"""Ways for rows to the ranks of their experts and back. `flat`: a row for each expert, straight to its rank.

M rows of this rank, R rows that arrive, N tokens, K experts a token, P ranks, X experts of a rank, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from corpusmill.training_hooks.distributed.exchange import exchange, exchange_counts
from corpusmill.training_hooks.distributed.node_groups import Hop
from corpusmill.training_hooks.distributed.traffic_count import Traffic
from corpusmill.training_hooks.distributed.wire import AS_THEY_ARE, Wire
from corpusmill.training_hooks.model.dispatch import combine, dispatch, slot_order

Compute = Callable[[Tensor, list[int]], Tensor]  # rows sorted by expert, counts of this rank's X experts


class Way(Protocol):
    """What `SpreadExperts` asks to take rows to experts. `rank` of `ranks` has experts rank * X and on."""

    rank: int
    ranks: int
    traffic: Traffic

    def mixed(
        self,
        x_ND: Tensor,
        experts_NK: Tensor,
        gates_NK: Tensor,
        n_local: int,
        dtype: torch.dtype,
        compute: Compute,
    ) -> Tensor:
        """[N, D]: of each token of this rank the sum of its experts' outputs by `gates_NK` FP32.
        `experts_NK` int64; each rank has `n_local` experts, and `compute` runs this one's; rows are sent in
        `dtype` or in a format of the wire. All ranks call it together, forward and backward."""
        ...


@dataclass
class Flat:
    """One all-to-all there and one back. Gates stay with the token, whose sum is made on its own rank in the
    order of its experts, as in one process."""

    hop: Hop
    wire: Wire = AS_THEY_ARE
    traffic: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        self.ranks, self.rank = len(self.hop.links), self.hop.forward.rank()

    def mixed(
        self,
        x_ND: Tensor,
        experts_NK: Tensor,
        gates_NK: Tensor,
        n_local: int,
        dtype: torch.dtype,
        compute: Compute,
    ) -> Tensor:
        """See `Way`."""
        order = slot_order(experts_NK, self.ranks * n_local)
        rows_MD = dispatch(x_ND, order, dtype)
        counts_PX = torch.tensor(order.counts).view(self.ranks, -1)
        theirs_PX = exchange_counts(counts_PX.to(x_ND.device), self.hop.forward)
        sent, received = counts_PX.sum(1).tolist(), theirs_PX.sum(1).tolist()
        arrived_RD = exchange(rows_MD, sent, received, self.hop, "dispatch", self.wire, self.traffic)
        by_expert_R, by_rank_R = sorted_by_second(theirs_PX)
        computed_RD = compute(arrived_RD.index_select(0, by_expert_R), theirs_PX.sum(0).tolist())
        back_RD = computed_RD.index_select(0, by_rank_R)
        done_MD = exchange(back_RD, received, sent, self.hop, "combine", self.wire, self.traffic)
        self.traffic.tokens += x_ND.shape[0]
        return combine(done_MD, gates_NK, order)


def sorted_by_second(counts_PX: Tensor) -> tuple[Tensor, Tensor]:
    """int64[R]: the order that brings rows sorted by (p, x), `counts_PX` of each, into that by (x, p), and
    its inverse."""
    first, second = counts_PX.shape
    second_PX = torch.arange(second, device=counts_PX.device).expand(first, second)
    order_R = torch.argsort(second_PX.flatten().repeat_interleave(counts_PX.flatten()), stable=True)
    back_R = torch.empty_like(order_R)
    back_R[order_R] = torch.arange(order_R.numel(), device=order_R.device)
    return order_R, back_R
