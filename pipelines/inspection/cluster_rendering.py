"""Clusters of a step that removes duplicates, and how well its pairs are found, as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.recall import Recall
from corpusmill.pipelines.records.ledger import Tally
from corpusmill.pipelines.storage.clusters import Clusters, SizeBar

_SOURCES = 3  # named of a cluster


def render_clusters(found: Clusters) -> list[str]:
    """Lines: how many clusters of each size, and the largest with some of what they displaced."""
    if not found.removed:
        return []
    estimated = ""
    if found.sampling_rate < 1:
        estimated = f", estimated from {text.percent(found.sampling_rate, 1)} of them"
    head = f"{found.removed:,} documents removed in {found.clusters:,} clusters{estimated}"
    lines = [
        "",
        head,
        text.table(("documents", "clusters"), [(size_range(b), b.clusters) for b in found.sizes]),
    ]
    if found.largest:
        rows = [
            (
                one.survivor_id,
                one.survivor_source,
                one.documents,
                text.size(one.bytes),
                sources_named(one.sources),
            )
            for one in found.largest
        ]
        headers = ("survivor", "source", "displaced", "bytes", "of sources")
        lines += ["", "largest clusters (`corpusmill explain ID --run RUN` lists what a survivor displaced)"]
        lines.append(text.table(headers, rows))
    return lines


def render_recall(found: Recall) -> list[str]:
    """Lines: pairs of a sample by index, how many of them are found, and how many are by theory."""
    if found.note is not None:
        return ["", f"recall is not measured: {text.printable(found.note, 400)}"]
    whole = f"{found.documents:,} of {found.of_documents:,} documents ({text.size(found.bytes)})"
    lines = ["", f"recall of all pairs of {whole}, those of equal sets apart"]
    if not found.bins:
        return [*lines, f"no two of them have an index of {found.least:g} or more: a larger --sample may"]
    points = {round(point.index, 3): point.chance for point in found.curve}
    rows = [
        (
            f"{one.from_:.2f} to {one.to:.2f}",
            f"{points[one.from_]:.3f} to {points[one.to]:.3f}",
            one.pairs,
            f"{one.expected:,.1f}",
            one.found,
            f"{one.found / one.pairs:.3f}",
        )
        for one in found.bins
    ]
    lines.append(text.table(("index", "chance", "pairs", "found by theory", "found", "recall"), rows))
    lines.append(
        f"{found.duplicates:,} pair(s) are duplicates by the stage's measure; its search finds "
        f"{found.duplicates_found:,}; of {found.both_kept:,} the run kept both documents"
    )
    return lines


def size_range(bar: SizeBar) -> str:
    """`2`, `5-8` or `1025+`."""
    if bar.to is None:
        return f"{bar.from_}+"
    return str(bar.from_) if bar.to == bar.from_ else f"{bar.from_}-{bar.to}"


def sources_named(sources: Mapping[str, Tally]) -> str:
    """The sources with most documents, and how many of each."""
    most = sorted(sources.items(), key=lambda item: (-item[1][0], item[0]))
    named = ", ".join(f"{name} {documents:,}" for name, (documents, _) in most[:_SOURCES])
    return named + (f" and {len(most) - _SOURCES} more" if len(most) > _SOURCES else "")
