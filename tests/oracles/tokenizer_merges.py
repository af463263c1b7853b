"""BPE training as `tokenizers` 0.23 does it (models/bpe/trainer.rs and word.rs), slowly and word by word.

One list of symbols a word, one set of words a candidate, a heap of candidates, and a dictionary of counts.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise

VISIBLE = {*range(33, 127), *range(161, 173), *range(174, 256)}
BYTE_ORDER = [*sorted(VISIBLE), *(byte for byte in range(256) if byte not in VISIBLE)]


@dataclass
class SlowMerges:
    """`merges` of (left, right, result); `strange`: whether a token arose again, or a pair at two times."""

    merges: list[tuple[int, int, int]]
    saved: list[int]
    tokens: list[bytes]
    strange: bool


def learn_slowly(
    words: list[tuple[bytes, int]], entries: int, min_frequency: int, max_token_bytes: int | None
) -> SlowMerges:
    limit = 2**63 if max_token_bytes is None else max_token_bytes
    spelling = [bytes([byte]) for byte in BYTE_ORDER]
    number = {token: index for index, token in enumerate(spelling)}
    symbols = [[number[bytes([byte])] for byte in word] for word, _ in words]
    weights = [count for _, count in words]
    counts: Counter[tuple[int, int]] = Counter()
    holders: dict[tuple[int, int], set[int]] = defaultdict(set)
    for index, word in enumerate(symbols):
        for pair in pairwise(word):
            counts[pair] += weights[index]
            holders[pair].add(index)
    births: list[set[int]] = []
    known: set[tuple[int, int]] = set()
    learnt = SlowMerges([], [], [], False)
    queue: list[tuple[int, tuple[int, int], int]] = []

    def candidates() -> None:
        for pair, where in holders.items():
            learnt.strange |= pair in known
            known.add(pair)
            if counts[pair] > 0:
                births.append(where)
                heapq.heappush(queue, (-counts[pair], pair, len(births) - 1))
        holders.clear()

    candidates()
    while len(learnt.tokens) < entries and queue:
        negative, pair, birth = heapq.heappop(queue)
        if -negative != counts[pair]:
            heapq.heappush(queue, (-counts[pair], pair, birth))
            continue
        if -negative < max(1, min_frequency):
            break
        token = spelling[pair[0]] + spelling[pair[1]]
        if token not in number:
            number[token] = len(spelling)
            spelling.append(token)
            learnt.tokens.append(token)
        else:
            learnt.strange = True
        new = number[token]
        merged = 0
        for index in births[birth]:
            changes, times = _merge(symbols[index], pair, new, spelling, limit)
            merged += times * weights[index]
            for changed, by in changes:
                counts[changed] += by * weights[index]
                if by > 0:
                    holders[changed].add(index)
        learnt.merges.append((*pair, new))
        learnt.saved.append(merged)
        candidates()
    return learnt


def _merge(
    word: list[int], pair: tuple[int, int], new: int, spelling: list[bytes], limit: int
) -> tuple[list[tuple[tuple[int, int], int]], int]:
    changes = []
    times = 0
    at = 0
    while at + 1 < len(word):
        if (word[at], word[at + 1]) == pair:
            times += 1
            if at > 0:
                changes.append(((word[at - 1], pair[0]), -1))
                if len(spelling[word[at - 1]]) + len(spelling[new]) < limit:
                    changes.append(((word[at - 1], new), 1))
            word[at : at + 2] = [new]
            if at + 1 < len(word):
                changes.append(((pair[1], word[at + 1]), -1))
                if len(spelling[word[at + 1]]) + len(spelling[new]) < limit:
                    changes.append(((new, word[at + 1]), 1))
        at += 1
    return changes, times
