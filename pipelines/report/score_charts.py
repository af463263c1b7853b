"""Distributions of scores as charts of the page, with the limits drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from corpusmill.pipelines.inspection import plain_text
from corpusmill.pipelines.inspection.score_histograms import ScoreDistribution, ScoreGroup
from corpusmill.pipelines.inspection.score_rendering import constant_words
from corpusmill.pipelines.report.charts import short
from corpusmill.pipelines.report.foreign_text import visible

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 300, 116, 4, 18, 20


@dataclass(frozen=True)
class ScoreChart:
    """One chart: a language, or all, and how many documents it shows."""

    language: str
    words: str
    drawn: Markup


@dataclass(frozen=True)
class ScoreCharts:
    """The charts of one score, none of one that is constant, and its limits in words."""

    score: str
    limits: tuple[str, ...]
    charts: tuple[ScoreChart, ...]


@dataclass(frozen=True)
class ScoreStage:
    """The scores of one filter of a source."""

    source: str
    step: str
    stage: str
    units: int
    of_units: int
    kept_known: bool
    scores: tuple[ScoreCharts, ...]


def score_stages(distributions: Sequence[ScoreDistribution]) -> list[ScoreStage]:
    """Charts by filter, in their order."""
    made = []
    for _, group in groupby(distributions, lambda one: (one.source, one.step, one.stage)):
        mine = list(group)
        first = mine[0]
        made.append(
            ScoreStage(
                source=first.source,
                step=first.step,
                stage=first.stage,
                units=first.units,
                of_units=first.of_units,
                kept_known=first.kept_known,
                scores=tuple(_charts(one) for one in mine),
            )
        )
    return made


def _charts(one: ScoreDistribution) -> ScoreCharts:
    limits = dict.fromkeys(
        f"{line.option} = {line.value:g}: {line.side} it {plain_text.reason(line.reason)}"
        for group in one.groups
        for line in group.lines
    )
    if one.constant is not None:
        return ScoreCharts(one.score, (constant_words(one, one.constant), *limits), ())
    charts = tuple(
        ScoreChart(group.language or "all languages", _words(group), _drawn(one, group))
        for group in one.groups
    )
    return ScoreCharts(one.score, tuple(limits), charts)


def _words(group: ScoreGroup) -> str:
    without = f", {group.without:,} without" if group.without else ""
    return f"{group.documents:,} documents{without}"


def _drawn(one: ScoreDistribution, group: ScoreGroup) -> Markup:
    """Stacked bars, removed ones above those let pass; their places are those of the bars, not of values."""
    edges = [bar.from_ for bar in group.bars] + [group.bars[-1].to]
    each = (_WIDTH - 2 * _LEFT) / len(group.bars)
    most = max((bar.passed + bar.removed for bar in group.bars), default=0)
    floor, room = _HEIGHT - _BOTTOM, _HEIGHT - _TOP - _BOTTOM
    shapes = {"kept": "", "removed": ""}
    for number, bar in enumerate(group.bars):
        base = float(floor)
        for css, count in (("kept", bar.passed), ("removed", bar.removed)):
            if count:
                tall = max(1.0, room * count / most)
                x = _LEFT + number * each
                shapes[css] += f"M{x:.1f} {base:.1f}v{-tall:.1f}h{each * 0.9:.1f}v{tall:.1f}z"
                base -= tall
    label = f"{one.stage}.{one.score} of {one.source}, {group.language or 'all languages'}"
    body = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        _WIDTH, _HEIGHT, visible(label)
    )
    for css, path in shapes.items():
        if path:
            body += Markup('<path d="{}" class="{}"/>').format(path, css)
    for line in group.lines:
        if edges[0] <= line.value <= edges[-1]:
            at = min(range(len(edges)), key=lambda k: abs(edges[k] - line.value))
            x = _LEFT + at * each
            body += Markup(
                '<line x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}" class="limit"><title>{3}</title></line>'
            ).format(x, _TOP - 4, floor, visible(f"{line.option} = {line.value:g}"))
            anchor = "start" if x < _WIDTH / 4 else "end" if x > 3 * _WIDTH / 4 else "middle"
            body += Markup('<text x="{:.1f}" y="{}" text-anchor="{}" class="small">{}</text>').format(
                x, _TOP - 7, anchor, visible(f"{line.value:g}")
            )
    for x, anchor, value in ((_LEFT, "start", edges[0]), (_WIDTH - _LEFT, "end", edges[-1])):
        body += Markup('<text x="{}" y="{}" text-anchor="{}" class="small">{}</text>').format(
            x, _HEIGHT - 6, anchor, short(value)
        )
    return body + Markup("</svg>")
