"""What a training leaves beside its weights, as records: metrics, routing, evaluation and its summary.

`metrics.jsonl` has a line a step, `routing.json` and `evaluation.json` are written at its end, and
`long_context.json` by phases of a longer context. The trainer writes them (docs/training.md says what
figures mean); reports show them. Losses are in nats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corpusmill.pipelines.records.opaque import Options


@dataclass(frozen=True)
class RanksFrom:
    """The ranks that a training had from a step on (from 1): how many its layers, its data and the experts of
    a layer were divided among."""

    from_step: int
    pipeline: int
    data: int
    experts: int


@dataclass(frozen=True)
class PipelineUsed:
    """The pipeline that a training's last steps went through: the name of its schedule, its ranks, and the
    chunks that a rank's rows are divided into."""

    schedule: str
    ranks: int
    chunks: int


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """A training in brief. `ln_vocab`: the loss of a uniform guess; `unigram_entropy`: the best that a guess
    without context can do, None without tokens. Losses are None where no step had a target, and
    `bits_per_byte`, by model and baselines, where nothing was held out. `context` and `factor`, of YaRN, are
    of phases of a longer context. `layouts` is empty of a training in one process throughout."""

    bf16_products: str | None = None
    bits_per_byte: Mapping[str, float | None] | None
    context: int | None = None
    factor: float | None = None
    first_loss: float | None
    gamma: float
    last_loss: float | None
    layouts: tuple[RanksFrom, ...] = ()
    ln_vocab: float
    max_expert_violation: float | None
    operations_per_token: float
    parameters: int
    pipeline: PipelineUsed | None = None
    shard_faults: int
    steps: int
    steps_without_targets: int = 0
    tokens: int
    unigram_entropy: float | None


@dataclass(frozen=True)
class ExpertLoads:
    """Measures of the load of every mixture layer's experts; None of a layer without any load."""

    max_violation: tuple[float | None, ...]
    mean_violation: tuple[float | None, ...]
    entropy: tuple[float | None, ...]


@dataclass(frozen=True)
class StepMetrics:
    """A line of `metrics.jsonl`. `tokens`: targets trained on so far; losses are None of a step without a
    target; `held_out`: bits per byte by source and of all (`*`), at steps that look at it."""

    step: int
    tokens: int
    sequences: int
    loss: float | None
    mtp_loss: float | None
    balance_loss: float | None
    loss_by_source: Mapping[str, float]
    gradient_norm: float
    learning_rate: float
    gamma: float
    mtp_weight: float
    max_expert_violation: float | None
    experts: ExpertLoads
    held_out: Mapping[str, float | None] | None = None


@dataclass(frozen=True)
class Routing:
    """`counts[layer][source][expert]` of tokens over `steps`, the first and the last of them."""

    steps: tuple[int, int]
    layers: tuple[str, ...]
    sources: tuple[str, ...]
    counts: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True)
class HeldOutShards:
    """What a model is judged on."""

    documents: int
    tokens: int
    shards: int


@dataclass(frozen=True)
class Baselines:
    """Tokens that unigram and bigram were fitted on, and different pairs among them."""

    tokens: int
    pairs: int


@dataclass(frozen=True)
class Score:
    """How well a model tells documents; None where there is nothing to divide by."""

    documents: int
    bytes: int
    tokens: int
    bits_per_byte: float | None
    nats_per_token: float | None


@dataclass(frozen=True)
class PositionLoss:
    """Mean loss of targets with `from` to `to` tokens before them."""

    from_: int
    to: int
    tokens: int
    nats_per_token: float


@dataclass(frozen=True)
class ShardFault:
    """What is wrong with a shard."""

    shard: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Evaluation:
    """`evaluation.json`: `scores` by model and baseline, then by source and of all (`*`), None where nothing
    was held out; `falls`: mean loss of every source over the first and the last steps; `require`: what the
    recipe required."""

    context: int
    held_out: HeldOutShards | None
    baselines: Baselines | None
    scores: Mapping[str, Mapping[str, Score]] | None
    by_position: tuple[PositionLoss, ...] | None
    falls: Mapping[str, tuple[float | None, float | None]]
    faults: tuple[ShardFault, ...]
    require: Options | None


@dataclass(frozen=True)
class LossesByPosition:
    """Loss by position before a phase, stretched and untrained (None: an earlier phase had stretched it), and
    after it."""

    before: tuple[PositionLoss, ...] | None
    stretched: tuple[PositionLoss, ...] | None
    after: tuple[PositionLoss, ...]


@dataclass(frozen=True)
class NeedleScore:
    """Of `trials` needles at one depth (0 the start, 1 the end) in contexts of one length in tokens: the
    share that is given back, and the loss of a value's token with the needle and without."""

    length: int
    depth: float
    trials: int
    retrieved: float
    loss: float
    loss_without: float


@dataclass(frozen=True)
class NeedleScores:
    """Needles before a phase and after it."""

    before: tuple[NeedleScore, ...]
    after: tuple[NeedleScore, ...]


@dataclass(frozen=True)
class LongContext:
    """`long_context.json`: `context`, tokens pre-trained on and now; `rope_scaling` as in config.json; what
    was measured, None where nothing was held out or asked for."""

    context: tuple[int, int]
    rope_scaling: Options
    by_position: LossesByPosition | None
    needles: NeedleScores | None
