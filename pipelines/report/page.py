"""The pages: figures poured into templates, with every foreign text made visible and escaped.

A run of many sources has its sources' own tables and charts on pages beside the first, so that each stays
small. Style and script are within every page, and its policy admits these two alone, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from corpusmill.pipelines.inspection import plain_text
from corpusmill.pipelines.inspection.cluster_rendering import sources_named
from corpusmill.pipelines.inspection.language_facts import unjudged
from corpusmill.pipelines.inspection.window_facts import METHOD, furthest
from corpusmill.pipelines.report.charts import legend, short
from corpusmill.pipelines.report.classifier import calibration_charts
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.report.flow import flows
from corpusmill.pipelines.report.foreign_text import visible
from corpusmill.pipelines.report.long_context import long_context_view
from corpusmill.pipelines.report.losses import main_reasons, reasons, sample_stages
from corpusmill.pipelines.report.multiples import LanguageTable, language_table, multiples
from corpusmill.pipelines.report.page_charts import page_charts
from corpusmill.pipelines.report.sankey import picture
from corpusmill.pipelines.report.score_charts import score_stages
from corpusmill.pipelines.report.tokenizer import tokenizer_view
from corpusmill.pipelines.report.training_view import training_view

WHOLE = 30  # sources that the first page shows stage by stage
LARGEST = 60  # of them that tables of the first page have, where there are more
REASONS = 200  # for which documents were removed, that the first page has
EACH = 25  # sources of a page of their own, where there are more
FINDINGS = 8  # faults and warnings that are not folded away
FIRST, REMOVED = "report.html", "removed.html"
_HERE = Path(__file__).parent


@cache
def environment() -> Environment:
    """Templates beside this module, compiled once a process, with the page's filters; all is escaped, nothing
    may be missing."""
    made = Environment(
        loader=FileSystemLoader(_HERE),
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
        brief=short,
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )
    return made


@cache
def asset(name: str) -> Markup:
    """The text of a style sheet or script beside this module; it is put into pages as it is."""
    return Markup((_HERE / name).read_text("utf-8"))  # noqa: S704  (a file of ours)


def policy(style: str, script: str) -> str:
    """The content security policy of a page of this style and this script: these run, and nothing is
    fetched."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@dataclass(frozen=True)
class Part:
    """A page of the sources `first` to `last` of `of`, counted from 1."""

    file: str
    first: int
    last: int
    of: int
    sources: tuple[str, ...]


def parts_of(report: Report) -> tuple[Part, ...]:
    """The pages beside the first; none where that has all sources."""
    names = _names(report)
    if len(names) <= WHOLE:
        return ()
    found = []
    for number, first in enumerate(range(0, len(names), EACH), 1):
        some = names[first : first + EACH]
        found.append(Part(f"sources-{number}.html", first + 1, first + len(some), len(names), some))
    return tuple(found)


def _names(report: Report) -> tuple[str, ...]:
    return tuple(sorted(set(report.funnel) | set(report.ledger.sources)))


def render_pages(report: Report) -> dict[str, str]:
    """All pages by the names of their files, `FIRST` first."""
    values = _values(report)
    pages = {FIRST: environment().get_template("page.html").render(values)}
    for part in values["parts"]:
        table = values["language_table"]
        own = {
            "part": part,
            "page_title": f"Sources {part.first} to {part.last}",
            "shown": part.sources,
            "contents": _contents_of_part(report, part),
            "part_sources": [name for name in part.sources if name in report.ledger.sources],
            "part_languages": [row for row in table.rows if row[0] in part.sources] if table else [],
        }
        scores = [stage for stage in values["score_stages"] if stage.source in part.sources]
        pages[part.file] = (
            environment().get_template("part.html").render({**values, **own, "score_stages": scores})
        )
    if values["removed_page"]:
        own = {"page_title": "Removed and kept", "contents": [("removed", "Removed and kept")]}
        pages[REMOVED] = environment().get_template("removed_page.html").render({**values, **own})
    return pages


def render_page(report: Report) -> str:
    """The first page."""
    return environment().get_template("page.html").render(_values(report))


