"""Tables of figures under titles, as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from corpusmill.pipelines.inspection import plain_text as text


@dataclass(frozen=True)
class ToldTable:
    """A table, and lines below it, their spaces as they are. Numbers stand right; None is a dash."""

    headers: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    notes: tuple[str, ...] = ()


def as_text(head: Iterable[str], tables: Sequence[ToldTable]) -> str:
    """Lines, then the tables that have rows or notes, an empty line before each."""
    blocks = ["\n".join(head)]
    for table in tables:
        told = [text.table(table.headers, table.rows)] if table.rows else []
        if told or table.notes:
            notes = (line for note in table.notes for line in text.lines(note))
            blocks.append("\n".join([*told, *notes]))
    return "\n\n".join(blocks)


def as_html(head: Iterable[str], tables: Sequence[ToldTable]) -> str:
    """The same for a notebook."""
    parts = [f"<b>{escape(text.printable(line, 4000))}</b>" for line in head if line]
    for table in tables:
        if table.rows:
            names = "".join(f"<th>{escape(name)}</th>" for name in table.headers)
            parts.append(f"<table><tr>{names}</tr>{''.join(map(_row, table.rows))}</table>")
        parts += [f"<div>{escape(text.printable(note, 4000))}</div>" for note in table.notes]
    return "<br>".join(parts[:1]) + "".join(parts[1:])


def _row(row: tuple[Any, ...]) -> str:
    said = (
        text.count(one) if isinstance(one, (int, float)) else text.printable(one or "-", 400) for one in row
    )
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in said)}</tr>"
