"""What lies between two runs as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

from collections.abc import Iterator

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.run_diff.difference import Amount, ChangedDocument, RunDifference
from corpusmill.pipelines.inspection.told_tables import ToldTable, as_html, as_text

_ROWS = 20  # of a table that are shown; --json has all
_TEXT = 200  # characters of an example
_CHANGES = (("came", "+ came"), ("went", "- went"), ("otherwise", "stay removed, otherwise"))


def render_difference(found: RunDifference) -> str:
    """All of it as text."""
    return as_text(_head(found), [*_tables(found), _examples(found)])


def html_of_difference(found: RunDifference) -> str:
    """The same as HTML."""
    return as_html(_head(found), [*_tables(found), _examples(found)])


def _head(found: RunDifference) -> list[str]:
    lines = [
        f"from {found.before} ({found.read_before:,} documents read)",
        f"to   {found.after} ({found.read_after:,} documents read)",
        f"{found.kept_by_both:,} documents are kept by both",
        *found.notes,
    ]
    lines += [one.words for one in found.options] or ["no option is changed"]
    return [text.printable(line, 400) for line in lines]


def _tables(found: RunDifference) -> Iterator[ToldTable]:
    headers = ("source", "kept", "bytes", "tokens", "came", "went", "kept now", "bytes now", "tokens now")
    yield ToldTable(
        headers,
        [
            (
                one.source,
                *_amount(one.before),
                f"+{one.came.documents:,}",
                f"-{one.went.documents:,}",
                *_amount(one.after),
            )
            for one in found.sources
        ],
        tuple(
            f"{one.source}: {one.edited:,} documents that both keep have texts of another length"
            for one in found.sources
            if one.edited
        ),
    )
    for direction, head in _CHANGES:
        mine = [one for one in found.changes if one.direction == direction]
        rows = [(one.source, one.before.words, one.after.words, *_amount(one)) for one in mine[:_ROWS]]
        more = (f"and {len(mine) - _ROWS:,} more rows (--json)",) if len(mine) > _ROWS else ()
        yield ToldTable((head, "was", "is", "documents", "bytes", "tokens"), rows, more)
    yield ToldTable(
        ("mixture", "share", "share now", "tokens", "tokens now"),
        [
            (
                one.name,
                text.percent(one.share_before, 1),
                text.percent(one.share_after, 1),
                one.tokens_before,
                one.tokens_after,
            )
            for one in found.shares[:_ROWS]
        ],
        (f"and {len(found.shares) - _ROWS:,} more rows (--json)",) if len(found.shares) > _ROWS else (),
    )


def _amount(one: Amount) -> tuple[int, str, int | None]:
    return one.documents, text.size(one.bytes), one.tokens


def _examples(found: RunDifference) -> ToldTable:
    lines: list[str] = []
    for one in found.examples:
        lines += _example(one)
    return ToldTable((), [], tuple(lines))


def _example(one: ChangedDocument) -> list[str]:
    sign = "+" if one.direction == "came" else "-"
    where = f"  {text.printable(one.place, 120)}" if one.place else ""
    head = (
        f"{sign} {one.id}  {one.source}  {one.bytes:,} bytes{where}: {one.before.words} -> {one.after.words}"
    )
    shown = one.text if one.text is not None else f"(no text: {one.why_not})"
    return [head, f"  {text.printable(shown, _TEXT)}"]
