"""Repeated paragraphs found and cut by plain walks over lines: `repeated_paragraphs` must agree with it."""

from __future__ import annotations

from collections.abc import Sequence

WHITE = " \t\n\r\f\v"


def pieces(text: str) -> tuple[str, list[str]]:
    """What stands before the first paragraph, and every paragraph with the white space after it."""
    head, found, inside = "", [""], False
    for number, line in enumerate(text.split("\n")):
        line = line if number == 0 else f"\n{line}"
        shown = line.lstrip(WHITE)
        if not shown:
            inside = False
        if not inside and shown:
            found[-1] += line[: len(line) - len(shown)]
            found.append(shown)
            inside = True
        else:
            found[-1] += line
    head, *paragraphs = found
    return head, paragraphs


def without_repeats(documents: Sequence[tuple[str, str]], at_least: int = 1) -> list[str | None]:
    """The texts of (id, text) without paragraphs seen before; None where only white space is left of one.

    Documents are walked through by id, those of one id in the order given.
    """
    seen: set[str] = set()
    left: list[str | None] = [None] * len(documents)
    for place in sorted(range(len(documents)), key=lambda place: (documents[place][0], place)):
        head, paragraphs = pieces(documents[place][1])
        kept = []
        for paragraph in paragraphs:
            words = paragraph.rstrip(WHITE)
            if words not in seen or len(words.encode()) < at_least:
                kept.append(paragraph)
            if len(words.encode()) >= at_least:
                seen.add(words)
        text = head + "".join(kept)
        left[place] = None if len(kept) < len(paragraphs) and not text.strip() else text
    return left
