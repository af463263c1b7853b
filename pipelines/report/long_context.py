"""What the long-context phases showed: loss by position, and needles found before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from corpusmill.pipelines.contract.given import LONGER_CONTEXT
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.records.opaque import Options
from corpusmill.pipelines.records.training_files import (
    LongContext,
    NeedleScore,
    PositionLoss,
    TrainingSummary,
)
from corpusmill.pipelines.report import charts, heat_map
from corpusmill.pipelines.report.training import training_summary
from corpusmill.pipelines.storage.sealed import read_json


@dataclass(frozen=True)
class _Phase:
    step: str
    options: Options
    summary: TrainingSummary


@dataclass(frozen=True)
class LongContextPhase(LongContext, _Phase):
    """A finished phase: its step, options and summary, and the content of long_context.json."""


@dataclass(frozen=True)
class LongContextView:
    """Markup of a phase; None, or no maps, where nothing was measured. `needles`: maps by words;
    `needles_found`: of all that were looked for after the phase."""

    positions: Markup | None = None
    positions_legend: Markup | None = None
    needles: tuple[tuple[str, Markup], ...] = ()
    needles_found: tuple[int, int] | None = None


def long_context(record: RunRecord) -> tuple[LongContextPhase, ...]:
    """Every finished phase in order."""
    found = []
    for step in record.giving(LONGER_CONTEXT):
        path = step.data.file("long_context.json")
        measured = decode(LongContext, read_json(path), str(path))
        options, summary = step.stages[-1].options, training_summary(step)
        found.append(LongContextPhase(step=step.name, options=options, summary=summary, **vars(measured)))
    return tuple(found)


def long_context_view(phases: Sequence[LongContextPhase]) -> list[LongContextView]:
    """Markup of every phase."""
    return [LongContextView(*_positions(phase), *_needles(phase)) for phase in phases]


def _positions(phase: LongContextPhase) -> tuple[Markup | None, Markup | None]:
    """The chart of loss by position, and its legend."""
    losses, before = phase.by_position, phase.context[0]
    if losses is None or len(losses.after) < 2:
        return None, None
    places = [part.to for part in losses.after]
    curves = (
        (losses.before, "as it was", "b"),
        (losses.stretched, "stretched, untrained", "d"),
        (losses.after, "trained", "a"),
    )
    shown = [(parts, words, css) for parts, words, css in curves if parts is not None]
    series = [(words, [part.nats_per_token for part in parts], css) for parts, words, css in shown]
    label = f"held-out loss by tokens before the target, {phase.step}"
    marks = [(f"pre-trained on {before:,}", before, _loss_at(losses.after, before))]
    chart = charts.growth(places, series, marks, label, "tokens before the target (logarithmic)")
    return chart, charts.legend([(css, words) for _, words, css in shown])


def _loss_at(parts: Sequence[PositionLoss], context: int) -> float:
    """Loss of the last part within this context."""
    inside = [part for part in parts if part.to <= context] or parts[:1]
    return inside[-1].nats_per_token


def _needles(phase: LongContextPhase) -> tuple[tuple[tuple[str, Markup], ...], tuple[int, int] | None]:
    """How much less a needle's value costs than without the needle, by depth and length, as heat maps, and
    how many are given back of how many."""
    if phase.needles is None:
        return (), None
    after = phase.needles.after
    maps = tuple(
        (words, _map(scores, f"needles {words} {phase.step}"))
        for words, scores in (("before", phase.needles.before), ("after", after))
    )
    trials = sum(score.trials for score in after)
    return maps, (round(sum(score.retrieved * score.trials for score in after)), trials)


def _map(scores: Sequence[NeedleScore], label: str) -> Markup:
    lengths = sorted({score.length for score in scores})
    depths = sorted({score.depth for score in scores})
    at = {(score.depth, score.length): score for score in scores}
    rows = [
        [at[depth, length].loss_without - at[depth, length].loss for length in lengths] for depth in depths
    ]
    titles = [[_title(at[depth, length]) for length in lengths] for depth in depths]
    names = [f"{depth:.0%} deep" for depth in depths]
    return heat_map.signed(rows, names, [f"{length:,}" for length in lengths], titles, label)


def _title(score: NeedleScore) -> str:
    return (
        f"depth {score.depth:.0%} of {score.length:,} tokens: {score.loss:.2f} nats a token with the needle, "
        f"{score.loss_without:.2f} without; found {score.retrieved:.0%}"
    )
