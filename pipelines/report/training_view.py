"""The training section as the page shows it: charts, their legends, and rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from corpusmill.pipelines.recipe.registry import room_command
from corpusmill.pipelines.records.training_files import PipelineUsed, PositionLoss, Score
from corpusmill.pipelines.report import charts, heat_map
from corpusmill.pipelines.report.training import Curve, Looks, Specialisation, TrainingFigures

COLOURS = ("a", "b", "c", "d", "e", "f")  # classes of the style sheet
_LAYERS = 6  # shown, evenly spaced
_ALL = "*"  # all sources together
_BARS = {"model": "model", "ema": "averaged weights", "bigram": "bigram", "unigram": "unigram"}
_BASELINES = ("bigram", "unigram")


@dataclass(frozen=True)
class LayerLoad:
    """Measures of a mixture layer's load at the end; None without any."""

    name: str
    max_violation: float | None
    mean_violation: float | None
    entropy: float | None


@dataclass(frozen=True)
class BalanceView:
    """Charts of how evenly experts are loaded, and a row a layer; without measures of layers, the largest
    violation over all of them alone."""

    chart: Markup
    entropy: Markup | None
    legend: Markup | None
    loads: tuple[LayerLoad, ...]


@dataclass(frozen=True)
class BitsRow:
    """A source, or all of them (`whole`): bits per byte by bar, and the score of the model."""

    name: str
    whole: bool
    bits: tuple[float | None, ...]
    score: Score


@dataclass(frozen=True)
class HeldOutView:
    """Bits per byte by source beside the baselines' (`bars`), while training, and the loss by position; None
    where there is nothing to draw."""

    bars: tuple[str, ...] = ()
    rows: tuple[BitsRow, ...] = ()
    bits: Markup | None = None
    legend: Markup | None = None
    position: Markup | None = None


@dataclass(frozen=True)
class LayerMap:
    """A layer's experts by source, and what they tell about it, in bits."""

    name: str
    information: float | None
    drawn: Markup


@dataclass(frozen=True)
class TrainingView:
    """Markup of the training section; the learning rate is None where none was noted, losses by source where
    none were measured."""

    loss: Markup
    loss_legend: Markup
    learning_rate: Markup | None
    by_source: Markup | None
    by_source_legend: Markup | None
    balance: BalanceView
    held_out: HeldOutView
    specialisation: tuple[LayerMap, ...]
    heat_legend: Markup
    pipeline: Markup | None
    pipeline_waits: str | None


def training_view(training: TrainingFigures) -> TrainingView:
    """The section's charts and rows."""
    curves, used = training.curves, training.summary.pipeline
    pipeline, waits = (None, None) if used is None else _pipeline(used)
    rate = charts.curve(
        curves.step,
        [("learning rate", curves.learning_rate, "a")],
        [("0", 0.0)],
        "learning rate by step",
        "step",
    )
    return TrainingView(
        loss=_loss(training),
        loss_legend=charts.legend([("a", "next token"), ("b", "token after next (MTP)")]),
        learning_rate=rate if any(curves.learning_rate) else None,
        by_source=_by_source(training),
        by_source_legend=charts.legend(list(zip(COLOURS, training.source_curves, strict=False))),
        balance=_balance(training),
        held_out=_held_out(training),
        specialisation=_specialisation(training.routing) if training.routing is not None else (),
        heat_legend=heat_map.legend(),
        pipeline=pipeline,
        pipeline_waits=waits,
    )


def _pipeline(used: PipelineUsed) -> tuple[Markup, str]:
    picture, least, most = room_command("training_hooks", "pipeline_picture")(used)
    # Every text of the picture is a name or number of this package, escaped where it is made.
    return Markup(picture), f"{least:.0%}" if most - least < 0.005 else f"{least:.0%} to {most:.0%}"  # noqa: S704


def _loss(training: TrainingFigures) -> Markup:
    curves, summary = training.curves, training.summary
    series = [("loss of the next token", curves.loss, "a")]
    if any(curves.mtp_loss):
        series.insert(0, ("loss of the token after next", curves.mtp_loss, "b"))
    references = [(f"uniform guess, ln V = {summary.ln_vocab:.2f}", summary.ln_vocab)]
    if summary.unigram_entropy is not None:
        words = f"unigram entropy = {summary.unigram_entropy:.2f}"
        references.append((words, summary.unigram_entropy))
    return charts.curve(curves.step, series, references, "training loss by step", "step")


