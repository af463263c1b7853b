"""Plain-Python contamination scores over tuples of words: what the index and the scan must equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.oracles.dedup_changed_questions import Near, Question, near, question_of
from tests.oracles.dedup_words import item_words as words

Gram = tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """One benchmark item with its parts."""

    benchmark: str
    id: str
    questions: tuple[str, ...]
    solutions: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Rules:
    """Options of the stages."""

    n: int
    least: int
    max_items: int
    anchor: int
    window: int
    overlap: float = 0.5
    contained: float = 0.8
    altered: float = 0.8
    variant: float = 0.96


@dataclass(frozen=True)
class Scores:
    """Scores of a document, in the order of the stage's columns."""

    hits: int = 0
    overlap: float = 0.0
    contained: float = 0.0
    matched: float = 0.0
    numbers: float | None = None
    match: str | None = None
    benchmark: str | None = None
    item: str | None = None
    items: tuple[str, ...] | None = None
    item_benchmarks: tuple[str, ...] | None = None


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


def asked(item: Item, least: int) -> list[str]:
    """The item's questions, each with the rest of the item if it is too short by itself."""
    found = []
    for question in item.questions:
        if len(words(question)) < least:
            longer = len(words(item.text)) > len(words(question))
            question = item.text if longer else "\n".join([question, *filter(str.strip, item.solutions)])
        found.append(question)
    return found


class Index:
    """Grams with their item, the questions looked for, and those looked for with changes."""

    def __init__(self, items: Sequence[Item], rules: Rules) -> None:
        self.rules = rules
        n, least = rules.n, rules.least
        items = sorted(items, key=lambda item: (item.benchmark, item.id))
        where: dict[Gram, set[Item]] = {}
        for item in items:
            parts = [(q, least) for q in asked(item, least)] + [(s, n) for s in (*item.solutions, item.text)]
            for part, shortest in parts:
                for gram in grams_of(part, n, shortest):
                    where.setdefault(gram, set()).add(item)
        self.item = {
            gram: min(w, key=lambda item: (item.benchmark, item.id))
            for gram, w in where.items()
            if len(w) <= rules.max_items
        }
        self.questions: list[tuple[Item, set[Gram]]] = []
        changed: list[Question] = []
        for item in items:
            for question in asked(item, least):
                every = grams_of(question, n, least)
                left = {gram for gram in every if gram in self.item}
                if left and 2 * len(left) >= len(every):
                    self.questions.append((item, left))
                one = question_of(item.id, question, rules.anchor, max(n, rules.anchor))
                if one is not None and one.words not in [other.words for other in changed]:
                    changed.append(one)
        users = Counter(pair for one in changed for pair in {(gram, one.item) for gram in one.anchors})
        common = Counter(gram for gram, _ in users)
        self.changed = [
            one.without({gram for gram in one.anchors if common[gram] > rules.max_items}) for one in changed
        ]
        self.changed = [
            own
            for own, one in zip(self.changed, changed, strict=True)
            if own.anchors and len(own.anchors) >= 0.25 * len(one.anchors)
        ]
        self.items = {item.id: item for item in items}

    def scores(self, text: str) -> Scores:
        """The scores of one document."""
        hits, overlap, shares, most = self._in_a_row(text)
        rules = self.rules
        contained, question_item = max(shares, key=lambda pair: pair[0], default=(0.0, None))
        if contained == 0.0:
            question_item = None
        item = question_item if question_item and contained >= overlap else most
        match = None
        if overlap >= rules.overlap:
            match = "part"
        if contained >= rules.contained:
            match = "verbatim" if contained == 1.0 else "altered"
        exact = [item.id] if item and match is not None else []
        found = [one for question in self.changed if (one := near(text, question)) is not None]
        found.sort(key=lambda one: (not self._counts(one), -one.share, 1 - one.known_numbers))
        named = [one.item for one in found if self._counts(one)]
        if found and (named or match is None):
            match = found[0].kind
        if found and (named or item is None):
            item = self.items[found[0].item]
            exact = [item.id] if exact else []
        if item is None:
            return Scores()
        return Scores(
            hits,
            overlap,
            contained,
            found[0].share if found else 0.0,
            found[0].numbers if found else None,
            match,
            item.benchmark,
            item.id,
            items := tuple(dict.fromkeys(named + exact)),
            tuple(self.items[name].benchmark for name in items),
        )

    def reached(self, text: str) -> bool:
        """Whether a document is removed for what is found in it."""
        found, rules = self.scores(text), self.rules
        least = rules.variant if found.match == "variant" else rules.altered
        return found.overlap >= rules.overlap or found.contained >= rules.contained or found.matched >= least

    def found_words(self, text: str) -> set[int]:
        """Places of the words in runs of the index, and in passages that count as a question."""
        found = words(text)
        lengths = {self.rules.n} | {len(gram) for _, grams in self.questions for gram in grams}
        runs = [
            range(i, i + length)
            for length in lengths
            for i in range(len(found) - length + 1)
            if tuple(found[i : i + length]) in self.item
        ]
        aligned = [one for question in self.changed if (one := near(text, question)) is not None]
        runs += [range(one.first, one.last + 1) for one in aligned if self._counts(one)]
        return {place for run in runs for place in run}

    def _counts(self, one: Near) -> bool:
        return one.share >= (self.rules.variant if one.kind == "variant" else self.rules.altered)

    def _in_a_row(self, text: str) -> tuple[int, float, list[tuple[float, Item]], Item | None]:
        """Hits, overlap, shares of questions, and the item of most hits in the benchmark of most."""
        lines = text.split("\n")
        located = [(word, number) for number, line in enumerate(lines) for word in words(line)]
        found = [word for word, _ in located]
        covered = [False] * len(found)
        votes: Counter[str] = Counter()
        item_votes: Counter[tuple[str, str]] = Counter()
        seen: set[Gram] = set()
        lengths = {self.rules.n} | {len(gram) for _, grams in self.questions for gram in grams}
        for length in lengths:
            for i in range(len(found) - length + 1):
                gram = tuple(found[i : i + length])
                if gram in self.item:
                    covered[i : i + length] = [True] * length
                    votes[self.item[gram].benchmark] += 1
                    item_votes[self.item[gram].benchmark, self.item[gram].id] += 1
                    seen.add(gram)
        if not votes:
            return 0, 0.0, [], None
        overlap = 0.0
        for paragraph in paragraphs(covered, [number for _, number in located]):
            size = min(self.rules.window, len(paragraph))
            for i in range(len(paragraph) - size + 1):
                overlap = max(overlap, sum(paragraph[i : i + size]) / max(size, 2 * self.rules.n))
        shares = [(len(seen & grams) / len(grams), item) for item, grams in self.questions]
        benchmark = min(votes, key=lambda b: (-votes[b], b))
        inside = [pair for pair in item_votes if pair[0] == benchmark]
        _, most = min(inside, key=lambda pair: (-item_votes[pair], pair))
        return sum(votes.values()), overlap, shares, self.items[most]


def paragraphs(covered: list[bool], line: list[int]) -> list[list[bool]]:
    """`covered` cut where words stand two or more line breaks apart."""
    out: list[list[bool]] = []
    for i, value in enumerate(covered):
        if i == 0 or line[i] - line[i - 1] > 1:
            out.append([])
        out[-1].append(value)
    return out
