"""Repeated substrings by a dictionary of all windows, and spans narrowed character by character."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tests.oracles.dedup_pieces import Document, in_order

Span = tuple[int, int, int]  # document, first byte, byte after the last
SINGLE = "水車日本語"  # of the characters that the tests use, those that are words by themselves


def repeats(
    documents: Sequence[Document],
    length: int,
    keep: str,
    priority: Sequence[str] = (),
    tokens: Sequence[tuple[int, ...]] | None = None,
) -> tuple[set[Span], dict[tuple[int, int], set[int]]]:
    """The spans of bytes that go, those that overlap or touch as one; and by document and place of every
    window that repeats, the documents that have it before. With the `tokens` of each document spans and
    windows are of these."""
    rank = in_order(documents, priority)
    stands: dict[Sequence[int], list[tuple[int, int, int]]] = {}
    for place, one in enumerate(documents):
        text: Sequence[int] = one.text.encode() if tokens is None else tokens[place]
        for at in range(len(text) - length + 1):
            stands.setdefault(text[at : at + length], []).append((rank[place], at, place))
    gone: dict[int, set[int]] = {}
    better: dict[tuple[int, int], set[int]] = {}
    for found in stands.values():
        found.sort()
        for number, (_, at, place) in enumerate(found):
            if len(found) > 1 and (number > 0 or keep == "none"):
                gone.setdefault(place, set()).update(range(at, at + length))
                better[place, at] = {other for _, _, other in found[:number]}
    spans: set[Span] = set()
    for place, places in gone.items():
        for at in places:
            if at - 1 not in places:
                end = at
                while end in places:
                    end += 1
                spans.add((place, at, end))
    return spans, better


def narrowed(text: str, start: int, end: int, bounds: str) -> tuple[int, int] | None:
    """A span of bytes of a text without the parts of characters, words or lines at its ends."""
    places = [0]
    for char in text:
        places.append(places[-1] + len(char.encode()))
    chars = [
        index
        for index, at in enumerate(places)
        if start <= at <= end and (bounds == "characters" or _bound(text, index, bounds))
    ]
    if len(chars) < 2:
        return None
    return places[chars[0]], places[chars[-1]]


def _bound(text: str, index: int, bounds: str) -> bool:
    if index in (0, len(text)):
        return True
    last, next_ = text[index - 1], text[index]
    if bounds == "lines":
        return last == "\n" or (last == "\r" and next_ != "\n")
    if unicodedata.category(next_) in ("Mn", "Me", "Cf"):
        return False
    return _apart(next_) or _apart(last)


def _apart(char: str) -> bool:
    kind = unicodedata.category(char)
    return char in SINGLE or (kind[0] not in "LNM" and kind != "Cf")
