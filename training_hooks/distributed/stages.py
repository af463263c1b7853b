"""Stages of a pipeline: which layers each has, and which of them a pipeline rank has.

The layers are cut into contiguous stages by `planning.cutting`, so that the rank with most to do has as
little as can be. A layer counts the parameters that a token is multiplied by in it: attention, and the dense
network, or router, shared experts and as many routed experts as a token is sent to. Stage 0 has the
embedding, which is a look-up and counts nothing; the last has the norm, the head and the MTP modules, and
counts the head once for each prediction.

MTP modules read the embedding too. With DualPipe and DualPipeV the first and the last stage lie on one rank,
which has it once; with 1F1B and ZB1P the first and the last rank have it both (`holders`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.distributed.layout import Layout
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.parameter_counts import Parts
from corpusmill.training_hooks.planning.cutting import cut
from corpusmill.training_hooks.schedules.actions import Schedule
from corpusmill.training_hooks.schedules.methods import METHODS, made


@dataclass(frozen=True)
class Stage:
    """Main layers `start` to `stop` - 1, and whether the stage is the `first` and the `last`."""

    start: int
    stop: int
    first: bool
    last: bool

    @property
    def layers(self) -> range:
        """Their numbers in the whole model."""
        return range(self.start, self.stop)


@dataclass(frozen=True)
class Pipeline:
    """A model of `config` on `ranks` pipeline ranks by the schedule `method`. Raises UserError where there is
    no such schedule, it cannot have so many ranks, or the layers cannot be cut into its stages."""

    config: ModelConfig
    method: str
    ranks: int

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"no schedule {self.method!r}; there are {', '.join(METHODS)}")
        if self.method == "dualpipe" and (self.ranks < 2 or self.ranks % 2):
            raise UserError(
                f"DualPipe needs an even number of pipeline ranks, not {self.ranks}: take another number, or "
                "the schedule dualpipev"
            )
        if self.ranks < 1:
            raise UserError(f"a pipeline has at least one rank, not {self.ranks}")
        layers, stages = self.config.num_hidden_layers, self.ranks * (2 if self.method == "dualpipev" else 1)
        if stages > layers:  # before a schedule is made, which takes long for thousands of ranks
            raise UserError(
                f"{self.method} of {self.ranks} pipeline ranks: {layers} layers cannot be cut into {stages} "
                "stages: take fewer pipeline ranks"
            )

    @cached_property
    def fewest_chunks(self) -> int:
        """The least number of micro-batches that the schedule can have."""
        return 2 * self.ranks if self.method.startswith("dualpipe") else 1

    def chunks(self, rows: int, micro_batch: int, wanted: int | None = None) -> int:
        """How many micro-batches, all of one size, `rows` rows are divided into: `wanted`, or the fewest that
        the schedule can have and that have at most `micro_batch` rows each.

        Smaller micro-batches fill a schedule that needs many. Raises UserError where there are fewer rows
        than micro-batches (those without a row would cost as much as others), and for a number that the
        schedule cannot have.
        """
        fewest = self.fewest_chunks
        if wanted is not None and (wanted < fewest or (self.method == "dualpipe" and wanted % 2)):
            even = "an even number of " if self.method == "dualpipe" else ""
            raise UserError(
                f"{self.method} of {self.ranks} pipeline ranks needs {even}micro-batches, at least {fewest}, "
                f"not {wanted}"
            )
        if rows < (wanted or fewest):
            why = "as asked" if wanted else f"the fewest of {self.method} with {self.ranks} pipeline ranks"
            raise UserError(
                f"{rows} sequences a rank do not fill {wanted or fewest} micro-batches, {why}: take larger "
                "batches, fewer pipeline ranks or micro-batches, or the schedule zb1p or 1f1b"
            )
        if wanted is not None:
            return wanted
        found = max(-(-rows // micro_batch), fewest)
        return found + found % 2 if self.method == "dualpipe" else found

    def schedule(self, chunks: int) -> Schedule:
        """The schedule of a step. Raises ValueError for a number of chunks that it cannot have."""
        return made(self.method, self.ranks, chunks)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, the first first."""
        schedule = self.schedule(self.fewest_chunks)
        parts, config = Parts.of(self.config), self.config
        experts = config.num_experts_per_tok * parts.expert
        mixture = parts.attention + parts.router + parts.shared + experts
        depths = config.num_nextn_predict_layers
        pieces = cut(
            config,
            schedule.stages,
            paired=len(schedule.directions) > 1,
            dense=parts.attention + parts.dense,
            mixture=mixture,
            last=(1 + depths) * parts.table + depths * (mixture + parts.joint),
        )
        found, start = [], 0
        for piece in pieces:
            stop = start + piece.dense + piece.mixture
            found.append(Stage(start, stop, piece.embedding, piece.head))
            start = stop
        return tuple(found)

    def of_rank(self, rank: int) -> tuple[Stage, ...]:
        """The stages that a pipeline rank has, by direction."""
        schedule = self.schedule(self.fewest_chunks)
        places = sorted(place for place in schedule.stage_of if place.rank == rank)
        return tuple(self.stages[schedule.stage_of[place]] for place in places)

    def holders(self, name: str) -> frozenset[int]:
        """The pipeline ranks that have the parameter or buffer `name` of the whole model."""
        return frozenset(
            rank
            for rank in range(self.ranks)
            if any(has(self.config, stage, name) for stage in self.of_rank(rank))
        )


def pipeline_of(
    config: ModelConfig, layout: Layout, method: str, batch: int, micro_batch: int
) -> Pipeline | None:
    """The pipeline of a layout, for batches of `batch` rows in micro-batches of at most `micro_batch`; None
    for a layout without one. Raises UserError for a model that does not divide so, and for too few rows."""
    layout.require_experts(config.n_routed_experts)
    if layout.pipeline == 1:
        return None
    pipeline = Pipeline(config, method, layout.pipeline)
    pipeline.chunks(layout.most_rows(batch), micro_batch)
    return pipeline


def has(config: ModelConfig, stage: Stage, name: str) -> bool:
    """Whether `stage` uses what is called `name` in the whole model. Raises ValueError for a name that no
    stage uses."""
    first, _, rest = name.partition(".")
    match first:
        case "embed_tokens":
            return stage.first or (stage.last and config.num_nextn_predict_layers > 0)
        case "layers":
            return int(rest.partition(".")[0]) in stage.layers
        case "norm" | "lm_head" | "mtp":
            return stage.last
    raise ValueError(f"{name} is of no stage")
