"""Every source as a small picture of its own, all on the same axes, so that they can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from corpusmill.pipelines.report.charts import parts, power_of_two
from corpusmill.pipelines.report.distributions import UNKNOWN, Distribution, LengthBar
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.report.foreign_text import visible

SHOWN = 24  # sources with a picture of their own, those of the most bytes
_LANGUAGES = 3
_WIDTH, _HEIGHT, _LABELS = 240, 44, 14


@dataclass(frozen=True)
class Multiple:
    """A source in small: what became of its documents, their lengths, and their commonest languages, with
    shares of those measured."""

    name: str
    whole: Markup
    bytes: Markup | None
    tokens: Markup | None
    languages: tuple[tuple[str, float], ...]


def multiples(report: Report) -> tuple[Multiple, ...]:
    """The largest sources by bytes read, in this order."""
    accounts = report.ledger.sources
    order = sorted(accounts, key=lambda name: (-accounts[name].bytes_read, name))[:SHOWN]
    measured = {name: report.distributions[name] for name in order if name in report.distributions}
    of_bytes = _range([one.bytes for one in measured.values()])
    of_tokens = _range([one.tokens or () for one in measured.values()])
    found = []
    for name in order:
        account, distribution = accounts[name], measured.get(name)
        lengths = tokens = None
        if distribution is not None and distribution.documents:
            lengths = sparkline(distribution.bytes, of_bytes, f"bytes a document, {name}", "B")
            if distribution.tokens:
                tokens = sparkline(distribution.tokens, of_tokens, f"tokens a document, {name}", "")
        kept, removed = account.documents_left, account.documents_removed
        lost = account.documents_quarantined
        words = f"{name}: {kept:,} left, {removed:,} removed, {lost:,} quarantined"
        found.append(
            Multiple(name, parts(kept, removed, lost, words), lengths, tokens, _languages(distribution))
        )
    return tuple(found)


def _languages(distribution: Distribution | None) -> tuple[tuple[str, float], ...]:
    if distribution is None or not distribution.documents:
        return ()
    known = [item for item in distribution.languages.items() if item[0] != UNKNOWN]
    return tuple((name, count / distribution.documents) for name, count in known[:_LANGUAGES])


def _range(several: Sequence[Sequence[LengthBar]]) -> tuple[int, int]:
    """The exponents of the first and the last bar of all."""
    powers = [int(math.log2(bar.from_)) for bars in several for bar in bars]
    return min(powers, default=0), max(powers, default=0)


def sparkline(bars: Sequence[LengthBar], powers: tuple[int, int], label: str, unit: str) -> Markup:
    """Bars at their places from the first to the last power of two; as high as the drawing where most
    documents are. One path, so that a page of many stays small."""
    first, last = powers
    each = _WIDTH / (last - first + 1)
    most = max((bar.documents for bar in bars), default=0)
    path = ""
    for bar in bars:
        if bar.documents:
            tall = max(1.0, (_HEIGHT - 2) * bar.documents / most)
            x = (int(math.log2(bar.from_)) - first) * each
            path += f"M{x + each * 0.08:.1f} {_HEIGHT}v{-tall:.1f}h{each * 0.84:.1f}v{tall:.1f}z"
    ends = Markup('<text x="0" y="{0}" class="small">{1}</text>').format(
        _HEIGHT + _LABELS - 2, power_of_two(2**first, unit)
    ) + Markup('<text x="{0}" y="{1}" text-anchor="end" class="small">{2}</text>').format(
        _WIDTH, _HEIGHT + _LABELS - 2, power_of_two(2 ** (last + 1), unit)
    )
    return (
        Markup('<svg viewBox="0 0 {} {}" class="spark" role="img" aria-label="{}">').format(
            _WIDTH, _HEIGHT + _LABELS, visible(label)
        )
        + Markup('<path d="{}" class="kept"/><path d="M0 {}H{}" class="axis"/>').format(path, _HEIGHT, _WIDTH)
        + ends
        + Markup("</svg>")
    )


@dataclass(frozen=True)
class LanguageTable:
    """Tokens by source and language: the languages of the columns, then a row of each source: tokens, those
    of each column with a shade, and the rest. Shades are 0 to 9, by the share of the source's tokens.
    `whole`: all documents were counted, not a part of the units."""

    languages: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[tuple[int, int], ...], int], ...]
    whole: bool


_COLUMNS = 8


def language_table(distributions: Mapping[str, Distribution]) -> LanguageTable | None:
    """The table of sources whose tokens were counted; None where there is none, or no known language."""
    counted = {
        name: one.language_tokens for name, one in distributions.items() if one.language_tokens is not None
    }
    totals: dict[str, int] = {}
    for tokens in counted.values():
        for language, count in tokens.items():
            totals[language] = totals.get(language, 0) + count
    if not set(totals) - {UNKNOWN}:
        return None
    columns = sorted(totals, key=lambda name: (name == UNKNOWN, -totals[name], name))[:_COLUMNS]
    rows = []
    for name, tokens in sorted(counted.items(), key=lambda item: (-sum(item[1].values()), item[0])):
        total = sum(tokens.values())
        cells = tuple((tokens.get(one, 0), _shade(tokens.get(one, 0), total)) for one in columns)
        rows.append((name, total, cells, total - sum(count for count, _ in cells)))
    whole = all(distributions[name].units == distributions[name].of_units for name in counted)
    return LanguageTable(tuple(columns), tuple(rows), whole)


def _shade(count: int, total: int) -> int:
    return min(9, math.ceil(9 * count / total)) if count else 0
