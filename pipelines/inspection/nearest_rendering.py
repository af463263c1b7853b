"""The documents nearest to a text, for a terminal and a notebook."""

from __future__ import annotations

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.nearest import NearDocument, Nearest
from corpusmill.pipelines.inspection.told_tables import ToldTable, as_html, as_text

_TEXT = 200  # characters of a text


def render_nearest(found: Nearest) -> str:
    """A line a document, and below it the beginning of its text."""
    return as_text(
        _head(found), [ToldTable((), [], tuple(line for one in found.documents for line in _lines(one)))]
    )


def html_of_nearest(found: Nearest) -> str:
    """A table of them."""
    headers = ("similarity", "document", "source", "bytes", "kept", "place", "text")
    rows = [
        (f"{one.similarity:.3f}", one.id, one.source, one.bytes, _fate(one), one.place, one.text)
        for one in found.documents
    ]
    return as_html(_head(found), [ToldTable(headers, rows)])


def _head(found: Nearest) -> list[str]:
    if not found.documents:
        return [
            f"none of {found.compared:,} documents that came to {found.step} in {found.run} shares a shingle "
            "(words in a row) with the text; a longer text finds more"
        ]
    return [
        f"{len(found.documents)} of {found.compared:,} documents that came to {found.step} in {found.run}, "
        "the most similar first"
    ]


def _lines(one: NearDocument) -> list[str]:
    where = f"  {text.printable(one.place, 120)}" if one.place else ""
    lines = [f"{one.similarity:.3f}  {one.id}  {one.source}  {one.bytes:,} bytes  {_fate(one)}{where}"]
    return lines + ([f"  {text.printable(one.text, _TEXT)}"] if one.text else [])


def _fate(one: NearDocument) -> str:
    return "kept" if one.kept else f"removed by {one.removed_by}"
