"""The charts of the page that are no section's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from corpusmill.pipelines.inspection.cluster_rendering import size_range
from corpusmill.pipelines.inspection.recall import Recall
from corpusmill.pipelines.report import charts
from corpusmill.pipelines.report.accounts import FunnelRow, SourceAccount
from corpusmill.pipelines.report.charts import power_of_two
from corpusmill.pipelines.report.distributions import LengthBar
from corpusmill.pipelines.report.duplicates import Duplicates
from corpusmill.pipelines.report.figures import Report

_LANGUAGES = 8  # shown of a source
_SOURCES = 16  # of the largest shares of the mixture


@dataclass(frozen=True)
class PageCharts:
    """Charts by what they are of: of each source its funnel stage by stage (`flow`) and as a whole, its
    languages and lengths; of each deduplication its clusters and similarities; the mixture, where there is
    one."""

    flow: Mapping[str, Sequence[Markup]]
    whole: Mapping[str, Markup]
    languages: Mapping[str, Markup]
    bytes: Mapping[str, Markup]
    tokens: Mapping[str, Markup]
    sizes: Mapping[str, Markup]
    similarity: Mapping[str, Markup]
    recall: Mapping[str, Markup]
    mixture: Markup | None
    legend: Markup
    mixture_legend: Markup


def page_charts(report: Report) -> PageCharts:
    """All of them."""
    measured = report.distributions.items()
    return PageCharts(
        flow={name: [_flow(row) for row in rows] for name, rows in report.funnel.items()},
        whole={name: _whole(name, account) for name, account in report.ledger.sources.items()},
        languages={
            name: charts.rows(list(source.languages.items())[:_LANGUAGES], f"languages of {name}")
            for name, source in measured
        },
        bytes={name: _lengths(source.bytes, name, "bytes a document") for name, source in measured},
        tokens={
            name: _lengths(source.tokens, name, "tokens a document")
            for name, source in measured
            if source.tokens is not None
        },
        sizes={one.step: _sizes(one) for one in report.duplicates},
        recall={one.step: _recall(one) for one in report.recall if one.curve},
        similarity={one.step: _similarity(one) for one in report.duplicates},
        mixture=_mixture(report),
        legend=charts.legend([("kept", "kept"), ("removed", "removed"), ("fault", "quarantined")]),
        mixture_legend=charts.legend([("ghost", "requested"), ("kept", "achieved")]),
    )


def _flow(row: FunnelRow) -> Markup:
    removed, lost = row.documents_removed, row.documents_quarantined
    words = f"{row.stage}: {row.documents_kept:,} kept, {removed:,} removed, {lost:,} quarantined"
    return charts.parts(row.documents_kept, removed, lost, words)


def _whole(name: str, account: SourceAccount) -> Markup:
    kept, removed, lost = account.documents_left, account.documents_removed, account.documents_quarantined
    words = f"{name}: {kept:,} left, {removed:,} removed, {lost:,} quarantined"
    return charts.parts(kept, removed, lost, words)


def _sizes(duplicates: Duplicates) -> Markup:
    bars = [(size_range(b), b.clusters, f"{size_range(b)}: {b.clusters:,}") for b in duplicates.cluster_sizes]
    label = f"cluster sizes of {duplicates.step}"
    return charts.histogram(bars, label, "documents in a cluster", "removed")


def _recall(recall: Recall) -> Markup:
    points = []
    for one in recall.bins:
        said = f"{one.found:,} of {one.pairs:,} pairs found, {one.expected:,.1f} by theory"
        place = (one.from_ + one.to) / 2
        points.append((place, one.found / one.pairs, f"{one.from_:.2f} to {one.to:.2f}: {said}"))
    line = [(point.index, point.chance) for point in recall.curve]
    return charts.probability(line, points, f"recall of {recall.step}", "index of a pair")


def _similarity(duplicates: Duplicates) -> Markup:
    every = duplicates.similarity
    first = next((k for k, bar in enumerate(every) if bar.documents), 0)
    # Thresholds leave the left half empty; the axis begins where removals do, at half at the latest.
    shown = every[min(first, len(every) // 2) :]
    bars = [(f"{b.from_:.2f}", b.documents, f"{b.from_:.2f} to {b.to:.2f}: {b.documents:,}") for b in shown]
    label = f"similarities of {duplicates.step}"
    return charts.histogram(bars, label, "similarity to the survivor", "removed")


def _mixture(report: Report) -> Markup | None:
    if report.mixture is None:
        return None
    sources = sorted(report.mixture.sources.items(), key=lambda item: -item[1].requested_tokens)
    rows = [(name, source.requested_share, source.achieved_share) for name, source in sources[:_SOURCES]]
    label = "requested and achieved share of tokens by source"
    return charts.pairs(rows, label, ("requested", "achieved"))


def _lengths(bars: Sequence[LengthBar], name: str, what: str) -> Markup:
    shown = [
        (power_of_two(b.from_), b.documents, f"{b.from_:,} to {2 * b.from_ - 1:,}: {b.documents:,}")
        for b in bars
    ]
    return charts.histogram(shown, f"{what}, {name}", what)
