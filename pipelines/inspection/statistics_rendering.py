"""Statistics of a mixture as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.drawn_documents import OTHERS, QUANTILES, DocumentLengths, ValueLine
from corpusmill.pipelines.inspection.mixture_statistics import GroupLine, MixtureStatistics
from corpusmill.pipelines.inspection.told_tables import ToldTable, as_html, as_text

_GROUPS = 60  # that are shown; --json has all
_STALE = "stale: the plan was made from other inputs or options than the run has now; run the recipe again"
_IN_PROPORTION = "bytes: of documents of which a part is drawn in proportion to their tokens"
_SHARES = ("there", "asked", "drawn", "share asked", "share got", "epochs", "missed for")
_AMOUNTS = ("documents", "bytes", "tokens", "bytes/token", "unique", "repeated")
_TITLES = {"lang": "language", "license": "licence", "domain": "domain"}
_HEAD_OF_LENGTHS = ("tokens a document", "of", "documents", "mean", "least")


def render_statistics(found: MixtureStatistics) -> str:
    """All of it as text."""
    return as_text(_head(found), list(_tables(found)))


def html_of_statistics(found: MixtureStatistics) -> str:
    """The same as HTML."""
    return as_html(_head(found), list(_tables(found)))


def _head(found: MixtureStatistics) -> list[str]:
    whole = found.whole
    asked = "" if found.requested_tokens is None else f" of {found.requested_tokens:,} asked"
    lines = [
        f"mixture of {found.path}: {whole.tokens:,} tokens{asked}, {whole.documents:,} documents, "
        f"{text.size(whole.bytes)}, {text.fixed(whole.bytes_per_token, 2)} bytes a token",
        f"{whole.unique_tokens:,} tokens are unique, {whole.repeated_tokens:,} repeated "
        f"({text.percent(whole.repeated_tokens, whole.tokens)}); {text.fixed(whole.epochs, 3)} epochs of "
        f"{whole.available_tokens:,} tokens there are",
    ]
    if found.held_out.documents:
        lines.append(
            f"{found.held_out.tokens:,} tokens of {found.held_out.documents:,} documents are held out beside "
            "them"
        )
    return [*lines, _STALE] if found.stale else lines


def _tables(found: MixtureStatistics) -> Iterator[ToldTable]:
    yield _shares("source", found.sources, tuple(f"{one.name}: {one.text}" for one in found.shortfalls))
    yield _amounts("source", found.sources)
    phases = list(dict.fromkeys(line.phase for line in found.groups))
    for phase in phases:
        mine = [line for line in found.groups if line.phase == phase]
        more = len(mine) - _GROUPS
        head = f"phase {phase}" if len(phases) > 1 else "group"
        yield _shares(head, mine[:_GROUPS])
        yield _amounts(head, mine[:_GROUPS], (f"and {more:,} more groups (--json)",) if more > 0 else ())
    for column, lines in found.values.items():
        yield ToldTable(
            (_TITLES[column], "there", "of all", "documents", "bytes", "tokens", "share", "epochs", "unique"),
            [_value(line) for line in lines],
            (_IN_PROPORTION,) if lines else (),
        )
    headers = (*_HEAD_OF_LENGTHS, *(f"{100 * rank:g}%" for rank in QUANTILES), "most")
    yield ToldTable(headers, [_length(one) for one in found.lengths])
    yield ToldTable((), [], tuple(f"not known: {one}" for one in found.not_known))


def _shares(head: str, lines: Sequence[GroupLine], notes: tuple[str, ...] = ()) -> ToldTable:
    rows = [
        (
            line.name,
            line.available_tokens,
            line.requested_tokens,
            line.tokens,
            text.percent(line.requested_share, 1),
            text.percent(line.share, 1),
            text.fixed(line.epochs, 3),
            line.cause or "-",
        )
        for line in lines
    ]
    return ToldTable((head, *_SHARES), rows, notes)


def _amounts(head: str, lines: Sequence[GroupLine], notes: tuple[str, ...] = ()) -> ToldTable:
    rows = [
        (
            line.name,
            line.documents,
            text.size(line.bytes),
            line.tokens,
            text.fixed(line.bytes_per_token, 2),
            line.unique_tokens,
            line.repeated_tokens,
        )
        for line in lines
    ]
    return ToldTable((head, *_AMOUNTS), rows, (_IN_PROPORTION, *notes))


def _value(line: ValueLine) -> tuple[Any, ...]:
    more = f" {line.values:,} more" if line.value == OTHERS else ""
    return (
        text.printable(line.value, 60) + more,
        line.available_tokens,
        text.percent(line.available_share, 1),
        line.documents,
        text.size(line.bytes),
        line.tokens,
        text.percent(line.share, 1),
        text.fixed(line.epochs, 3),
        line.unique_tokens,
    )


def _length(one: DocumentLengths) -> tuple[Any, ...]:
    quantiles = (one.quantiles[str(rank)] for rank in QUANTILES)
    return (one.source, one.of, one.documents, round(one.mean, 1), one.least, *quantiles, one.most)
