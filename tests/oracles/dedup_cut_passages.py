"""Passages of benchmark items cut from a text, byte by byte in plain Python."""

from __future__ import annotations

from tests.oracles.dedup_contamination import Index
from tests.oracles.dedup_words import symbols

BREAKS = {"words": 0, "line": 1, "paragraph": 2}


def word_ends(text: str) -> list[int]:
    """The byte after each word."""
    found: list[int] = []
    inside, at = False, 0
    for char in text:
        after = at + len(char.encode())
        for symbol in symbols(char, "fold"):
            by_itself = symbol[0] == "\0" and len(symbol) == 2
            if (symbol == " " or by_itself) and inside:
                found.append(at)
            if by_itself:
                found.append(after)
            inside = symbol != " " and not by_itself
        at = after
    return [*found, at] if inside else found


def passages(text: str, found: set[int], unit: str, margin: int) -> list[tuple[int, int]]:
    """Spans of whole units with words of `found`, and as many more on either side as `margin`."""
    raw, ends = text.encode(), word_ends(text)
    starts = [0, *ends[:-1]]
    units: list[list[int]] = []
    for word, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if not units or raw[start:end].count(b"\n") >= BREAKS[unit]:
            units.append([])
        units[-1].append(word)
    marked = [not found.isdisjoint(some) for some in units]
    wide = [any(marked[max(0, u - margin) : u + margin + 1]) for u in range(len(units))]
    spans: list[tuple[int, int]] = []
    for u, some in enumerate(units):
        if not wide[u]:
            continue
        first, last = some[0], some[-1]
        if unit == "words":
            start, end = starts[first], ends[last]
        else:
            start = raw.rfind(b"\n", 0, ends[first]) + 1
            end = raw.find(b"\n", ends[last]) + 1 or len(raw)
        if u and wide[u - 1]:
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


def cut(index: Index, text: str, unit: str, margin: int, rounds: int) -> tuple[str, set[int], str | None]:
    """What is left of the text, places of the bytes cut from it, and the outcome."""
    left = list(enumerate(text.encode()))
    everything = {place for place, _ in left}
    outcome = None
    for _ in range(rounds):
        now = bytes(byte for _, byte in left).decode()
        if not index.reached(now):
            break
        outcome = "cut"
        gone = {
            at
            for start, end in passages(now, index.found_words(now), unit, margin)
            for at in range(start, end)
        }
        left = [pair for at, pair in enumerate(left) if at not in gone]
    now = bytes(byte for _, byte in left).decode()
    if index.reached(now):
        outcome = "contaminated"
    elif outcome and not now.strip():
        outcome = "emptied"
    return now, everything - {place for place, _ in left}, outcome
