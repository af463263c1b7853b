"""The page: figures poured into the template, with every foreign text made visible and escaped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from corpusmill.pipelines.inspection import plain_text
from corpusmill.pipelines.inspection.cluster_rendering import sources_named
from corpusmill.pipelines.inspection.language_facts import unjudged
from corpusmill.pipelines.inspection.window_facts import METHOD, furthest
from corpusmill.pipelines.report.accounts import FunnelRow
from corpusmill.pipelines.report.charts import legend
from corpusmill.pipelines.report.classifier import calibration_charts
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.report.foreign_text import visible
from corpusmill.pipelines.report.long_context import long_context_view
from corpusmill.pipelines.report.page_charts import page_charts
from corpusmill.pipelines.report.samples import RemovedSample
from corpusmill.pipelines.report.score_charts import score_stages
from corpusmill.pipelines.report.tokenizer import tokenizer_view
from corpusmill.pipelines.report.training_view import training_view

_MAIN_REASONS = 3


@cache
def environment() -> Environment:
    """Templates beside this module, compiled once a process, with the page's filters; all is escaped, nothing
    may be missing."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        count=plain_text.count,
        size=plain_text.size,
        duration=plain_text.duration,
        percent=_percent,
        fixed=plain_text.fixed,
        visible=visible,
        sources_named=sources_named,
        reason=lambda word: visible(word) or "(no reason given)",
        score=_score,
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )
    return made


@dataclass(frozen=True)
class SampledReason:
    """Samples of what a stage lost for a reason: documents, or of what it cut (`kind`) bytes."""

    kind: str
    reason: str
    count: int
    samples: tuple[RemovedSample, ...]


@dataclass(frozen=True)
class SampledStage:
    """Samples of what a stage removed, quarantined and cut, by reason, the commonest first."""

    step: str
    stage: str
    documents: int
    bytes_cut: int
    reasons: tuple[SampledReason, ...]


def render_page(report: Report) -> str:
    """The whole HTML page of a report."""
    template = environment().get_template("page.html")
    return template.render(
        **vars(report),
        charts=page_charts(report),
        score_stages=score_stages(report.scores),
        score_legend=legend([("kept", "let pass"), ("removed", "removed by the filter")]),
        unjudged=unjudged,
        calibration_charts=calibration_charts(report.classifiers),
        windows_method=METHOD,
        furthest_shard=furthest,
        main_reasons={name: _main_reasons(rows) for name, rows in report.funnel.items()},
        sample_stages=_sample_stages(report),
        long_context_view=long_context_view(report.long_context),
        training_view=training_view(report.training) if report.training is not None else None,
        tokenizer_view=tokenizer_view(report.tokenizer) if report.tokenizer is not None else None,
    )


def _main_reasons(rows: Sequence[FunnelRow]) -> list[tuple[str, str, int]]:
    """(stage, reason, documents) of what took most of a source's documents."""
    found = [
        (row.stage, reason.reason, reason.documents)
        for row in rows
        if not row.drawing
        for reason in (*row.removed, *row.quarantined)
    ]
    return sorted(found, key=lambda each: -each[2])[:_MAIN_REASONS]


def _sample_stages(report: Report) -> list[SampledStage]:
    """Samples by step and stage, in the order of the funnel."""
    counts: Counter[tuple[str, str, str, str]] = Counter()  # documents, or of what was cut bytes
    order: dict[tuple[str, str], int] = {}
    for rows in report.funnel.values():
        for row in rows:
            order.setdefault((row.step, row.stage), len(order))
            for kind, reasons in (("removed", row.removed), ("quarantined", row.quarantined)):
                for lost in reasons:
                    counts[row.step, row.stage, kind, lost.reason] += lost.documents
            for part in row.cut:
                counts[row.step, row.stage, "cut", part.reason] += part.bytes
    samples: dict[tuple[str, str, str, str], list[RemovedSample]] = {}
    for sample in report.removed_samples:
        samples.setdefault((sample.step, sample.stage, sample.kind, sample.reason), []).append(sample)
    stages: dict[tuple[str, str], list[SampledReason]] = {}
    for key in sorted(samples, key=lambda key: (-counts[key], key)):
        step, stage, kind, reason = key
        one = SampledReason(kind, reason, counts[key], tuple(samples[key]))
        stages.setdefault((step, stage), []).append(one)
    return [
        SampledStage(
            step=step,
            stage=stage,
            documents=sum(one.count for one in reasons if one.kind != "cut"),
            bytes_cut=sum(one.count for one in reasons if one.kind == "cut"),
            reasons=tuple(reasons),
        )
        for (step, stage), reasons in sorted(stages.items(), key=lambda item: order.get(item[0], len(order)))
    ]


def _percent(part: float | None, whole: float = 1.0) -> str:
    return plain_text.percent(part, whole)


def _score(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return visible(value)
