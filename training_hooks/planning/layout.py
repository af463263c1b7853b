"""How a model is laid out over devices: pipeline, experts, data, and the layers of each stage."""

from __future__ import annotations

from dataclasses import dataclass

from corpusmill.training_hooks.schedules.actions import Schedule
from corpusmill.training_hooks.schedules.methods import METHODS, made


@dataclass(frozen=True)
class Layout:
    """`pipeline` ranks, each of as many devices as rows of the batch are trained side by side
    (`data_parallel`); `expert_parallel` of these share one set of experts. No tensor parallelism.

    Raises ValueError for numbers that do not divide.
    """

    nodes: int
    per_node: int
    pipeline: int
    expert_parallel: int
    method: str

    def __post_init__(self) -> None:
        numbers = (self.nodes, self.per_node, self.pipeline, self.expert_parallel)
        if min(numbers) < 1:
            raise ValueError("nodes, devices, pipeline and expert parallelism are at least 1")
        if self.devices % self.pipeline:
            raise ValueError(f"{self.devices} devices do not divide into {self.pipeline} pipeline ranks")
        if self.data_parallel % self.expert_parallel:
            raise ValueError(
                f"{self.data_parallel} devices of a pipeline rank do not divide into groups of "
                f"{self.expert_parallel} that share experts"
            )
        if self.expert_parallel > self.per_node and self.expert_parallel % self.per_node:
            raise ValueError(
                f"{self.expert_parallel} devices that share experts do not fill nodes of {self.per_node}"
            )
        if self.expert_parallel < self.per_node and self.per_node % self.expert_parallel:
            raise ValueError(
                f"nodes of {self.per_node} devices do not divide into groups of {self.expert_parallel} that "
                "share experts: a group would lie on two nodes"
            )
        if self.method not in METHODS:
            raise ValueError(f"no schedule {self.method!r}; there are {', '.join(METHODS)}")

    @property
    def devices(self) -> int:
        return self.nodes * self.per_node

    @property
    def data_parallel(self) -> int:
        return self.devices // self.pipeline

    @property
    def expert_nodes(self) -> int:
        """Nodes that one set of experts is spread over."""
        return max(1, self.expert_parallel // self.per_node)

    def schedule(self, chunks: int) -> Schedule:
        """The schedule of a step of `chunks` micro-batches. Raises ValueError where there is none."""
        return made(self.method, self.pipeline, chunks)


@dataclass(frozen=True)
class Stage:
    """A contiguous piece of the model: `dense` and `mixture` blocks, the embedding, the head, MTP modules."""

    dense: int
    mixture: int
    embedding: bool
    head: bool
    mtp: int

    @property
    def mixtures(self) -> int:
        """Layers with routed experts, those of MTP modules included."""
        return self.mixture + self.mtp

    @property
    def blocks(self) -> int:
        return self.dense + self.mixtures
