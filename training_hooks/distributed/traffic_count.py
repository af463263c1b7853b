"""Rows and bytes that a rank sends to experts and back, as they are sent, and what the routing alone says.

A row that stays on its rank is no traffic. Counted are rows of tokens; bytes are of these with all that goes
beside them (gates and numbers of experts in two-level dispatch), without the messages that tell how many rows
will come. N tokens, K experts a token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Pass = Literal["forward", "backward"]
Leg = Literal["dispatch", "combine"]
Link = Literal["across", "within", "own"]


class Sent(NamedTuple):
    """Where rows went: in which pass, to experts or back, and to another node, within it or nowhere."""

    during: Pass
    leg: Leg
    link: Link


@dataclass
class Traffic:
    """What one rank sent. `tokens` were routed; they reached `nodes` nodes in all, their own included."""

    rows: Counter[Sent] = field(default_factory=Counter)
    bytes: Counter[Sent] = field(default_factory=Counter)
    tokens: int = 0
    nodes: int = 0

    def note(self, during: Pass, leg: Leg, links: Sequence[Link], sent: Sequence[int], size: int) -> None:
        """`sent[p]` rows of `size` bytes went over `links[p]`."""
        for link, rows in zip(links, sent, strict=True):
            if link != "own":
                self.rows[Sent(during, leg, link)] += rows
                self.bytes[Sent(during, leg, link)] += rows * size

    def note_beside(
        self, during: Pass, leg: Leg, links: Sequence[Link], sent: Sequence[int], size: int
    ) -> None:
        """As `note`, for what goes beside rows: bytes alone."""
        for link, rows in zip(links, sent, strict=True):
            if link != "own":
                self.bytes[Sent(during, leg, link)] += rows * size

    def total(self, link: Link) -> tuple[int, int]:
        """(rows, bytes) over one kind of link, both passes and both legs."""
        rows, size = (sum(n for sent, n in c.items() if sent.link == link) for c in (self.rows, self.bytes))
        return rows, size


def saved(two_level: Traffic, flat: Traffic) -> dict[Link, float]:
    """The share of flat dispatch's bytes that two levels save by each kind of link, for the same tokens;
    negative where they send more. Raises ValueError where flat dispatch sent none."""
    found: dict[Link, float] = {}
    for link in ("across", "within"):
        before = flat.total(link)[1]
        if not before:
            raise ValueError(f"flat dispatch sent nothing {link} nodes")
        found[link] = 1 - two_level.total(link)[1] / before
    return found


class Rows(NamedTuple):
    """Rows of tokens that one rank dispatches in one pass; those that stay on it are left out. As many come
    back in combine, and as many of both in backward."""

    across: int
    within: int


def dispatched_rows(
    experts_NK: Tensor, n_experts: int, ranks: int, nodes: int, home: int
) -> dict[Literal["flat", "by_rank", "two_level"], Rows]:
    """What `home`'s tokens send by the ways there are: `flat`, a row for each expert; `by_rank`, one for each
    rank that has any; `two_level`, one to each node and there one to each rank.

    In two levels the rows within a node are sent on by the rank with the sender's own local number. Raises
    ValueError where sizes do not divide.
    """
    if ranks % nodes or n_experts % ranks:
        raise ValueError(f"{n_experts} experts, {ranks} ranks and {nodes} nodes do not divide")
    local = ranks // nodes
    rank_NK = experts_NK // (n_experts // ranks)
    reached_NP = torch.zeros(experts_NK.shape[0], ranks, dtype=torch.bool).scatter_(1, rank_NK, True)
    slots_P = torch.bincount(rank_NK.flatten(), minlength=ranks)
    node_Q = torch.unflatten(reached_NP, 1, (nodes, local)).any(2).sum(0)
    local_P = torch.arange(ranks) % local
    rows_P = reached_NP.sum(0)
    my_node = home // local
    here_P = torch.arange(ranks) // local == my_node
    other_P = torch.arange(ranks) != home
    return {
        "flat": Rows(int(slots_P[~here_P].sum()), int(slots_P[here_P & other_P].sum())),
        "by_rank": Rows(int(rows_P[~here_P].sum()), int(rows_P[here_P & other_P].sum())),
        "two_level": Rows(int(node_Q.sum() - node_Q[my_node]), int(rows_P[local_P != home % local].sum())),
    }
