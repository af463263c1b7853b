"""Kneser-Ney by dictionaries, a token at a time."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence


def discount(counts: Sequence[int]) -> float:
    once, twice = sum(c == 1 for c in counts), sum(c == 2 for c in counts)
    return once / (once + 2 * twice) if once and twice else 0.5


class Oracle:
    """Fitted on rows; each row's first token stands after `start`."""

    def __init__(self, rows: Sequence[Sequence[int]], start: int, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.words: Counter[int] = Counter()
        self.after: dict[int, Counter[int]] = defaultdict(Counter)
        for row in rows:
            for before, word in zip([start, *row], row, strict=False):
                self.words[word] += 1
                self.after[before][word] += 1
        self.kinds: Counter[int] = Counter(w for counts in self.after.values() for w in counts)
        self.pair_discount = discount([c for counts in self.after.values() for c in counts.values()])

    def lower(self, counts: Counter[int], word: int) -> float:
        d, total = discount(list(counts.values())), sum(counts.values())
        return max(counts[word] - d, 0) / total + d * len(counts) / total / self.vocabulary

    def unigram(self, word: int) -> float:
        return -math.log(self.lower(self.words, word))

    def bigram(self, before: int, word: int) -> float:
        lower = self.lower(self.kinds, word)
        if before not in self.after:
            return -math.log(lower)
        counts = self.after[before]
        total, d = sum(counts.values()), self.pair_discount
        return -math.log(max(counts[word] - d, 0) / total + d * len(counts) / total * lower)
