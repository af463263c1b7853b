"""The scan of documents for benchmark items: grams in a row, and questions with words or numbers changed.

Legend: N documents, W words of a document, G benchmark grams (distinct hashes), P questions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.grams import gram_at, gram_hashes
from corpusmill.dedup.kernels.hash_set import HashSet, may_hold, place_in
from corpusmill.dedup.kernels.near_questions import Questions, near_questions
from corpusmill.dedup.kernels.plain_words import item_words
from corpusmill.pipelines.text.compiled import compiled

LINE_FEED = 10

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


class Grams(NamedTuple):
    """What is looked for word by word: G grams, and the P questions made of them.

    `lengths` int64[L]: gram lengths, none under `head_length`; `heads`: the first `head_length` words of each
    gram, so that most positions are decided by one look. `items` int64[G]: the first item that has a gram.
    `starts` int64[G + 1] and `question`: for each gram the questions it belongs to; `sizes` int64[P]: the
    distinct grams of each. `benchmarks`: the benchmark of each item.
    """

    lengths: Integers
    grams: HashSet
    head_length: int
    heads: HashSet
    items: Integers
    starts: Integers
    question: Integers
    sizes: Integers
    benchmarks: Integers


class Scan(NamedTuple):
    """What is found in N documents.

    `hits` int64[N], `overlap` and `contained` float64[N]: see the stage `decontaminate`. `question` int64[N]:
    of `contained`, -1 for none. `item` int64[N]: of most hits in the benchmark of most hits, -1 for none.
    `near` int64[., 6]: see `near_questions`.
    """

    hits: Integers
    overlap: Shares
    contained: Shares
    question: Integers
    item: Integers
    near: Integers


@compiled
def best_window(covered_W: Integers, paragraph_W: Integers, n_words: int, window: int, least: int) -> float:
    """Largest share of covered words in any `window` words in a row of one paragraph.

    A paragraph shorter than the window is taken whole, and its length as at least `least`.
    """
    best = 0.0
    first = 0
    while first < n_words:
        last = first
        while last < n_words and paragraph_W[last] == paragraph_W[first]:
            last += 1
        inside = 0
        for i in range(first, last):
            inside += covered_W[i]
            if i - first >= window:
                inside -= covered_W[i - window]
            if i - first + 1 >= window or i + 1 == last:
                best = max(best, inside / max(min(i - first + 1, window), least))
        first = last
    return best


@compiled
def _paragraphs(data: Bytes, start: int, end_W: Integers, n_words: int, paragraph_W: Integers) -> None:
    """Number of each word's paragraph: a new one where two line breaks stand between two words."""
    number = 0
    before = start
    for i in range(n_words):
        breaks = 0
        for at in range(before, end_W[i]):
            if data[at] == LINE_FEED:
                breaks += 1
        if breaks > 1:
            number += 1
        paragraph_W[i] = number
        before = end_W[i]


@compiled
def _best_question(
    hit_gram: Integers, start_G: Integers, question: Integers, size_P: Integers
) -> tuple[float, int]:
    """Largest share of one question's grams among the distinct grams hit, and that question (-1: none)."""
    grams = np.unique(hit_gram)
    total = 0
    for g in grams:
        total += start_G[g + 1] - start_G[g]
    touched = np.empty(total, np.int64)
    n = 0
    for g in grams:
        for at in range(start_G[g], start_G[g + 1]):
            touched[n] = question[at]
            n += 1
    touched.sort()
    best, which = 0.0, -1
    at = 0
    while at < n:
        last = at
        while last < n and touched[last] == touched[at]:
            last += 1
        share = (last - at) / size_P[touched[at]]
        if share > best:
            best, which = share, touched[at]
        at = last
    return best, which


@compiled
def most_hit(hit_gram: Integers, item_G: Integers, benchmark_I: Integers) -> int:
    """The item of most hits in the benchmark of most hits; of equals the first."""
    items = np.empty(len(hit_gram), np.int64)
    for h in range(len(hit_gram)):
        items[h] = item_G[hit_gram[h]]
    items.sort()
    most, best_item, start = 0, -1, 0
    while start < len(items):  # items are numbered benchmark by benchmark
        benchmark = benchmark_I[items[start]]
        end, run, longest, longest_item = start, 0, 0, -1
        while end < len(items) and benchmark_I[items[end]] == benchmark:
            run = run + 1 if end > start and items[end] == items[end - 1] else 1
            if run > longest:
                longest, longest_item = run, items[end]
            end += 1
        if end - start > most:
            most, best_item = end - start, longest_item
        start = end
    return best_item


