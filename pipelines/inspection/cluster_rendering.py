"""Clusters of a step that removes duplicates, and how well its pairs are found, as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from corpusmill.pipelines.inspection import plain_text as text
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
