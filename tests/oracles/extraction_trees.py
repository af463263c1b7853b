"""Oracles of extraction: the tree of a page walked node by node, a tree of decisions walked by its file, and
a choice of blocks by trying every threshold."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

SKIPPED = {
    "head", "title", "script", "style", "template", "iframe", "noembed", "noframes", "svg", "select",
    "option", "optgroup", "datalist", "xmp", "textarea",
}  # fmt: skip
BREAKING = {
    "html", "body", "p", "div", "ul", "li", "table", "tbody", "tr", "td", "h1", "section", "br", "hr",
    "blockquote", "select", "option", "textarea", "form", "noscript", "iframe", "figure",
}  # fmt: skip


def walked(document: Any) -> tuple[list[tuple[str, int, str, str]], list[tuple[int, str]]]:
    """(name, number of the parent, class, id) of each element and (number of its element, text) of each text,
    in document order, elements numbered from 1; neighbouring texts are one."""
    from resiliparse.parse.html import NodeType

    elements: list[tuple[str, int, str, str]] = []
    texts: list[tuple[int, str]] = []

    def visit(node: Any, parent: int) -> None:
        child, previous = node.first_child, None
        while child is not None:
            if child.type == NodeType.ELEMENT:
                elements.append((child.tag, parent, child.getattr("class") or "", child.getattr("id") or ""))
                visit(child, len(elements))
            elif child.type == NodeType.TEXT and child.value:
                if texts and texts[-1][0] == parent and previous == NodeType.TEXT:
                    texts[-1] = (parent, texts[-1][1] + child.value)
                else:
                    texts.append((parent, child.value))
            previous = child.type
            child = child.next_sibling

    visit(document, 0)
    return elements, texts


def lines_of(document: Any) -> list[str]:
    """The shown text of a page without code, a line for each run of texts that no break parts.

    A line end between two wide characters is nothing; two links side by side are two words,
    unless they have the same attributes.
    """
    from resiliparse.parse.html import NodeType

    lines = [""]
    links: list[Any] = [None]  # around the last text

    def visit(node: Any, shown: bool, link: Any) -> None:
        child = node.first_child
        while child is not None:
            if child.type == NodeType.TEXT and shown and child.value:
                sides = lines[-1][-1:] + child.value[:1]
                if len(sides) == 2 and _are_two(links[0], link):
                    lines[-1] += " " * (sides.isascii() and sides.isalnum())
                lines[-1] += child.value
                links[0] = link
            elif child.type == NodeType.ELEMENT:
                if child.tag in BREAKING:
                    lines.append("")
                visit(child, shown and child.tag not in SKIPPED, child if child.tag == "a" else link)
                if child.tag in BREAKING:
                    lines.append("")
            child = child.next_sibling

    visit(document, True, None)
    return [" ".join(_JOINED.sub(_joined, line).split()) for line in lines if line.strip()]


def _are_two(link: Any, other: Any) -> bool:
    if link is None or other is None or link == other:
        return False
    held = [{name: each.getattr(name) for name in each.attrs} for each in (link, other)]
    return held[0] != held[1]


_JOINED = re.compile(r"(?<=[\u3001-\u9fff])\s+(?=[\u3001-\u9fff])")


def _joined(white: re.Match[str]) -> str:
    return "" if "\n" in white[0] else white[0]


def without_entities(text: str) -> str:
    """Text as the parser means it, from text as it writes it."""
    return html.unescape(text)


def leaf(tree: dict[str, Any], row: Sequence[float]) -> float:
    """What one tree of the weights' file adds for a row of features."""
    if not tree["feature"]:
        return float(tree["leaves"][0])
    node = 0
    while node >= 0:
        high = row[tree["feature"][node]] > tree["threshold"][node]
        node = tree["high" if high else "low"][node]
    return float(tree["leaves"][~node])


def best_f1(words: Sequence[float], probability: Sequence[float]) -> float:
    """The highest expected F1 that any threshold reaches, of those from 0.1 on if some block reaches it."""
    least = 0.1 if any(p >= 0.1 and w for w, p in zip(words, probability, strict=True)) else 0.0
    thresholds = {least, *(p for p in probability if p >= least)}
    return max(expected_f1(words, probability, [p >= t for p in probability]) for t in thresholds)


def expected_f1(words: Sequence[float], probability: Sequence[float], keep: Sequence[bool]) -> float:
    """Expected F1 of a choice: the mean over the odds of all blocks a ninth, as they are, and nine times."""
    taken = sum(w for w, kept in zip(words, keep, strict=True) if kept)
    mean = 0.0
    for odds, weight in ((1 / 9, 0.3), (1.0, 0.4), (9.0, 0.3)):
        shifted = [p * odds / (1 - p + p * odds) for p in probability]
        found = sum(w * p for w, p, kept in zip(words, shifted, keep, strict=True) if kept)
        expected = sum(w * p for w, p in zip(words, shifted, strict=True))
        mean += weight * 2 * found / (taken + expected) if taken + expected else 0.0
    return mean
