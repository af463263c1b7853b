"""Places of source code where a syntax node begins or ends, near a place drawn anywhere.

Whole files are not parsed: tree-sitter's recovery from errors takes time and memory quadratic in how deep a
crafted file is open (`text.grammars`). A window of at most 2,048 bytes around the place is: 0.3 to
0.6 ms for ordinary code, 0.5 s for the worst of 90 crafted repetitions tried in 8 grammars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpusmill.pipelines.text.grammars import parser_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

HALF = 1024  # bytes of the window on either side


def syntax_place(text: bytes, place: int, kind: str) -> int:
    """The bound of a syntax node that is nearest to `place`, the earlier of two equally near.

    `text` is UTF-8, `place` a number of its bytes, 0 to len(text), `kind` a language of `GRAMMARS`. Nodes
    are those that the grammar names and that hold such nodes themselves: a call or a block, not a lone name.
    They are found in a window of lines that begins with the least indented line before the place, so most
    are nodes of the whole file too. A bound counts between two ASCII characters alone, and not within CR LF,
    so it parts no letter from its marks. The two ends of the text stay where they are, and so does a place
    whose window has no bound.
    """
    if place in (0, len(text)):
        return place
    start, end = _window(text, place)
    bounds = (start + bound for bound in _bounds(parser_of(kind).parse(text[start:end]).root_node))
    fit = [bound for bound in bounds if _between_characters(text, bound)]
    return min(fit, key=lambda bound: (abs(bound - place), bound), default=place)


def _window(text: bytes, place: int) -> tuple[int, int]:
    """Where the window begins and ends: at bounds of lines, or of characters where lines are longer."""
    start, end = max(0, place - HALF), min(len(text), place + HALF)
    if start:
        lines = list(_line_starts(text, start, place))
        start = min(lines, key=lambda line: (_indentation(text, line), line), default=_character(text, start))
    if end < len(text):
        end = text.rfind(b"\n", place, end) + 1 or _character(text, end)
    return start, end


def _line_starts(text: bytes, start: int, end: int) -> Iterator[int]:
    """Bytes of text[start:end] behind a line feed."""
    line = text.find(b"\n", start, end) + 1
    while line:
        yield line
        line = text.find(b"\n", line, end) + 1


def _indentation(text: bytes, line: int) -> int:
    """White space at the head of a line; more than any line has where nothing can begin there."""
    at = line
    while at < len(text) and text[at] in b" \t":
        at += 1
    return at - line if at < len(text) and text[at] not in b"\r\n})]#" else 2 * HALF


def _character(text: bytes, at: int) -> int:
    """The next byte that begins a character."""
    while at < len(text) and text[at] & 0xC0 == 0x80:
        at += 1
    return at


def _bounds(root: Node) -> Iterator[int]:
    todo = list(root.children)
    while todo:
        node = todo.pop()
        if node.is_named and node.named_child_count and not node.is_error:
            yield node.start_byte
            yield node.end_byte
        todo += node.children


def _between_characters(text: bytes, place: int) -> bool:
    """Whether a character ends and another begins there, whatever marks they have."""
    if place in (0, len(text)):
        return True
    before, after = text[place - 1], text[place]
    return before < 0x80 and after < 0x80 and not (before == 0x0D and after == 0x0A)
