"""Interpolated Kneser-Ney over words in plain Python, and ARPA files: definitions, not speed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

Gram = tuple[str, ...]
BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"


class KneserNey:
    """Trained on lines of words; `least`: occurrences from which a word is known by itself."""

    def __init__(self, lines: Sequence[Sequence[str]], order: int, least: int) -> None:
        self.order = order
        counts = Counter(word for line in lines for word in line)
        self.known = {word for word, count in counts.items() if count >= least}
        self.rare = len(counts) - len(self.known)
        times: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
        for line in lines:
            words = [BEGIN, *(self.form(word) for word in line), END]
            for last in range(1, len(words)):
                for length in range(1, order + 1):
                    if last - length + 1 >= 0:
                        times[length][tuple(words[last - length + 1 : last + 1])] += 1
        self.counts: list[dict[Gram, int]] = [{} for _ in range(order + 1)]
        for length in range(1, order + 1):
            before: defaultdict[Gram, set[str]] = defaultdict(set)
            if length < order:
                for gram in times[length + 1]:
                    before[gram[1:]].add(gram[0])
            for gram, count in times[length].items():
                whole = length == order or gram[0] == BEGIN
                self.counts[length][gram] = count if whole else len(before[gram])
        self.behind: defaultdict[Gram, dict[str, int]] = defaultdict(dict)
        for level in self.counts:
            for gram, count in level.items():
                self.behind[gram[:-1]][gram[-1]] = count
        self.discounts = [self.discount(length) for length in range(order + 1)]

    def form(self, word: str) -> str:
        return word if word in self.known else UNKNOWN

    def discount(self, length: int) -> float:
        values = list(self.counts[length].values())
        once, twice = values.count(1), values.count(2)
        return once / (once + 2 * twice) if once and twice else 0.5

    def weight(self, context: Gram) -> float:
        """What is left for shorter n-grams behind a context; 1 behind one never seen."""
        behind = self.behind.get(context)
        if not behind:
            return 1.0
        return self.discounts[len(context) + 1] * len(behind) / sum(behind.values())

    def probability(self, word: str, context: Gram) -> float:
        """Of a known word, END or UNKNOWN, behind the last `order` - 1 words or fewer."""
        behind = self.behind.get(context)
        if context:
            lower = self.probability(word, context[1:])
        else:
            lower = 1 / (len(self.known) + 2)
        if not behind:
            return lower
        own = max(behind.get(word, 0) - self.discounts[len(context) + 1], 0.0) / sum(behind.values())
        return own + self.weight(context) * lower

    def perplexity(self, lines: Sequence[Sequence[str]]) -> float | None:
        log, count = 0.0, 0
        for line in lines:
            words = [BEGIN, *map(self.form, line), END]
            for at in range(1, len(words)):
                context = tuple(words[max(0, at - self.order + 1) : at])
                log += math.log10(self.probability(words[at], context))
                count += 1
            log -= math.log10(max(self.rare, 1)) * sum(word not in self.known for word in line)
        return 10 ** (-log / count) if count else None

    def arpa(self, without: Sequence[Gram] = ()) -> str:
        """The model as an ARPA file, but for some n-grams."""
        grams: list[list[Gram]] = [sorted(self.counts[n]) for n in range(1, self.order + 1)]
        grams[0] = [(BEGIN,), *({*grams[0], (UNKNOWN,)})]
        grams = [[gram for gram in level if gram not in without] for level in grams]
        lines = ["\\data\\", *(f"ngram {n + 1}={len(level)}" for n, level in enumerate(grams))]
        for n, level in enumerate(grams):
            lines += ["", f"\\{n + 1}-grams:"]
            for gram in level:
                value = -99.0 if gram == (BEGIN,) else math.log10(self.probability(gram[-1], gram[:-1]))
                passed = f"\t{math.log10(self.weight(gram)):.7g}" if n + 1 < self.order else ""
                lines.append(f"{value:.7g}\t{' '.join(gram)}{passed}")
        return "\n".join([*lines, "", "\\end\\", ""])
