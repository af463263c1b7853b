"""Bytes of a device's memory, as the report's systems use it (sections 3.2.3 and 3.3).

What the report leaves open is taken thus: weights are kept in BF16 beside FP32 masters; the residual stream
and latents are BF16; every chunk's rows are spread evenly over experts, so a device computes as many rows as
its own tokens send out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.parameter_counts import Parts
from corpusmill.training_hooks.planning.layout import Layout, Stage
from corpusmill.training_hooks.planning.traffic import BF16_BYTES, FP8_BYTES
from corpusmill.training_hooks.schedules.actions import (
    Backward,
    Forward,
    Overlapped,
    Pass,
    Place,
    Schedule,
    WeightGradient,
)

WEIGHT, GRADIENT = 2.0, 4.0  # bytes a parameter: BF16, FP32
OPTIMISER = 4.0 + 2 * 2.0  # FP32 master weight and two BF16 moments, divided by ZeRO-1
E5M6_BYTES = 1.5  # the input of the linear layer behind attention


@dataclass(frozen=True)
class Memory:
    """Bytes of one device: `weights` and `gradients` of all its stages, its share of the `optimiser` states,
    the most `activations` at once, and `buffers` for messages and logits. `parameters` is what it has of the
    model, `chunks` the most chunks whose activations it keeps, each of one stage."""

    rank: int
    stages: tuple[int, ...]
    parameters: int
    chunks: int
    weights: float
    gradients: float
    optimiser: float
    activations: float
    buffers: float
    total: float


def memory(
    config: ModelConfig,
    layout: Layout,
    stages: Sequence[Stage],
    schedule: Schedule,
    tokens: int,
    precision: str,
) -> tuple[Memory, ...]:
    """The memory of a device of each pipeline rank; `tokens` of a chunk, `precision` fp8 or bf16."""
    made = []
    sizes = [activation_bytes(config, stage, precision) * tokens for stage in stages]
    holders = len(schedule.stage_of) // schedule.stages  # ranks that have a stage
    for rank in range(layout.pipeline):
        numbers = tuple(sorted({stage for place, stage in schedule.stage_of.items() if place.rank == rank}))
        mine = [stages[number] for number in numbers]
        experts = sum(expert_parameters(config, stage, layout.expert_parallel) for stage in mine)
        others = own_parameters(config, mine)
        shared_by = layout.data_parallel * holders  # devices over which ZeRO-1 divides the states of others
        optimiser = OPTIMISER * (others / shared_by + experts / (shared_by / layout.expert_parallel))
        chunks, activations = _peak(schedule, rank, sizes)
        buffers = _buffers(config, mine, tokens, precision, layout)
        weights, gradients = WEIGHT * (experts + others), GRADIENT * (experts + others)
        made.append(
            Memory(
                rank=rank,
                stages=numbers,
                parameters=experts + others,
                chunks=chunks,
                weights=weights,
                gradients=gradients,
                optimiser=optimiser,
                activations=activations,
                buffers=buffers,
                total=weights + gradients + optimiser + activations + buffers,
            )
        )
    return tuple(made)


def expert_parameters(config: ModelConfig, stage: Stage, expert_parallel: int) -> int:
    """Parameters of a stage's routed experts on one device."""
    return stage.mixtures * Parts.of(config).expert * config.n_routed_experts // expert_parallel


def own_parameters(config: ModelConfig, stages: Sequence[Stage]) -> int:
    """Parameters of stages of one device beside routed experts. Embedding and head are there once, however
    many of its stages and MTP modules use them."""
    parts = Parts.of(config)
    count = 0
    for stage in stages:
        count += stage.blocks * (parts.attention + parts.block_norms)
        count += stage.dense * parts.dense + stage.mixtures * (parts.router + parts.shared)
        count += stage.mtp * parts.joint + stage.head * parts.last_norm
    tables = any(stage.embedding or stage.mtp for stage in stages) + any(stage.head for stage in stages)
    return count + tables * parts.table


def activation_bytes(config: ModelConfig, stage: Stage, precision: str) -> float:
    """Bytes kept for backward, a token. RMSNorms, MLA's up-projections and SwiGLU's output are computed
    again; in FP8, inputs of linear layers and of SwiGLU are kept in E4M3, attention's output in E5M6."""
    fp8 = precision == "fp8"
    low = FP8_BYTES if fp8 else BF16_BYTES
    width, heads = config.hidden_size, config.num_attention_heads
    attention = BF16_BYTES * (width + config.q_lora_rank + config.kv_lora_rank + config.qk_rope_head_dim)
    attention += heads * config.v_head_dim * (E5M6_BYTES if fp8 else BF16_BYTES)
    attention += 4.0 * heads  # log-sum-exp of the scores, FP32
    dense = BF16_BYTES * width + low * 2 * config.intermediate_size
    wide = 2 * config.moe_intermediate_size
    mixture = BF16_BYTES * width + 4.0 * config.n_routed_experts  # router's affinities, FP32
    mixture += low * config.n_shared_experts * wide
    mixture += low * config.num_experts_per_tok * (width + wide)
    joint = BF16_BYTES * 2 * width  # an MTP module: what its two norms took
    head = BF16_BYTES * width
    return (
        stage.blocks * attention
        + stage.dense * dense
        + stage.mixtures * mixture
        + stage.mtp * (joint + head)
        + stage.head * head
    )


def _buffers(
    config: ModelConfig, stages: Sequence[Stage], tokens: int, precision: str, layout: Layout
) -> float:
    """Two chunks under way at once: rows dispatched and combined of one layer each, a message from and to
    each neighbour; and with the head the logits of a chunk in BF16 and their gradient."""
    rows = tokens * config.num_experts_per_tok * config.hidden_size
    low = FP8_BYTES if precision == "fp8" else BF16_BYTES
    dispatched = 2 * rows * (low + BF16_BYTES) if any(s.mixtures for s in stages) else 0.0
    messages = 4 * BF16_BYTES * tokens * config.hidden_size if layout.pipeline > 1 else 0.0
    logits = 2 * BF16_BYTES * tokens * config.vocab_size if any(s.head for s in stages) else 0.0
    return dispatched + messages + logits


def _peak(schedule: Schedule, rank: int, sizes: Sequence[float]) -> tuple[int, float]:
    """The most chunks kept at once, and the most bytes; `sizes` of a chunk's activations by stage."""
    kept, most, now, peak = 0, 0, 0.0, 0.0

    def size(one: Pass) -> float:
        return sizes[schedule.stage_of[Place(rank, one.direction)]]

    for action in schedule.actions[rank]:
        begun = action.forward if isinstance(action, Overlapped) else action
        ended = action.backward if isinstance(action, Overlapped) else action
        if isinstance(begun, Forward):
            kept, now = kept + 1, now + size(begun)
            most, peak = max(most, kept), max(peak, now)
        if isinstance(ended, Backward | WeightGradient):
            kept, now = kept - 1, now - size(ended)
    return most, peak
