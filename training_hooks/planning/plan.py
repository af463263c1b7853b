"""A plan of a training: layout, memory, messages, time of a step. See docs/distributed.md for the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.parameter_counts import Counts, flops_per_token, parameter_counts
from corpusmill.training_hooks.planning.cutting import cut
from corpusmill.training_hooks.planning.hardware import Hardware
from corpusmill.training_hooks.planning.layout import Layout, Stage
from corpusmill.training_hooks.planning.memory import Memory, memory
from corpusmill.training_hooks.planning.report_figures import Derived
from corpusmill.training_hooks.planning.speed import StageTimes, Step, stage_times, step
from corpusmill.training_hooks.planning.traffic import Traffic, traffic
from corpusmill.training_hooks.schedules.actions import Forward, Overlapped, Place, Schedule


@dataclass(frozen=True)
class Work:
    """What a step does: `batch` sequences of `context` tokens, in chunks of `sequences`; `precision` of
    products, and the share of the device's peak that they reach."""

    batch: int
    context: int
    sequences: int
    precision: str
    efficiency: float

    def __post_init__(self) -> None:
        if min(self.batch, self.context, self.sequences) < 1:
            raise ValueError("batch, context and sequences of a chunk are at least 1")
        if not 1e-6 <= self.efficiency <= 1:
            raise ValueError(f"efficiency is a share of the peak, 1e-6 to 1, got {self.efficiency}")
        if self.precision not in ("fp8", "bf16"):
            raise ValueError(f"no precision {self.precision!r}; there are fp8, bf16")

    def chunks(self, layout: Layout) -> int:
        """Chunks that each pipeline takes in a step. Raises ValueError where the batch does not divide."""
        each = layout.data_parallel * self.sequences
        if self.batch % each:
            raise ValueError(
                f"a batch of {self.batch} sequences does not divide among {layout.data_parallel} pipelines "
                f"in chunks of {self.sequences}; {max(1, self.batch // each) * each} would"
            )
        return self.batch // each


@dataclass(frozen=True)
class TrainingPlan:
    """All figures of a plan: bytes, seconds, and tokens and operations a second.

    `bubble`: mean share of the pipeline's time in which a rank waits. `all_to_all_across`, `_within`: bytes
    that a device sends in a step to experts and back, to other nodes and within its own. `operations`: of a
    token, recomputing not counted; `utilisation`: of the BF16 peak. `report`: figures of the report where the
    plan is of its layout, with the `efficiency_of_report` at which this model gives its time.
    """

    preset: str
    hardware: Hardware
    layout: Layout
    work: Work
    counts: Counts
    chunks: int
    stages: tuple[Stage, ...]
    stage_seconds: tuple[StageTimes, ...]
    memory: tuple[Memory, ...]
    fits: bool
    traffic: Traffic
    all_to_all_across: float
    all_to_all_within: float
    bubble: float
    pipeline_seconds: float
    exchange_seconds: float
    tokens_per_second: float
    operations: float
    utilisation: float
    hours_per_trillion: float
    report: tuple[Derived, ...] = ()
    efficiency_of_report: float | None = None


def _stages(
    config: ModelConfig, work: Work, hardware: Hardware, schedule: Schedule, sent: Traffic
) -> tuple[Stage, ...]:
    """The layers cut by what they cost in time; sending counts where it runs beside nothing."""
    paired = len(schedule.directions) > 1

    def cost(dense: int, mixture: int, head: bool, mtp: int) -> float:
        one = stage_times(
            config, Stage(dense, mixture, False, head, mtp), sent, hardware,
            work.context, work.sequences * work.context, work.precision, work.efficiency,
        )  # fmt: skip
        computing = one.forward + one.input_gradient + one.weight_gradient
        return computing if paired else computing + 2 * one.sending

    unit = cost(0, 1, False, 0)
    return cut(
        config,
        schedule.stages,
        paired=paired,
        # In whole thousandths, so that rounding at another efficiency makes no other cut.
        dense=round(1000 * cost(1, 0, False, 0) / unit),
        mixture=1000,
        last=round(1000 * cost(0, 0, True, config.num_nextn_predict_layers) / unit),
    )


def _mixtures_passed(schedule: Schedule, stages: Sequence[Stage], rank: int) -> int:
    """Mixture layers that chunks pass on a rank in a step, forward; backward they pass as many."""
    places = [Place(rank, direction) for direction in schedule.directions]
    each = {place.direction: stages[schedule.stage_of[place]].mixtures for place in places}
    forward = [
        action.forward if isinstance(action, Overlapped) else action for action in schedule.actions[rank]
    ]
    return sum(each[one.direction] for one in forward if isinstance(one, Forward))


def make_plan(
    preset: str, config: ModelConfig, layout: Layout, work: Work, hardware: Hardware
) -> tuple[TrainingPlan, Step]:
    """The plan, and the step it was simulated from. Raises ValueError for sizes that do not fit one
    another."""
    chunks = work.chunks(layout)
    schedule = layout.schedule(chunks)
    tokens = work.sequences * work.context
    sent = traffic(config, layout, work.precision)
    stages = _stages(config, work, hardware, schedule, sent)
    memories = memory(config, layout, stages, schedule, tokens, work.precision)
    made = step(
        config, layout, stages, schedule, memories, sent, hardware,
        context=work.context, sequences=work.sequences, precision=work.precision, efficiency=work.efficiency,
    )  # fmt: skip
    speed = work.batch * work.context / made.seconds
    operations = flops_per_token(config, work.context)
    passed = max(_mixtures_passed(schedule, stages, rank) for rank in range(layout.pipeline)) * 2.0 * tokens
    plan = TrainingPlan(
        preset=preset,
        hardware=hardware,
        layout=layout,
        work=work,
        counts=parameter_counts(config),
        chunks=chunks,
        stages=stages,
        stage_seconds=made.stages,
        memory=memories,
        fits=max(one.total for one in memories) <= hardware.memory,
        traffic=sent,
        all_to_all_across=passed * sent.across,
        all_to_all_within=passed * sent.within,
        bubble=made.bubble,
        pipeline_seconds=made.pipeline_seconds,
        exchange_seconds=made.exchange_seconds,
        tokens_per_second=speed,
        operations=operations,
        utilisation=speed * operations / layout.devices / hardware.bf16,
        hours_per_trillion=1e12 / speed / 3600 * layout.devices,
    )
    return plan, made
