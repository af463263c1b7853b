"""Plain-Python contamination scores over tuples of words: what the index and the scan must equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.oracles.dedup_words import words

Gram = tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """One benchmark item with its parts."""

    benchmark: str
    id: str
    questions: tuple[str, ...]
    solutions: tuple[str, ...]
    text: str


def speaks(gram: Gram) -> bool:
    """Whether some word has two letters or is a character of a script without spaces."""
    return any(sum(map(str.isalpha, word)) > 1 or "\u3040" <= word[0] <= "\u9fff" for word in gram)


def grams_of(text: str, n: int, least: int) -> list[Gram]:
    """Distinct grams of a part."""
    found = words(text)
    length = min(n, len(found))
    if length < least:
        return []
    runs = [tuple(found[i : i + length]) for i in range(len(found) - length + 1)]
    return list(dict.fromkeys(gram for gram in runs if speaks(gram)))


class Index:
    """Grams with their benchmark, and the questions looked for."""

    def __init__(self, items: Sequence[Item], n: int, least: int, max_items: int) -> None:
        self.n = n
        where: dict[Gram, set[tuple[str, str]]] = {}
        for item in items:
            parts = [(q, least) for q in item.questions] + [(s, n) for s in (*item.solutions, item.text)]
            for part, shortest in parts:
                for gram in grams_of(part, n, shortest):
                    where.setdefault(gram, set()).add((item.benchmark, item.id))
        self.benchmark = {gram: min(w)[0] for gram, w in where.items() if len(w) <= max_items}
        self.questions: list[tuple[str, set[Gram]]] = []
        for item in items:
            for question in item.questions:
                every = grams_of(question, n, least)
                left = {gram for gram in every if gram in self.benchmark}
                if left and 2 * len(left) >= len(every):
                    self.questions.append((item.benchmark, left))

    def scores(self, text: str, window: int) -> tuple[int, float, float, str | None]:
        """Hits, overlap, contained share and benchmark of one document."""
        lines = text.split("\n")
        located = [(word, number) for number, line in enumerate(lines) for word in words(line)]
        found = [word for word, _ in located]
        covered = [False] * len(found)
        votes: Counter[str] = Counter()
        seen: set[Gram] = set()
        lengths = {self.n} | {len(gram) for _, grams in self.questions for gram in grams}
        for length in lengths:
            for i in range(len(found) - length + 1):
                gram = tuple(found[i : i + length])
                if gram in self.benchmark:
                    covered[i : i + length] = [True] * length
                    votes[self.benchmark[gram]] += 1
                    seen.add(gram)
        if not votes:
            return 0, 0.0, 0.0, None
        overlap = 0.0
        for paragraph in paragraphs(covered, [number for _, number in located]):
            size = min(window, len(paragraph))
            for i in range(len(paragraph) - size + 1):
                overlap = max(overlap, sum(paragraph[i : i + size]) / max(size, 2 * self.n))
        shares = [(-len(seen & grams) / len(grams), name) for name, grams in self.questions]
        share, name = min(shares, default=(0.0, ""))
        if -share >= overlap:
            return sum(votes.values()), overlap, -share, name
        return sum(votes.values()), overlap, -share, min(votes, key=lambda b: (-votes[b], b))


def paragraphs(covered: list[bool], line: list[int]) -> list[list[bool]]:
    """`covered` cut where words stand two or more line breaks apart."""
    out: list[list[bool]] = []
    for i, value in enumerate(covered):
        if i == 0 or line[i] - line[i - 1] > 1:
            out.append([])
        out[-1].append(value)
    return out
