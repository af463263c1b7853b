"""Repeated lines and paragraphs, and boilerplate of sites, found by plain walks over strings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

CCNET = re.compile("[，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Document:
    """What the rules look at."""

    id: str
    text: str
    source: str = "web"
    site: str | None = None


@dataclass(frozen=True)
class Piece:
    """A piece of document `of`: bytes `start` to `end`; `text` is what is compared of it."""

    of: int
    start: int
    end: int
    text: str
    edge: int = 0  # its number from the nearer end of the document, from 0


def pieces(text: str, paragraphs: bool, of: int = 0) -> list[Piece]:
    """The pieces of a text: lines that are not blank, or runs of them."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", text)
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line.encode()))
    found: list[tuple[int, int, str]] = []
    open_ = False
    for line, (start, end) in zip(lines, pairwise(ends), strict=True):
        if not line.strip():
            open_ = False
        elif paragraphs and open_:
            found[-1] = (found[-1][0], end, found[-1][2] + line)
        else:
            found.append((start, end, line))
            open_ = True
    if paragraphs and found:
        found = [
            (start, later, said)
            for (start, _, said), later in zip(found, [*(f[0] for f in found[1:]), ends[-1]], strict=True)
        ]
    last = len(found) - 1
    return [
        Piece(of, start, end, said.strip(), min(place, last - place))
        for place, (start, end, said) in enumerate(found)
    ]


def exact(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def ccnet(text: str) -> str:
    return CCNET.sub("", re.sub(r"\d", "0", text.lower()))


def fold(text: str) -> str:
    words = []
    for char in text:
        base = unicodedata.normalize("NFKD", char.lower())
        shown = [part for part in base if unicodedata.category(part)[0] != "M"]
        folded = shown[0] if len(shown) == 1 else char.lower()
        kind = unicodedata.category(char)
        if kind in ("Mn", "Me", "Cf"):
            continue
        words.append("0" if kind == "Nd" else folded if kind[0] in "LNM" else " ")
    return re.sub(" +", " ", "".join(words)).strip(" ")


FORMS: dict[str, Callable[[str], str]] = {"exact": exact, "ccnet": ccnet, "fold": fold}


def in_order(documents: Sequence[Document], priority: Sequence[str]) -> dict[int, int]:
    """The rank of each document, the best first."""

    def key(place: int) -> tuple[int, int, str, int]:
        one = documents[place]
        source = priority.index(one.source) if one.source in priority else len(priority)
        return source, -len(one.text.encode()), one.id, place

    return {place: rank for rank, place in enumerate(sorted(range(len(documents)), key=key))}


def repeats(
    documents: Sequence[Document],
    *,
    paragraphs: bool,
    normalize: str,
    keep: str,
    max_copies: int = 1,
    min_characters: int = 1,
    by_site: bool = False,
    priority: Sequence[str] = (),
) -> set[tuple[int, int, int, int | None]]:
    """The spans that go: (document, start, end, document that keeps it)."""
    rank = in_order(documents, priority)
    groups: dict[tuple[object, str], list[Piece]] = {}
    for place, one in enumerate(documents):
        for piece in pieces(one.text, paragraphs, place):
            form = FORMS[normalize](piece.text)
            if form and len(piece.text) >= min_characters:
                where = (one.site or place) if by_site else None
                groups.setdefault((where, form), []).append(piece)
    found: set[tuple[int, int, int, int | None]] = set()
    for group in groups.values():
        group.sort(key=lambda piece: (rank[piece.of], piece.start))
        gone = group[max_copies:] if keep == "first" else group if len(group) > max_copies else []
        survivor = group[0].of if keep == "first" else None
        found |= {(piece.of, piece.start, piece.end, survivor) for piece in gone}
    return found


def boilerplate(
    documents: Sequence[Document],
    *,
    normalize: str,
    edge: int,
    min_pages: int,
    min_share: float,
    keep: str,
) -> set[tuple[int, int, int, int | None]]:
    """The lines at the edges of pages that go."""
    rank = in_order(documents, ())
    groups: dict[tuple[str, str], list[Piece]] = {}
    for place, one in enumerate(documents):
        for piece in pieces(one.text, False, place):
            form = FORMS[normalize](piece.text)
            if one.site and form and piece.edge < edge:
                groups.setdefault((one.site, form), []).append(piece)
    found: set[tuple[int, int, int, int | None]] = set()
    for (site, _), group in groups.items():
        pages = len({piece.of for piece in group})
        of_site = sum(one.site == site for one in documents)
        if pages >= min_pages and pages >= min_share * of_site:
            group.sort(key=lambda piece: (rank[piece.of], piece.start))
            first = keep == "first"
            survivor = group[0].of if first else None
            found |= {(piece.of, piece.start, piece.end, survivor) for piece in group[first:]}
    return found