def _by_source(training: TrainingFigures) -> Markup | None:
    """The losses of as many sources as there are colours; None where none was measured twice."""
    curves = list(zip(training.source_curves.items(), COLOURS, strict=False))
    series = [(name, values, css) for (name, values), css in curves]
    if not any(sum(value is not None for value in values) > 1 for _, values, _ in series):
        return None
    return charts.curve(training.curves.step, series, [], "training loss by source and step", "step")


def _balance(training: TrainingFigures) -> BalanceView:
    steps, experts, routing = training.curves.step, training.experts, training.routing
    label = "expert load imbalance by step"
    even = [("even load", 0.0)]
    if experts is None:
        largest = [("largest violation", training.curves.max_expert_violation, "a")]
        return BalanceView(charts.curve(steps, largest, even, label, "step"), None, None, ())
    layers = routing.layers if routing is not None else ()
    names = layers or tuple(f"mixture layer {k + 1}" for k in range(len(experts.entropy)))
    coloured = list(zip(_spread(len(names)), COLOURS, strict=False))
    violations = [(names[k], experts.max_violation[k], css) for k, css in coloured]
    entropies = [(names[k], experts.entropy[k], css) for k, css in coloured]
    return BalanceView(
        chart=charts.curve(steps, violations, even, label, "step"),
        entropy=charts.curve(
            steps, entropies, [("even load", 1.0)], "entropy of expert load by step", "step"
        ),
        legend=charts.legend([(css, names[k]) for k, css in coloured]),
        loads=tuple(
            LayerLoad(name, largest[-1], mean[-1], entropy[-1])
            for name, largest, mean, entropy in zip(
                names, experts.max_violation, experts.mean_violation, experts.entropy, strict=False
            )
        ),
    )


def _spread(count: int) -> list[int]:
    """At most `_LAYERS` of `count` places, the first and the last among them."""
    if count <= _LAYERS:
        return list(range(count))
    return [round(k * (count - 1) / (_LAYERS - 1)) for k in range(_LAYERS)]


def _name(source: str) -> str:
    return "all sources" if source == _ALL else source


def _held_out(training: TrainingFigures) -> HeldOutView:
    evaluation = training.evaluation
    if evaluation is None or evaluation.scores is None:
        return HeldOutView()
    scores = evaluation.scores
    bars = [name for name in _BARS if name in scores]
    rows = tuple(
        BitsRow(_name(source), source == _ALL, tuple(_bits(scores[name].get(source)) for name in bars), score)
        for source, score in scores["model"].items()
    )
    bits, legend = _looks(training.held_out, scores)
    words = tuple(_BARS[name] for name in bars)
    return HeldOutView(words, rows, bits, legend, _position(evaluation.by_position or ()))


def _bits(score: Score | None) -> float | None:
    return score.bits_per_byte if score is not None else None


def _looks(
    looks: Looks | None, scores: Mapping[str, Mapping[str, Score]]
) -> tuple[Markup | None, Markup | None]:
    """The chart of bits per byte by step, and its legend; None of fewer than two looks."""
    if looks is None or len(looks.step) < 2:
        return None, None
    whole = {name: scores[name][_ALL].bits_per_byte for name in _BASELINES}
    sizes = {source: score.bytes for source, score in scores["model"].items()}
    order = sorted(looks.bits_per_byte, key=lambda source: (-sizes.get(source, 0), source))
    curves = [(source, _whole(looks.bits_per_byte[source])) for source in order]
    known = [(source, values) for source, values in curves if values is not None]
    series = [(_name(source), values, css) for (source, values), css in zip(known, COLOURS, strict=False)]
    references = [(f"{name}, all sources = {value:.2f}", value) for name, value in whole.items() if value]
    chart = charts.curve(looks.step, series, references, "held-out bits per byte by step", "step")
    return chart, charts.legend([(css, name) for name, _, css in series])


def _whole(values: Curve) -> Curve | None:
    """The curve, None where one of its points is not there."""
    return values if all(value is not None for value in values) else None


def _position(positions: Sequence[PositionLoss]) -> Markup | None:
    if len(positions) < 2:
        return None
    series = [("loss", [part.nats_per_token for part in positions], "a")]
    label = "held-out loss by tokens before the target"
    axis = "tokens before the target (logarithmic)"
    return charts.growth([part.to for part in positions], series, [], label, axis)


def _specialisation(routing: Specialisation) -> tuple[LayerMap, ...]:
    if not routing.sources:
        return ()
    maps = []
    for k in _spread(len(routing.layers)):
        name, over_even = routing.layers[k], routing.over_even[k]
        experts = [str(expert) for expert in range(len(over_even[0]))]
        drawn = heat_map.heat_map(over_even, routing.sources, experts, f"experts of {name} by source")
        maps.append(LayerMap(name, routing.information[k], drawn))
    return tuple(maps)
