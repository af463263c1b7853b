"""What training showed: losses beside the bars every model must beat, and where each source's tokens went."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.contract.given import MODEL
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.records.opaque import Options
from corpusmill.pipelines.records.training_files import Evaluation, Routing, StepMetrics, TrainingSummary
from corpusmill.pipelines.storage.sealed import read_json

POINTS = 400  # of a curve; longer ones are averaged in equal stretches
SOURCES = 24  # with a curve of their own
_CURVES = ("loss", "mtp_loss", "gradient_norm", "max_expert_violation", "learning_rate")
_EXPERTS = ("max_violation", "mean_violation", "entropy")
Curve = tuple[float | None, ...]  # means of stretches of steps; None where no step has the figure
T = TypeVar("T")


@dataclass(frozen=True)
class Curves:
    """The last step of each stretch of steps, and the means of the stretches."""

    step: tuple[int, ...]
    loss: Curve
    mtp_loss: Curve
    gradient_norm: Curve
    max_expert_violation: Curve
    learning_rate: Curve


@dataclass(frozen=True)
class ExpertCurves:
    """Such means of every mixture layer's measures of load, [layer][point]."""

    max_violation: tuple[Curve, ...]
    mean_violation: tuple[Curve, ...]
    entropy: tuple[Curve, ...]


@dataclass(frozen=True)
class Looks:
    """Steps at which held-out documents were looked at, and `bits_per_byte` there, by source and of all
    (`*`)."""

    step: tuple[int, ...]
    bits_per_byte: Mapping[str, Curve]


@dataclass(frozen=True)
class Specialisation:
    """How far experts keep to sources, over `steps` (first and last).

    `sources`: those with tokens; `over_even[layer][source][expert]`: the expert's share of the source's
    tokens over its share of all tokens, sources weighing the same; 1 where it does not care, None for an
    expert that no token was sent to, and for a source that the layer met no token of. `information[layer]`:
    what the expert tells about the source, in bits, of at most log2 of the sources.
    """

    steps: tuple[int, int]
    layers: tuple[str, ...]
    sources: tuple[str, ...]
    over_even: tuple[tuple[Curve, ...], ...]
    information: Curve


@dataclass(frozen=True)
class TrainingFigures:
    """The training of a step: its options and summary, curves of `steps_averaged` steps a point, the mean
    loss of each source over the last 5% of steps, curves of such losses of up to `SOURCES` sources, and, None
    where there is none, measures of experts, looks at held-out documents, the final evaluation, and how
    experts specialise."""

    step: str
    options: Options
    summary: TrainingSummary
    curves: Curves
    experts: ExpertCurves | None
    steps_averaged: int
    loss_by_source: Mapping[str, float]
    source_curves: Mapping[str, Curve]
    held_out: Looks | None
    evaluation: Evaluation | None
    routing: Specialisation | None


