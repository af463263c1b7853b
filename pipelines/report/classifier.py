"""How good a trained classifier is on examples held out: figures, and its calibration as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from markupsafe import Markup

from corpusmill.pipelines.contract.given import CLASSIFIER
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.records.classifier_figures import CalibrationBar, ClassifierFigures
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.report.charts import short
from corpusmill.pipelines.report.foreign_text import visible
from corpusmill.pipelines.storage.sealed import read_json

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 340, 250, 40, 12, 12, 36


@dataclass(frozen=True)
class _Trained:
    step: str


@dataclass(frozen=True)
class Classifier(ClassifierFigures, _Trained):
    """A classifier of the run: the step that trained it, and the content of its figures.json."""


def classifiers(record: RunRecord) -> tuple[Classifier, ...]:
    """Every classifier that a finished step gives, in order."""
    found = []
    names = {field.name for field in fields(ClassifierFigures)}
    for step in record.giving(CLASSIFIER):
        path = step.data.file("figures.json")
        told = {name: value for name, value in read_json(path).items() if name in names}
        found.append(Classifier(step=step.name, **vars(decode(ClassifierFigures, told, str(path)))))
    return tuple(found)


def calibration_charts(trained: Sequence[Classifier]) -> list[Markup | None]:
    """A chart for each; None where nothing could be judged."""
    return [_calibration(one.step, one.calibration.bars) if one.calibration.bars else None for one in trained]


def _calibration(step: str, bars: Sequence[CalibrationBar]) -> Markup:
    """Share of positives over mean score, a point for each tenth of scores, larger where there are more
    examples; on the diagonal the two are equal."""
    most = max(bar.examples for bar in bars)

    def at(score: float, share: float) -> tuple[float, float]:
        return (
            _LEFT + (_WIDTH - _LEFT - _RIGHT) * score,
            _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share),
        )

    label = f"calibration of {step}: share of positives by score"
    body = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        _WIDTH, _HEIGHT, visible(label)
    )
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, floor = at(tick, 0)
        left, y = at(0, tick)
        body += Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="rule"/>').format(
            left, y, _WIDTH - _RIGHT, y
        )
        for place, anchor in (((left - 5, y + 4), "end"), ((x, floor + 15), "middle")):
            body += Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="small">{:g}</text>').format(
                *place, anchor, tick
            )
    body += Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="dashed"/>').format(
        *at(0, 0), *at(1, 1)
    )
    places = [at(bar.mean_score, bar.positive) for bar in bars]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    body += Markup('<polyline points="{}" class="curve a"/>').format(drawn)
    for bar, (x, y) in zip(bars, places, strict=True):
        words = f"{bar.examples:,} examples of mean score {bar.mean_score:.3f}: {bar.positive:.1%} positive"
        body += Markup(
            '<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" class="point"><title>{}</title></circle>'
        ).format(x, y, 2 + 4 * (bar.examples / most) ** 0.5, visible(words))
    body += Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="small">{}</text>').format(
        (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4, f"score (largest point: {short(most)} examples)"
    )
    return body + Markup("</svg>")
