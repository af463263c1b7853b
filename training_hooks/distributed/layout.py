"""Where each rank of a training stands: pipeline, data and experts, and which rows of a batch are its own.

    world = P * D * E        rank = (p * D + d) * E + e

All D * E ranks of one pipeline rank p have the same stages and different rows of the batch. The routed
experts of a layer are spread over the E ranks of one (p, d). Plain numbers: needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

from corpusmill.pipelines.contract.errors import UserError


class Place(NamedTuple):
    """A rank's pipeline rank, its part of the data, and its share of the experts."""

    pipeline: int
    data: int
    experts: int


@dataclass(frozen=True)
class Layout:
    """P pipeline ranks, D parts of the data, E ranks that the experts of a layer are spread over. Raises
    UserError for sizes below 1."""

    pipeline: int = 1
    data: int = 1
    experts: int = 1

    def __post_init__(self) -> None:
        if min(self.pipeline, self.data, self.experts) < 1:
            raise UserError(f"a layout of {self}: every size is at least 1")

    @classmethod
    def of(cls, ranks: int, *, pipeline: int = 1, experts: int = 1) -> Self:
        """The layout of `ranks` processes; the data is divided over what pipeline and experts leave. Raises
        UserError where they do not divide the ranks."""
        if min(pipeline, experts) < 1 or ranks % (pipeline * experts):
            raise UserError(
                f"{ranks} ranks do not divide into a pipeline of {pipeline} times {experts} ranks for "
                f"experts: give a multiple of {pipeline * experts} as `ranks`, or change `parallel`"
            )
        return cls(pipeline, ranks // (pipeline * experts), experts)

    def __str__(self) -> str:
        return f"{self.pipeline} x {self.data} x {self.experts} (pipeline, data, experts)"

    @property
    def world(self) -> int:
        """Ranks in all."""
        return self.pipeline * self.data * self.experts

    @property
    def readers(self) -> int:
        """Ranks that have rows of their own: D * E."""
        return self.data * self.experts

    def rank(self, pipeline: int, data: int, experts: int) -> int:
        """The rank that stands there."""
        return (pipeline * self.data + data) * self.experts + experts

    def place(self, rank: int) -> Place:
        """Where `rank` stands. Raises ValueError for one that is not there."""
        if not 0 <= rank < self.world:
            raise ValueError(f"rank {rank} of {self.world}")
        rest, experts = divmod(rank, self.experts)
        pipeline, data = divmod(rest, self.data)
        return Place(pipeline, data, experts)

    def rows(self, count: int, place: Place) -> slice:
        """Which of the `count` rows of a batch a rank there has: neighbours, as many as any or one less."""
        reader = place.data * self.experts + place.experts
        return slice(reader * count // self.readers, (reader + 1) * count // self.readers)

    def most_rows(self, count: int) -> int:
        """Rows of the rank that has most of `count`; the others are filled up to it with padding."""
        return -(-count // self.readers)

    def require_experts(self, n_experts: int) -> None:
        """Raises UserError where a layer's experts do not divide among the E ranks."""
        if n_experts % self.experts:
            raise UserError(
                f"{n_experts} experts of a layer do not divide among {self.experts} ranks: set "
                f"`parallel.experts` to a divisor of {n_experts}"
            )
