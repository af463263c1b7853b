"""Two-level dispatch (section 3.2.2): a token's row goes once to each node that has one of its experts, to
the rank there with the sender's own local number, and that rank sends it on to the ranks of its experts.

Back the same way: a rank adds up what its experts gave a token, weighted by their gates; the rank that sent
the row on adds up over the ranks of its node; the token's own rank over nodes. Every sum is FP32, in the
order of a token's experts, of ranks and of nodes, so results repeat bit for bit. What goes out (rows, and in
backward the gradients of sums) and what comes back (sums, and in backward the gradients of rows) are each
other's transpose, so one pair of functions serves both directions of differentiation.

Rows reach an expert in the order of the rank they come from, as in flat dispatch: experts compute the same
bits either way, only the sums differ, by round-off. Formats of the wire apply to each hop: FP8 is packed once
and sent on as it is; a sum in BF16 is rounded at each hop.

N tokens of this rank, K experts a token, Q nodes of L ranks, M rows this rank sends across, S rows it has
from other nodes and sends on, R rows that arrive at it, X experts of a rank, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from corpusmill.training_hooks.distributed.exchange import all_to_all, exchange_counts
from corpusmill.training_hooks.distributed.node_groups import Hop, NodeHops
from corpusmill.training_hooks.distributed.own_experts import own_slots, rows_of_slots, sum_of_slots
from corpusmill.training_hooks.distributed.traffic_count import Leg, Pass, Traffic
from corpusmill.training_hooks.distributed.ways import Compute, sorted_by_second
from corpusmill.training_hooks.distributed.wire import AS_THEY_ARE, Format, Wire, pack, unpack


@dataclass(frozen=True)
class Copies:
    """One hop of one pass: row m that is sent is a copy of row `source[m]` of `rows` rows; rows for one rank
    stand together, `sent` rows each, and a row goes to a rank at most once."""

    hop: Hop
    rows: int
    source: Tensor
    sent: list[int]
    received: list[int]

    def added_up(self, copies_MD: Tensor) -> Tensor:
        """[rows, D]: the sum of each row's copies in the order of ranks, in FP32 or wider."""
        wide = torch.promote_types(copies_MD.dtype, torch.float32)
        sums = copies_MD.new_zeros(self.rows, copies_MD.shape[1], dtype=wide)
        # No row occurs twice in a part, so the order of additions is that of the parts, on any device.
        for source, part in zip(
            torch.split(self.source, self.sent), torch.split(copies_MD, self.sent), strict=True
        ):
            sums.index_add_(0, source, part.to(wide))
        return sums


@dataclass(frozen=True)
class Plan:
    """Where rows go. `order` int64[R] brings rows that arrived into the order of the rank they are from, and
    `back` into that of arrival."""

    across: Copies
    within: Copies
    order: Tensor
    back: Tensor
    traffic: Traffic

    def out(self, rows_ND: Tensor, format: Format, during: Pass, *, beside: bool = False) -> Tensor:
        """The rows that reach this rank, [R, D] in the type of `rows_ND`, from all ranks. `beside`: they are
        no tokens but go beside them."""
        payload = pack(rows_ND, format)
        for copies in (self.across, self.within):
            payload = payload.index_select(0, copies.source)
            self._note(payload, copies.hop, copies.sent, during, "dispatch", beside)
            payload = all_to_all(payload, copies.sent, copies.received, copies.hop.group(during))
        return unpack(payload.index_select(0, self.order), format, rows_ND.shape[1], rows_ND.dtype)

    def home(self, rows_RD: Tensor, format: Format, during: Pass, *, beside: bool = False) -> Tensor:
        """The transpose: [N, D], FP32 or wider, the sum of what all copies of a token's row became."""
        rows = rows_RD.index_select(0, self.back)
        for copies in (self.within, self.across):
            payload = pack(rows, format)
            self._note(payload, copies.hop, copies.received, during, "combine", beside)
            payload = all_to_all(payload, copies.received, copies.sent, copies.hop.group(during))
            rows = copies.added_up(unpack(payload, format, rows.shape[1], rows.dtype))
        return rows

    def _note(self, payload: Tensor, hop: Hop, sent: list[int], during: Pass, leg: Leg, beside: bool) -> None:
        size = payload.shape[1] * payload.element_size()
        note = self.traffic.note_beside if beside else self.traffic.note
        note(during, leg, hop.links, sent, size)


class _Out(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows_ND: Tensor, plan: Plan, wire: Wire, dtype: torch.dtype, beside: bool
    ) -> Tensor:
        ctx.plan, ctx.wire, ctx.dtype, ctx.beside = plan, wire, rows_ND.dtype, beside
        return plan.out(rows_ND.to(dtype), wire.dispatch, "forward", beside=beside)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RD: Tensor) -> tuple[Tensor, None, None, None, None]:
        grad_ND = ctx.plan.home(grad_RD, ctx.wire.combine, "backward", beside=ctx.beside)
        return grad_ND.to(ctx.dtype), None, None, None, None


