"""The texts of one block as Markdown on one line: emphasis, code, links and images."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from corpusmill.pipelines.extraction.markdown_escapes import (
    code_span,
    escaped,
    escaped_in_link,
    link_target,
)

_WHITE = re.compile(r"\s+")
# Ideographs, kana and full-width signs: a line end between two of them is no space (CSS Text 3, 4.1.3).
_WIDE = "[\u3001-\u3130\u318f-\u9fff\uf900-\ufaff\uff01-\uffdc\U00020000-\U0003ffff]"
_BETWEEN_WIDE = re.compile(rf"(?<={_WIDE})\s++(?={_WIDE})")
_BEGINS_WIDE = re.compile(_WIDE)
_SPACES = re.compile(r" {2,}")
_KINDS = ("strong", "emphasis", "deleted")
_DELIMITERS = {"strong": "**", "emphasis": "*", "deleted": "~~"}


class Marks(NamedTuple):
    """What the inline elements around a text make of it."""

    link: int = 0
    """The element of the link around it, 0 for none."""
    strong: bool = False
    emphasis: bool = False
    deleted: bool = False
    code: bool = False


@dataclass(frozen=True)
class Piece:
    """A text with its marks; or an image, of which `text` is the alternative text."""

    text: str
    marks: Marks
    source: str | None = None


def inline(pieces: Sequence[Piece], target: Callable[[int], str]) -> str:
    """Pieces as one line; `target` gives the target of a link's element, "" for a link to leave out.

    Runs of white space are one space. Emphasis that CommonMark would not read as such, because of what stands
    on its two sides, is left out. Time is linear in the texts.
    """
    return _SPACES.sub(" ", _links(_one_spaced(pieces), target)).strip(" ")


def _one_spaced(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces whose runs of white space, across them as well, are one space each; empty ones are left out."""
    spaced: list[Piece] = []
    blank = True
    for piece in _joined_lines(pieces):
        if piece.source is not None:
            spaced.append(piece)
            blank = False
            continue
        text = _WHITE.sub(" ", piece.text)
        if spaced and _are_two_words(spaced[-1], piece):
            spaced.append(Piece(" ", Marks()))
        if blank:
            text = text.removeprefix(" ")
        if not text:
            continue
        blank = text.endswith(" ")
        if blank and piece.marks.code:  # the space is none of the code's
            spaced += (Piece(text[:-1], piece.marks), Piece(" ", piece.marks._replace(code=False)))
        else:
            spaced.append(Piece(text, piece.marks))
    return [piece for piece in spaced if piece.text or piece.source is not None]


