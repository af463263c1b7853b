"""Rows of a token shard for a terminal, in colours or without, foreign text made harmless."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.shard_rows import (
    CONTROL,
    FRAMED,
    MIDDLE,
    PREFIX,
    PREFIX_AND_MIDDLE,
    SUFFIX,
    TEXT,
    DecodedPiece,
    FoundRows,
)

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red")  # of sources, in their order
_STYLES = {
    TEXT: "",
    PREFIX: "underline",
    SUFFIX: "italic",
    MIDDLE: "bold reverse",
    PREFIX_AND_MIDDLE: "bold",
    FRAMED: "underline",
    CONTROL: "dim",
}
_BAR = "  | "


def render_rows(found: FoundRows) -> Text:
    """What `inspect --rows` shows. `.plain` of it is the same without colours."""
    out = Text()
    out.append(f"{text.printable(found.path, 400)}\ntext  {text.printable(found.decoded, 400)}\n")
    for row in found.rows:
        out.append(f"\nrow {row.row}: {len(row.pieces)} piece(s), {row.padding:,} padding\n", "bold")
        for piece in row.pieces:
            colour = _COLOURS[found.sources.index(piece.source) % len(_COLOURS)]
            out.append(f"{_head(piece)}\n", f"bold {colour}")
            for value, style in _lines(piece):
                out.append(value, f"{colour} {style}")
    return out


def _head(piece: DecodedPiece) -> str:
    begins = "begins" if piece.begins else f"goes on at its token {piece.offset:,}"
    ends = {True: ", ends", False: ", cut here", None: ""}[piece.ends]
    framed = ", fill-in-the-middle" if piece.fim else ""
    where = f"{piece.start:>6,} +{piece.length:<6,}"
    source = text.printable(piece.source, 60)
    return f"{where} {source} {piece.document} epoch {piece.epoch}: {begins}{ends}{framed}"


def _lines(piece: DecodedPiece) -> Iterator[tuple[str, str]]:
    """The parts of a piece, each on lines of its own behind a bar, and its style."""
    for part in piece.parts:
        if part.kind == CONTROL:
            yield f"{_BAR}<{text.printable(part.text, 40)}>\n", _STYLES[CONTROL]
            continue
        name = "" if part.kind == TEXT else f"[{part.kind}] "
        if part.text is None:
            yield f"{_BAR}{name}{part.length:,} tokens\n", _STYLES[part.kind]
            continue
        for number, line in enumerate(text.lines(part.text)):
            yield f"{_BAR}{name if number == 0 else ''}{line}\n", _STYLES[part.kind]