def _values(report: Report) -> dict[str, Any]:
    parts, names = parts_of(report), _names(report)
    anchors = {name: f"source-{number}" for number, name in enumerate(names, 1)}
    files = {name: part.file for part in parts for name in part.sources}
    style, script = asset("page.css"), asset("page.js")
    loud = [one for one in report.findings if one.level != "note"]
    pictures = [picture(flow) for flow in flows(report)]
    found_reasons, table = reasons(report), language_table(report.distributions)
    values: dict[str, Any] = {
        **vars(report),
        "style": style,
        "script": script,
        "policy": policy(style, script),
        "part": None,
        "page_title": None,
        "parts": parts,
        "shown": () if parts else names,
        "anchors": anchors,
        "links": {name: f"{files.get(name, '')}#{anchor}" for name, anchor in anchors.items()},
        "shown_findings": loud[:FINDINGS],
        "more_findings": [*loud[FINDINGS:], *(one for one in report.findings if one.level == "note")],
        "pictures": pictures,
        "multiples": multiples(report),
        "language_table": table,
        "charts": page_charts(report),
        "score_stages": score_stages(report.scores),
        "score_legend": legend([("kept", "let pass"), ("removed", "removed by the filter")]),
        "unjudged": unjudged,
        "calibration_charts": calibration_charts(report.classifiers),
        "windows_method": METHOD,
        "furthest_shard": furthest,
        "main_reasons": {name: main_reasons(rows) for name, rows in report.funnel.items()},
        "reasons": found_reasons,
        "removed_page": REMOVED if parts and len(found_reasons) > REASONS else None,
        "largest_sources": _largest(report, LARGEST if parts else len(names)),
        "largest_languages": _largest_rows(table, LARGEST if parts else len(names)),
        "sample_stages": sample_stages(report),
        "long_context_view": long_context_view(report.long_context),
        "training_view": training_view(report.training) if report.training is not None else None,
        "tokenizer_view": tokenizer_view(report.tokenizer) if report.tokenizer is not None else None,
    }
    return {**values, "contents": _contents(report, values)}


def _largest(report: Report, most: int) -> list[str]:
    """The sources of most documents, those first; all in their own order where there are no more than
    `most`."""
    found = report.ledger.sources
    if len(found) <= most:
        return list(found)
    return sorted(found, key=lambda name: (-(found[name].documents_read or 0), name))[:most]


def _largest_rows(table: LanguageTable | None, most: int) -> list[Any]:
    """The rows of most tokens, in the same way."""
    rows = list(table.rows) if table is not None else []
    return rows if len(rows) <= most else sorted(rows, key=lambda row: -row[1])[:most]


def _contents(report: Report, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Anchor and title of the sections that the first page has."""
    sections: Sequence[tuple[str, str, Any]] = (
        ("findings", "What to look at", report.findings),
        ("funnel", "From raw to shards", values["pictures"]),
        ("sources", "Sources", True),
        ("languages", "Languages", values["language_table"] or (report.languages and not values["parts"])),
        ("removed", "Removed and kept", values["reasons"] or values["sample_stages"]),
        ("duplicates", "Duplicates", report.duplicates),
        ("contamination", "Benchmark items", report.contamination),
        ("scores", "Scores", report.scores and not values["parts"]),
        ("classifier", "Learned quality", report.classifiers),
        ("held-out", "Held out", report.held_out),
        ("tokenizer", "Tokenizer", report.tokenizer),
        ("mixture", "Mixture", report.mixture),
        ("packing", "Packing", report.packing),
        ("training", "Training", report.training),
        ("long-context", "Long context", report.long_context),
        ("tables", "Tables", report.tables),
        ("ledger", "Ledger", True),
        ("steps", "Steps", True),
        ("recipe", "Recipe", True),
    )
    return [(anchor, title) for anchor, title, there in sections if there]


def _contents_of_part(report: Report, part: Part) -> list[tuple[str, str]]:
    found = [("sources", "Sources")]
    if any(name in part.sources for sources in report.languages.values() for name in sources):
        found.append(("languages", "Languages"))
    if any(one.source in part.sources for one in report.scores):
        found.append(("scores", "Scores"))
    return found


def _percent(part: float | None, whole: float = 1.0) -> str:
    return plain_text.percent(part, whole)


def _score(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return visible(value)