class _Home(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_RD: Tensor, plan: Plan, wire: Wire) -> Tensor:
        ctx.plan, ctx.wire, ctx.dtype = plan, wire, rows_RD.dtype
        return plan.home(rows_RD, wire.combine, "forward")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor, None, None]:
        return ctx.plan.out(grad_ND.to(ctx.dtype), ctx.wire.dispatch, "backward"), None, None


@dataclass
class TwoLevel:
    """`most`: the nodes that a token may reach (`node_groups.most_nodes`); None for all."""

    hops: NodeHops
    wire: Wire = AS_THEY_ARE
    most: int | None = None
    traffic: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        self.ranks = self.hops.ranks
        self.rank = self.hops.node * self.hops.size + self.hops.local

    def mixed(
        self,
        x_ND: Tensor,
        experts_NK: Tensor,
        gates_NK: Tensor,
        n_local: int,
        dtype: torch.dtype,
        compute: Compute,
    ) -> Tensor:
        """See `ways.Way`. Gates go beside the rows, in FP32."""
        plan, experts_RK = self._plan(experts_NK, n_local)
        x_RD: Tensor = _Out.apply(x_ND, plan, self.wire, dtype, False)  # type: ignore[no-untyped-call]
        gates_RK: Tensor = _Out.apply(  # type: ignore[no-untyped-call]
            gates_NK, plan, AS_THEY_ARE, gates_NK.dtype, True
        )
        slots = own_slots(experts_RK - self.rank * n_local, n_local)
        y_RD = sum_of_slots(compute(rows_of_slots(x_RD, slots), slots.counts), gates_RK, slots)
        y_ND: Tensor = _Home.apply(y_RD, plan, self.wire)  # type: ignore[no-untyped-call]
        return y_ND

    def _plan(self, experts_NK: Tensor, n_local: int) -> tuple[Plan, Tensor]:
        """The plan of a pass, and the experts int64[R, K] of the rows that arrive."""
        hops, device = self.hops, experts_NK.device
        tokens = experts_NK.shape[0]
        reached_NQ = torch.zeros(tokens, hops.nodes, dtype=torch.bool, device=device)
        reached_NQ.scatter_(1, experts_NK // (hops.size * n_local), True)
        self._count(reached_NQ)
        sent_Q = reached_NQ.sum(0)
        received_Q = exchange_counts(sent_Q[:, None], hops.across.forward)[:, 0]
        across = Copies(
            hops.across, tokens, reached_NQ.t().nonzero()[:, 1], sent_Q.tolist(), received_Q.tolist()
        )
        experts_SK = self._beside(experts_NK, across)

        # Of the ranks here; experts of other nodes go to a column that is cut off.
        local_SK = experts_SK // n_local - hops.node * hops.size
        local_SK = torch.where((local_SK >= 0) & (local_SK < hops.size), local_SK, hops.size)
        reached_SL = torch.zeros(len(experts_SK), hops.size + 1, dtype=torch.bool, device=device)
        reached_SL = reached_SL.scatter_(1, local_SK, True)[:, :-1]
        from_S = torch.arange(hops.nodes, device=device).repeat_interleave(received_Q)
        sent_LQ = torch.stack([reached_SL[from_S == node].sum(0) for node in range(hops.nodes)], dim=1)
        received_LQ = exchange_counts(sent_LQ, hops.within.forward)
        within = Copies(
            hops.within,
            len(experts_SK),
            reached_SL.t().nonzero()[:, 1],
            sent_LQ.sum(1).tolist(),
            received_LQ.sum(1).tolist(),
        )
        order, back = sorted_by_second(received_LQ)
        plan = Plan(across, within, order, back, self.traffic)
        return plan, self._beside(experts_SK, within).index_select(0, order)

    def _count(self, reached_NQ: Tensor) -> None:
        each_N = reached_NQ.sum(1)
        if self.most is not None:
            assert int(each_N.max() if len(each_N) else 0) <= self.most, "a token reaches too many nodes"
        self.traffic.tokens += len(each_N)
        self.traffic.nodes += int(each_N.sum())

    def _beside(self, experts: Tensor, copies: Copies) -> Tensor:
        """The numbers of experts, int64, of the rows that arrive by one hop; four bytes each on the way."""
        rows = experts.to(torch.int32).index_select(0, copies.source)
        size = rows.shape[1] * rows.element_size()
        self.traffic.note_beside("forward", "dispatch", copies.hop.links, copies.sent, size)
        return all_to_all(rows, copies.sent, copies.received, copies.hop.forward).long()
