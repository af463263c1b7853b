"""How long a step takes on stated hardware: products, tokens on their way to experts, the schedule's waits.

Products run at a share (`efficiency`) of the device's peak, FP8 where the report has it and BF16 for
attention's scores and the head. With DualPipe a forward and a backward pass run side by side, so the longer
of computing and sending counts; alone, and with other schedules, they add up. All gradients are added up, and
weights gathered, after the last pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.parameter_counts import Parts
from corpusmill.training_hooks.planning.hardware import Hardware
from corpusmill.training_hooks.planning.layout import Layout, Stage
from corpusmill.training_hooks.planning.memory import GRADIENT, WEIGHT, Memory
from corpusmill.training_hooks.planning.traffic import BF16_BYTES, Traffic
from corpusmill.training_hooks.schedules.actions import (
    Action,
    Backward,
    Forward,
    InputGradient,
    Overlapped,
    Place,
    Schedule,
)
from corpusmill.training_hooks.schedules.simulate import Timeline, simulate


@dataclass(frozen=True)
class StageTimes:
    """Seconds of a chunk in a stage: computing forward, for the gradient of its input and for that of its
    weights, and sending its tokens to experts and back (forward; as long again backward)."""

    forward: float
    input_gradient: float
    weight_gradient: float
    sending: float


@dataclass(frozen=True)
class Step:
    """A step: seconds in the pipeline and for gradients and weights after it; `bubble` is the mean share of
    the pipeline's seconds in which a rank waits, `sending` of those in which it computes or sends the part in
    which sending alone is on the way."""

    timeline: Timeline
    stages: tuple[StageTimes, ...]
    pipeline_seconds: float
    exchange_seconds: float
    bubble: float

    @property
    def seconds(self) -> float:
        return self.pipeline_seconds + self.exchange_seconds


def step(
    config: ModelConfig,
    layout: Layout,
    stages: Sequence[Stage],
    schedule: Schedule,
    memories: Sequence[Memory],
    sent: Traffic,
    hardware: Hardware,
    *,
    context: int,
    sequences: int,
    precision: str,
    efficiency: float,
) -> Step:
    """The step of `schedule`, of chunks of `sequences` rows of `context` tokens."""
    tokens = sequences * context
    times = tuple(
        stage_times(config, stage, sent, hardware, context, tokens, precision, efficiency) for stage in stages
    )
    computing = 1 - hardware.for_messages / hardware.multiprocessors

    def seconds(rank: int, action: Action) -> float:
        if isinstance(action, Overlapped):
            ahead = times[schedule.stage_of[Place(rank, action.forward.direction)]]
            back = times[schedule.stage_of[Place(rank, action.backward.direction)]]
            work = ahead.forward + back.input_gradient + back.weight_gradient
            sending = ahead.sending + back.sending
            return max(work / computing, sending) if sending else work
        here = times[schedule.stage_of[Place(rank, action.direction)]]
        match action:
            case Forward():
                return here.forward + here.sending
            case Backward():
                return here.input_gradient + here.weight_gradient + here.sending
            case InputGradient():
                return here.input_gradient + here.sending
        return here.weight_gradient

    message = BF16_BYTES * tokens * config.hidden_size / _between(layout, hardware)
    timeline = simulate(schedule, seconds, message)
    waits = [timeline.bubble(rank) for rank in range(schedule.ranks)]
    return Step(
        timeline=timeline,
        stages=times,
        pipeline_seconds=timeline.makespan,
        exchange_seconds=max(_exchange(config, layout, schedule, one, stages, hardware) for one in memories),
        bubble=sum(waits) / len(waits) / timeline.makespan,
    )


def stage_times(
    config: ModelConfig,
    stage: Stage,
    sent: Traffic,
    hardware: Hardware,
    context: int,
    tokens: int,
    precision: str,
    efficiency: float,
) -> StageTimes:
    """The times of `tokens` tokens in one stage."""
    low = efficiency * (hardware.fp8 if precision == "fp8" else hardware.bf16) / tokens
    high = efficiency * hardware.bf16 / tokens
    parts = Parts.of(config)
    active = stage.blocks * parts.attention + stage.dense * parts.dense + stage.mtp * parts.joint
    active += stage.mixtures * (parts.shared + config.num_experts_per_tok * parts.expert)
    heads = stage.mixtures * parts.router + (stage.head + stage.mtp) * parts.table
    products, others = 2.0 * active / low, 2.0 * heads / high
    pair = config.num_attention_heads * (config.qk_head_dim + config.v_head_dim)
    scores = stage.blocks * pair * (context + 1) / high  # a multiplication and an addition for half the pairs
    again = 2.0 * stage.blocks * _up_projections(config) / low
    slower = max(sent.across / hardware.across, sent.within / hardware.within)
    return StageTimes(
        forward=products + others + scores,
        input_gradient=products + others + 2 * scores + again,
        weight_gradient=products + others,
        sending=stage.mixtures * tokens * slower,
    )


def _up_projections(config: ModelConfig) -> int:
    """Parameters of MLA's projections from its latents, which backward computes again."""
    keys = config.kv_lora_rank * (config.qk_nope_head_dim + config.v_head_dim)
    return config.num_attention_heads * (config.q_lora_rank * config.qk_head_dim + keys)


def _between(layout: Layout, hardware: Hardware) -> float:
    """Bytes a second between neighbours of the pipeline."""
    return hardware.within if layout.nodes == 1 else hardware.across


def _exchange(
    config: ModelConfig,
    layout: Layout,
    schedule: Schedule,
    mine: Memory,
    stages: Sequence[Stage],
    hardware: Hardware,
) -> float:
    """Seconds in which a rank's gradients are added up over the devices that have the same parameters, each
    keeping its part, and new weights gathered."""
    holders = len(schedule.stage_of) // schedule.stages
    experts = sum(
        stages[number].mixtures * Parts.of(config).expert * config.n_routed_experts // layout.expert_parallel
        for number in mine.stages
    )
    seconds = 0.0
    for parameters, devices in (
        (mine.parameters - experts, layout.data_parallel * holders),
        (experts, layout.data_parallel * holders // layout.expert_parallel),
    ):
        seconds += parameters * (GRADIENT + WEIGHT) * (devices - 1) / devices / _between(layout, hardware)
    return seconds