def training(record: RunRecord) -> TrainingFigures | None:
    """Summary of the receipt and curves of `metrics.jsonl`; None before the model is trained.

    Steps that lack a figure (those without a target have no loss) are in no mean of it, and a mean over none
    is None. Raises IntegrityError for files that are damaged.
    """
    step = record.finished_giving(MODEL)
    if step is None:
        return None
    summary = training_summary(step)
    total = summary.steps
    stretch = max(1, math.ceil(total / POINTS))
    curves, experts, by_source = _Means(stretch), _Means(stretch), _Means(stretch)
    tail: dict[str, list[float]] = {}
    looks: list[tuple[int, Mapping[str, float | None]]] = []
    first_of_tail = total - max(1, total // 20)
    layers: set[int] = set()  # those with any load
    for number, metrics in enumerate(_metrics(step.data.file("metrics.jsonl"))):
        curves.add(number, {name: getattr(metrics, name) for name in _CURVES})
        loads = {name: getattr(metrics.experts, name) for name in _EXPERTS}
        layers |= {k for values in loads.values() for k, value in enumerate(values) if value is not None}
        experts.add(number, {_of(name, k): v for name, values in loads.items() for k, v in enumerate(values)})
        if metrics.held_out is not None:
            looks.append((number + 1, metrics.held_out))
        by_source.add(number, metrics.loss_by_source)
        if number >= first_of_tail:
            for source, loss in metrics.loss_by_source.items():
                tail.setdefault(source, []).append(loss)
    ends = tuple(min(total, (k + 1) * stretch) for k in range(curves.points))
    evaluation, routing = _read(Evaluation, step, "evaluation.json"), _read(Routing, step, "routing.json")
    return TrainingFigures(
        step=step.name,
        options=step.stages[-1].options,
        summary=summary,
        curves=Curves(ends, *(curves.mean(name) for name in _CURVES)),
        experts=ExpertCurves(*_layers(experts, sorted(layers))) if layers else None,
        steps_averaged=stretch,
        loss_by_source={source: math.fsum(losses) / len(losses) for source, losses in sorted(tail.items())},
        source_curves={name: by_source.mean(name) for name in by_source.names(SOURCES)},
        held_out=_looks(looks),
        evaluation=evaluation,
        routing=specialisation(routing) if routing is not None else None,
    )


def training_summary(step: StepRecord) -> TrainingSummary:
    """What a step that trained says in brief."""
    return decode(TrainingSummary, step.units[0].summary, str(step.data.path))


def _of(measure: str, layer: int) -> str:
    return f"{measure} {layer}"


class _Means:
    """Means of named values over equal stretches of steps."""

    def __init__(self, stretch: int) -> None:
        self._stretch = stretch
        self._sums: list[dict[str, tuple[float, int]]] = []  # sum and number of the values that there are

    @property
    def points(self) -> int:
        return len(self._sums)

    def add(self, number: int, values: Mapping[str, float | None]) -> None:
        if number % self._stretch == 0:
            self._sums.append({})
        here = self._sums[-1]
        for name, value in values.items():
            if value is not None:
                total, count = here.get(name, (0.0, 0))
                here[name] = total + value, count + 1

    def names(self, most: int) -> list[str]:
        """Names that the most stretches have a value of, in their order."""
        counts = Counter(name for part in self._sums for name in part)
        common = sorted(counts, key=lambda name: (-counts[name], name))[:most]
        return sorted(common)

    def mean(self, name: str) -> Curve:
        """The mean in every stretch, None where no step of it has the value."""
        sums = [part.get(name) for part in self._sums]
        return tuple(None if found is None else found[0] / found[1] for found in sums)


def _layers(means: _Means, layers: Sequence[int]) -> Iterator[tuple[Curve, ...]]:
    for name in _EXPERTS:
        yield tuple(means.mean(_of(name, layer)) for layer in layers)


def _looks(looks: Sequence[tuple[int, Mapping[str, float | None]]]) -> Looks | None:
    if not looks:
        return None
    sources = sorted({source for _, bits in looks for source in bits})
    return Looks(
        step=tuple(step for step, _ in looks),
        bits_per_byte={source: tuple(bits.get(source) for _, bits in looks) for source in sources},
    )


def specialisation(routing: Routing) -> Specialisation:
    """How far experts keep to sources, from the counts of routing.json."""
    tokens = [sum(sum(layer[k]) for layer in routing.counts) for k in range(len(routing.sources))]
    present = [k for k, count in enumerate(tokens) if count]
    over_even: list[tuple[Curve, ...]] = []
    information: list[float | None] = []
    for layer in routing.counts:
        met = [k for k in present if sum(layer[k])]  # an MTP module may meet no token of a rare source
        shares = {k: [count / sum(layer[k]) for count in layer[k]] for k in met}
        even = [math.fsum(column) / len(met) for column in zip(*shares.values(), strict=True)]
        ratios = {
            k: tuple(share / e if e else None for share, e in zip(row, even, strict=True))
            for k, row in shares.items()
        }
        nothing: Curve = (None,) * len(layer[0])
        over_even.append(tuple(ratios.get(k, nothing) for k in present))
        told = [
            share * math.log2(ratio)
            for k in met
            for share, ratio in zip(shares[k], ratios[k], strict=True)
            if share and ratio is not None
        ]
        information.append(max(0.0, math.fsum(told) / len(met)) if met else None)
    return Specialisation(
        steps=routing.steps,
        layers=routing.layers,
        sources=tuple(routing.sources[k] for k in present),
        over_even=tuple(over_even),
        information=tuple(information),
    )


def _read(kind: type[T], step: StepRecord, name: str) -> T | None:
    """The record in a file of a step, None where the step has no such file."""
    if not step.data.has(name):
        return None
    path = step.data.file(name)
    return decode(kind, read_json(path), str(path))


def _metrics(path: Path) -> Iterator[StepMetrics]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}, line {number}"
            try:
                value = json.loads(line)
            except ValueError as error:
                raise damaged(f"{where}: {error}") from error
            yield decode(StepMetrics, value, where)