@compiled
def gram_hits(
    hash_W: Hashes, n_words: int, head_W: Hashes, grams: Grams
) -> tuple[Integers, Integers, Integers]:
    """Where grams stand in a document, in order: their first word, gram, and words, each int64[hits].

    `head_W` is room for W hashes.
    """
    hit_at = np.empty(16, np.int64)
    hit_gram = np.empty(16, np.int64)
    hit_length = np.empty(16, np.int64)
    count = 0
    for i in range(gram_hashes(hash_W, n_words, grams.head_length, head_W)):
        if not may_hold(grams.heads, head_W[i]) or place_in(grams.heads, head_W[i]) < 0:
            continue
        for length in grams.lengths:
            if i + length > n_words:
                continue
            g = place_in(grams.grams, gram_at(hash_W, i, length))
            if g < 0:
                continue
            if count == len(hit_at):
                hit_at = np.append(hit_at, hit_at)
                hit_gram = np.append(hit_gram, hit_gram)
                hit_length = np.append(hit_length, hit_length)
            hit_at[count], hit_gram[count], hit_length[count] = i, g, length
            count += 1
    return hit_at[:count], hit_gram[:count], hit_length[:count]


@compiled
def scan(
    offsets: Integers,
    data: Bytes,
    table: npt.NDArray[np.uint32],
    grams: Grams,
    questions: Questions,
    window: int,
    least: int,
    least_anchors: float,
    least_words: float,
) -> Scan:
    """Scan N documents. `window` and `least` are those of `best_window`, `least_anchors` and `least_words` of
    `near_questions`.

    Time: linear in the bytes. Memory: 40 bytes for two bytes of the longest document, of which as many are
    written as it has words, and 32 more a word where it has hits.
    """
    n_docs = len(offsets) - 1
    longest = 0
    for d in range(n_docs):
        longest = max(longest, offsets[d + 1] - offsets[d])
    room = longest // 2 + 2
    hash_W = np.empty(room, np.uint64)
    end_W = np.empty(room, np.int64)
    head_W = np.empty(room, np.uint64)
    hash_V = np.empty(room, np.uint64)
    word_V = np.empty(room, np.int64)
    hits = np.zeros(n_docs, np.int64)
    overlap = np.zeros(n_docs, np.float64)
    contained = np.zeros(n_docs, np.float64)
    of_contained = np.full(n_docs, -1, np.int64)
    item = np.full(n_docs, -1, np.int64)
    near = np.empty((16, 6), np.int64)
    n_near = 0
    for d in range(n_docs):
        n, n_plain = item_words(data, offsets[d], offsets[d + 1], table, hash_W, end_W, hash_V, word_V)
        near, n_near = near_questions(
            hash_W, n, hash_V, word_V, n_plain, head_W, questions, least_anchors, least_words, near, n_near, d
        )
        hit_at, hit_gram, hit_length = gram_hits(hash_W, n, head_W, grams)
        count = len(hit_at)
        if count == 0:
            continue
        hits[d] = count
        change = np.zeros(n + 1, np.int64)
        for h in range(count):
            change[hit_at[h]] += 1
            change[hit_at[h] + hit_length[h]] -= 1
        covered_W = np.empty(n, np.int64)
        depth = 0
        for i in range(n):
            depth += change[i]
            covered_W[i] = depth > 0
        paragraph_W = np.empty(n, np.int64)
        _paragraphs(data, offsets[d], end_W, n, paragraph_W)
        overlap[d] = best_window(covered_W, paragraph_W, n, window, least)
        contained[d], of_contained[d] = _best_question(hit_gram, grams.starts, grams.question, grams.sizes)
        item[d] = most_hit(hit_gram, grams.items, grams.benchmarks)
    return Scan(hits, overlap, contained, of_contained, item, near[:n_near].copy())