def _joined_lines(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces without the line ends between wide characters, across two pieces as well."""
    made: list[Piece] = []
    for piece in pieces:
        if piece.source is not None or not piece.text:
            made.append(piece)
            continue
        text = _BETWEEN_WIDE.sub(lambda white: "" if _ends_line(white[0]) else white[0], piece.text)
        before = made[-1] if made and made[-1].source is None else None
        if before is not None:
            left, right = before.text.rstrip(), text.lstrip()
            white = before.text[len(left) :] + text[: len(text) - len(right)]
            if _ends_line(white) and _BEGINS_WIDE.match(left[-1:]) and _BEGINS_WIDE.match(right):
                made[-1], text = Piece(left, before.marks), right
        made.append(Piece(text, piece.marks))
    return made


def _ends_line(white: str) -> bool:
    return "\n" in white or "\r" in white


def _are_two_words(before: Piece, after: Piece) -> bool:
    """Whether two links stand side by side, without a space, each with a letter or digit there."""
    links = before.marks.link, after.marks.link
    if before.source is not None or 0 in links or links[0] == links[1]:
        return False
    return all(c.isascii() and c.isalnum() for c in (before.text[-1:], after.text[:1]))


def _links(pieces: list[Piece], target: Callable[[int], str]) -> str:
    aims = {link: target(link) for link in {piece.marks.link for piece in pieces} if link}

    def led_to(piece: Piece) -> tuple[int, str]:
        aim = aims.get(piece.marks.link, "")
        return (piece.marks.link, aim) if aim else (0, "")

    groups = [(aim, list(group)) for (_, aim), group in groupby(pieces, led_to)]
    parts: list[str] = []
    last = ""
    for number, (aim, group) in enumerate(groups):
        if aim and any(piece.text.strip() or piece.source for piece in group):
            before, inner, after = _spaces_apart(_emphasised(group, 0, "[", "]"))
            if not before and last == "!":
                parts[-1] = f"{parts[-1][:-1]}\\!"
            text = f"{before}[{inner}]({link_target(aim)}){after}"
        else:
            group = [_without_link(piece) for piece in group]
            follows = _first(groups[number + 1][1]) if number + 1 < len(groups) else ""
            text = _emphasised(group, 0, last, follows)
        if text:
            last = text[-1]
        parts.append(text)
    return "".join(parts)


def _without_link(piece: Piece) -> Piece:
    return replace(piece, marks=piece.marks._replace(link=0)) if piece.marks.link else piece


def _first(pieces: list[Piece]) -> str:
    """The sign that pieces begin with: a space, their text's, or of delimiters that may come before it."""
    first = pieces[0]
    if first.source is not None or first.text[:1] == " ":
        return " "
    return "*" if first.marks.strong or first.marks.emphasis else first.text[:1]


def _emphasised(pieces: list[Piece], level: int, left: str, right: str) -> str:
    """Pieces within one link, or outside of any, with the marks from `_KINDS[level]` on.

    `left` and `right` are the signs beside them, "" at the line's ends.
    """
    while level < len(_KINDS) and not any(getattr(piece.marks, _KINDS[level]) for piece in pieces):
        level += 1
    if level == len(_KINDS):
        return _coded(pieces)
    kind = _KINDS[level]
    groups = [(marked, list(group)) for marked, group in groupby(pieces, lambda p: getattr(p.marks, kind))]
    parts: list[str] = []
    for number, (marked, group) in enumerate(groups):
        follows = _first(groups[number + 1][1]) if number + 1 < len(groups) else right
        mark = _DELIMITERS[kind]
        if marked:
            before, inner, after = _spaces_apart(_emphasised(group, level + 1, "(", ")"))
            if inner and _may_stand(before or left, inner, after or follows, mark):
                text = f"{before}{mark}{inner}{mark}{after}"
            else:
                text = _emphasised(group, level + 1, left, follows)
        else:
            text = _emphasised(group, level + 1, left, follows)
        if text:
            left = text[-1]
        parts.append(text)
    return "".join(parts)


def _may_stand(before: str, inner: str, after: str, mark: str) -> bool:
    """Whether delimiters around `inner` open and close emphasis (CommonMark 0.31, 6.2: flanking).

    A sign beside the same sign would join with it.
    """
    left, right = before[-1:], after[:1]
    if mark[0] in (left, right):
        return False
    opens = not _is_sign(inner[0]) or not left or left == " " or _is_sign(left)
    closes = not _is_sign(inner[-1]) or not right or right == " " or _is_sign(right)
    return opens and closes


def _is_sign(character: str) -> bool:
    return not (character.isalnum() or character.isspace())


def _coded(pieces: list[Piece]) -> str:
    parts: list[str] = []
    for code, group in groupby(pieces, lambda piece: piece.marks.code and piece.source is None):
        if code:
            before, inner, after = _spaces_apart("".join(piece.text for piece in group))
            span = code_span(inner) if inner else ""
            # Two spans side by side would be one; backticks never end the text between, which is escaped.
            if parts and span and parts[-1].endswith("`"):
                before = before or " "
            parts.append(f"{before}{span}{after}")
            continue
        for images, some in groupby(group, lambda piece: piece.source is not None):
            if images:
                parts += [_image(piece) for piece in some]
            else:
                texts = list(some)
                text = escaped("".join(piece.text for piece in texts))
                parts.append(escaped_in_link(text) if texts[0].marks.link else text)
    return "".join(parts)


def _image(piece: Piece) -> str:
    text = escaped_in_link(escaped(piece.text))
    return f" ![{text}]({link_target(piece.source or '')}) " if piece.source else f" {escaped(piece.text)} "


def _spaces_apart(text: str) -> tuple[str, str, str]:
    """(spaces before, the rest, spaces after)."""
    inner = text.strip(" ")
    begin = text.find(inner) if inner else len(text)
    return text[:begin], inner, text[begin + len(inner) :]


def cell(line: str) -> str:
    """Inline markup as a table's cell, in which a bar would end it, in code and formulas as well."""
    return line.replace("|", "\\|")
