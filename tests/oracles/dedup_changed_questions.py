"""Questions with words or numbers changed, looked for in plain Python: what the kernels must equal."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.oracles.dedup_words import item_words as words
from tests.oracles.unicode import category

LEAST_ANCHORS, LEAST_WORDS, SLACK = 0.15, 0.5, 8
NUMERALS = {
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
    *("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
    *("hundred", "thousand", "million", "billion", *"零〇一二三四五六七八九十百千万亿两"),
}
Gram = tuple[str, ...]


def is_number(word: str) -> bool:
    return word in NUMERALS or category(word[0]) == "Nd" or category(word[-1]) == "Nd"


def plain(found: list[str]) -> list[int]:
    """Places of the words that are no numbers."""
    return [i for i, word in enumerate(found) if not is_number(word)]


@dataclass(frozen=True)
class Question:
    """A question's words, places of the plain ones, and where each anchor begins first among these."""

    item: str
    words: list[str]
    plain: list[int]
    anchors: dict[Gram, int]

    def without(self, common: set[Gram]) -> Question:
        return replace(self, anchors={g: at for g, at in self.anchors.items() if g not in common})


def question_of(item: str, text: str, length: int, least: int) -> Question | None:
    """None for a question of fewer than `least` plain words, or without an anchor."""
    found = words(text)
    places = plain(found)
    if len(places) < least:
        return None
    anchors: dict[Gram, int] = {}
    for at in range(len(places) - length + 1):
        gram = tuple(found[i] for i in places[at : at + length])
        if any(sum(map(str.isalpha, word)) > 1 or "\u3040" <= word[0] <= "\u9fff" for word in gram):
            anchors.setdefault(gram, at)
    return Question(item, found, places, anchors) if anchors else None


@dataclass(frozen=True)
class Near:
    """How a question stands in a document, from its word `first` to its word `last`."""

    item: str
    share: float
    numbers: float | None
    kind: str
    first: int
    last: int

    @property
    def known_numbers(self) -> float:
        return 1.0 if self.numbers is None else self.numbers


def near(text: str, question: Question) -> Near | None:
    """The question where its anchors are densest, if half of its plain words are there."""
    found = words(text)
    places = plain(found)
    length = len(next(iter(question.anchors)))
    hits = []
    for at in range(len(places) - length + 1):
        gram = tuple(found[i] for i in places[at : at + length])
        if gram in question.anchors:
            hits.append((at, question.anchors[gram]))
    size = len(question.plain)
    windows = [
        [other for other in hits[: t + 1] if hit[0] - other[0] <= size + size // 2]
        for t, hit in enumerate(hits)
    ]
    densest = max(windows, key=len, default=[])
    if not densest or len(densest) < LEAST_ANCHORS * len(question.anchors):
        return None
    at, offset = densest[len(densest) // 2]
    asked = [question.words[i] for i in question.plain]
    pairs = aligned(asked, [found[i] for i in places], at - offset)
    if len(pairs) < LEAST_WORDS * size:
        return None
    span = max(pairs.values()) - min(pairs.values()) + 1
    total = len(question.words) - size
    same = same_numbers(question, found, places, pairs)
    wrong = total - same
    if wrong and (len(pairs) == size or wrong > max(1, total // 2)):
        kind = "variant"
    else:
        kind = "verbatim" if len(pairs) == size == span else "altered"
    ends = places[min(pairs.values())], places[max(pairs.values())]
    return Near(question.item, len(pairs) / max(size, span), same / total if total else None, kind, *ends)


def aligned(asked: list[str], document: list[str], first: int) -> dict[int, int]:
    """The longest common subsequence within the band, as places in question and document."""
    if first >= 0 and document[first : first + len(asked)] == asked:
        return {q: first + q for q in range(len(asked))}
    band = max(8, min(64, len(asked) // 4))
    longest: dict[tuple[int, int], int] = {}

    def length(q: int, at: int) -> int:
        return longest.get((q, at), 0)

    for q, word in enumerate(asked):
        for at in range(q + first - band, q + first + band + 1):
            both = length(q - 1, at - 1) + 1 if 0 <= at < len(document) and document[at] == word else 0
            longest[q, at] = max(length(q, at - 1), length(q - 1, at), both)
    q = len(asked) - 1
    at = q + first + band
    while length(q, at - 1) == length(q, at) > 0:
        at -= 1
    pairs: dict[int, int] = {}
    while q >= 0 and length(q, at):
        same = 0 <= at < len(document) and document[at] == asked[q]
        if same and length(q - 1, at - 1) + 1 == length(q, at):
            pairs[q] = at
            q, at = q - 1, at - 1
        elif length(q, at - 1) >= length(q - 1, at):
            at -= 1
        else:
            q -= 1
    return pairs


def same_numbers(question: Question, found: list[str], places: list[int], pairs: dict[int, int]) -> int:
    """Numbers of the question that stand in order between the same plain words."""
    bounds = [(-1, -1), *((question.plain[q], places[at]) for q, at in sorted(pairs.items()))]
    same = 0
    for (asked_from, from_), (asked_to, to) in zip(
        bounds, [*bounds[1:], (len(question.words), len(found))], strict=True
    ):
        room = asked_to - asked_from - 1 + SLACK
        if from_ < 0:
            here = found[max(0, to - room) : to]
        else:
            here = found[from_ + 1 : to][:room]
        behind = 0
        for word in question.words[asked_from + 1 : asked_to]:
            if not is_number(word):
                continue
            if word in here[: 2 * SLACK]:
                here = here[here.index(word) + 1 :]
                same, behind = same + 1, 0
            else:
                behind += 1
                here = here[behind > SLACK :]
    return same
