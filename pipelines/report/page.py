"""The page: figures poured into the template, with every foreign text made visible and escaped."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from corpusmill.pipelines.inspection import plain_text
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.report import charts
from corpusmill.pipelines.report.foreign_text import visible
from corpusmill.pipelines.report.long_context import long_context_view
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
        score=_score,
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )
    return made


def render_page(figures: Json) -> str:
    """The whole HTML page of a report's figures."""
    template = environment().get_template("page.html")
    return template.render(
        **figures,
        charts=_charts(figures),
        main_reasons={name: _main_reasons(rows) for name, rows in figures["funnel"].items()},
        sample_stages=_sample_stages(figures),
        long_context_view=long_context_view(figures["long_context"]),
        training_view=training_view(figures["training"]) if figures["training"] is not None else None,
        tokenizer_view=tokenizer_view(figures["tokenizer"]) if figures["tokenizer"] is not None else None,
    )


def _main_reasons(rows: list[Json]) -> list[tuple[str, str, int]]:
    """(stage, reason, documents) of what took most of a source's documents."""
    found = [
        (row["stage"], reason["reason"], reason["documents"])
        for row in rows
        if not row["drawing"]
        for reason in (*row["removed"], *row["quarantined"])
    ]
    return sorted(found, key=lambda each: -each[2])[:_MAIN_REASONS]


def _sample_stages(figures: Json) -> list[Json]:
    """Samples by step and stage, in the order of the funnel, and by reason, the commonest first."""
    counts: dict[tuple[str, ...], int] = {}  # documents, or of what was cut bytes
    order: dict[tuple[str, str], int] = {}
    for rows in figures["funnel"].values():
        for row in rows:
            order.setdefault((row["step"], row["stage"]), len(order))
            for kind in ("removed", "quarantined"):
                for reason in row[kind]:
                    lost = (row["step"], row["stage"], kind, reason["reason"])
                    counts[lost] = counts.get(lost, 0) + reason["documents"]
            for reason in row["cut"]:
                part = (row["step"], row["stage"], "cut", reason["reason"])
                counts[part] = counts.get(part, 0) + reason["bytes"]
    samples: dict[tuple[str, ...], list[Json]] = {}
    for sample in figures["removed_samples"]:
        key = tuple(sample[name] for name in ("step", "stage", "kind", "reason"))
        samples.setdefault(key, []).append(sample)
    stages: dict[tuple[str, str], list[Json]] = {}
    for held in sorted(samples, key=lambda key: (-counts.get(key, 0), key)):
        step, stage, kind, reason = held
        group = {"kind": kind, "reason": reason, "count": counts.get(held, 0), "samples": samples[held]}
        stages.setdefault((step, stage), []).append(group)
    return [
        {
            "step": step,
            "stage": stage,
            "documents": sum(group["count"] for group in reasons if group["kind"] != "cut"),
            "bytes_cut": sum(group["count"] for group in reasons if group["kind"] == "cut"),
            "reasons": reasons,
        }
        for (step, stage), reasons in sorted(stages.items(), key=lambda item: order.get(item[0], len(order)))
    ]


def _percent(part: float | None, whole: float = 1.0) -> str:
    return plain_text.percent(part, whole)


def _score(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return visible(value)


def _charts(figures: Json) -> dict[str, Any]:
    found: dict[str, Any] = {
        "flow": {name: [_flow(row) for row in held] for name, held in figures["funnel"].items()},
        "whole": {name: _whole(name, held) for name, held in figures["ledger"]["sources"].items()},
        "languages": {},
        "bytes": {},
        "tokens": {},
        "sizes": {},
        "similarity": {},
    }
    for name, held in figures["distributions"].items():
        shown = list(held["languages"].items())[:8]
        found["languages"][name] = charts.rows(shown, f"languages of {name}")
        found["bytes"][name] = _lengths(held["bytes"], name, "bytes a document")
        if held["tokens"] is not None:
            found["tokens"][name] = _lengths(held["tokens"], name, "tokens a document")
    for held in figures["duplicates"]:
        bars = [(_range(b), b["clusters"], f"{_range(b)}: {b['clusters']:,}") for b in held["cluster_sizes"]]
        found["sizes"][held["step"]] = charts.histogram(
            bars, f"cluster sizes of {held['step']}", "documents in a cluster", "removed"
        )
        first = next((k for k, bar in enumerate(held["similarity"]) if bar["documents"]), 0)
        # Thresholds leave the left half empty; the axis begins where removals do, at half at the latest.
        shown_bars = held["similarity"][min(first, len(held["similarity"]) // 2) :]
        bars = [
            (f"{b['from']:.2f}", b["documents"], f"{b['from']:.2f} to {b['to']:.2f}: {b['documents']:,}")
            for b in shown_bars
        ]
        found["similarity"][held["step"]] = charts.histogram(
            bars, f"similarities of {held['step']}", "similarity to the survivor", "removed"
        )
    if figures["mixture"] is not None:
        rows = [
            (n, s["requested_share"], s["achieved_share"]) for n, s in figures["mixture"]["sources"].items()
        ]
        label = "requested and achieved share of tokens by source"
        found["mixture"] = charts.pairs(rows, label, ("requested", "achieved"))
    found["legend"] = charts.legend([("kept", "kept"), ("removed", "removed"), ("fault", "quarantined")])
    found["mixture_legend"] = charts.legend([("ghost", "requested"), ("kept", "achieved")])
    return found


def _flow(row: Json) -> Markup:
    removed = sum(reason["documents"] for reason in row["removed"])
    lost = sum(reason["documents"] for reason in row["quarantined"])
    words = f"{row['stage']}: {row['documents_kept']:,} kept, {removed:,} removed, {lost:,} quarantined"
    return charts.parts(row["documents_kept"], removed, lost, words)


def _whole(name: str, held: Json) -> Markup:
    kept, removed, lost = held["documents_left"], held["documents_removed"], held["documents_quarantined"]
    words = f"{name}: {kept:,} left, {removed:,} removed, {lost:,} quarantined"
    return charts.parts(kept, removed, lost, words)


def _range(bar: Json) -> str:
    if bar["to"] is None:
        return f"{bar['from']}+"
    return str(bar["from"]) if bar["to"] == bar["from"] else f"{bar['from']}-{bar['to']}"


def _lengths(bars: list[Json], name: str, what: str) -> Markup:
    shown = [
        (
            _power(b["from"]),
            b["documents"],
            f"{b['from']:,} to {2 * b['from'] - 1:,}: {b['documents']:,}",
        )
        for b in bars
    ]
    return charts.histogram(shown, f"{what}, {name}", what)


def _power(value: int) -> str:
    """A power of two in a few characters."""
    for limit, unit in ((2**30, "Gi"), (2**20, "Mi"), (2**10, "Ki")):
        if value >= limit:
            return f"{value // limit}{unit}"
    return str(value)
