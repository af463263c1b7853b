"""n-gram hashes of words, and the scan of documents for benchmark grams.

Legend: W words of a document, G benchmark grams (sorted distinct hashes), P benchmark questions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.words import MULTIPLIER, words
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.mixing import avalanche
from corpusmill.pipelines.text.kernels.sorted_hashes import place_of

U64 = np.uint64
LENGTH_SALT = U64(0xA0761D6478BD642F)
LINE_FEED = 10

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@compiled
def gram_hashes(hash_W: Hashes, n_words: int, length: int, out: Hashes) -> int:
    """Hashes of all runs of `length` words into `out`; returns their number. The length enters the hash."""
    count = n_words - length + 1
    if count <= 0:
        return 0
    leaving = U64(1)
    for _ in range(length):
        leaving *= MULTIPLIER
    salt = U64(length) * LENGTH_SALT
    h = U64(0)
    for i in range(length):
        h = h * MULTIPLIER + hash_W[i]
    out[0] = avalanche(h ^ salt)
    for i in range(length, n_words):
        h = h * MULTIPLIER + hash_W[i] - leaving * hash_W[i - length]
        out[i - length + 1] = avalanche(h ^ salt)
    return count


@compiled
def gram_at(hash_W: Hashes, first: int, length: int) -> np.uint64:
    """The hash `gram_hashes` gives the run of `length` words from `first`."""
    h = U64(0)
    for i in range(first, first + length):
        h = h * MULTIPLIER + hash_W[i]
    return U64(avalanche(h ^ U64(length) * LENGTH_SALT))


@compiled
def sieve_of(heads: Hashes) -> Hashes:
    """A bitmap, uint64 words of 64 bits, with a bit set for each hash: it rules out nearly all others."""
    bits = 1 << 12
    while bits < 16 * len(heads) and bits < 1 << 33:
        bits <<= 1
    sieve = np.zeros(bits >> 6, np.uint64)
    mask = U64(bits - 1)
    for head in heads:
        bit = head & mask
        sieve[bit >> U64(6)] |= U64(1) << (bit & U64(63))
    return sieve


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
def scan(
    offsets: Integers,
    data: Bytes,
    table: npt.NDArray[np.uint32],
    lengths: Integers,
    gram_G: Hashes,
    head_length: int,
    sieve: Hashes,
    benchmark_G: Integers,
    start_G: Integers,
    question: Integers,
    size_P: Integers,
    benchmark_P: Integers,
    n_benchmarks: int,
    window: int,
    least: int,
) -> tuple[Integers, npt.NDArray[np.float64], npt.NDArray[np.float64], Integers]:
    """Hits int64[N], overlap float64[N], contained share float64[N], best benchmark int64[N] (-1: none).

    `lengths` int64[L]: gram lengths looked up, none under `head_length`; `sieve` holds the first
    `head_length` words of each gram, so that most positions are decided by one look. `start_G` int64[G + 1]
    and `question`: for each gram the questions it belongs to; `size_P` int64[P]: distinct grams of each.
    """
    n_docs = len(offsets) - 1
    longest = 0
    for d in range(n_docs):
        longest = max(longest, offsets[d + 1] - offsets[d])
    room = longest // 2 + 2
    hash_W = np.empty(room, np.uint64)
    end_W = np.empty(room, np.int64)
    head_W = np.empty(room, np.uint64)
    hits = np.zeros(n_docs, np.int64)
    overlap = np.zeros(n_docs, np.float64)
    contained = np.zeros(n_docs, np.float64)
    benchmark = np.full(n_docs, -1, np.int64)
    mask = U64(len(sieve) * 64 - 1)
    for d in range(n_docs):
        n = words(data, offsets[d], offsets[d + 1], table, np.bool_(False), hash_W, end_W)
        hit_at = np.empty(16, np.int64)
        hit_gram = np.empty(16, np.int64)
        hit_length = np.empty(16, np.int64)
        count = 0
        for i in range(gram_hashes(hash_W, n, head_length, head_W)):
            bit = head_W[i] & mask
            if not (sieve[bit >> U64(6)] >> (bit & U64(63))) & U64(1):
                continue
            for length in lengths:
                if i + length > n:
                    continue
                g = place_of(gram_G, gram_at(hash_W, i, length), 0, len(gram_G))
                if g < 0:
                    continue
                if count == len(hit_at):
                    hit_at = np.append(hit_at, hit_at)
                    hit_gram = np.append(hit_gram, hit_gram)
                    hit_length = np.append(hit_length, hit_length)
                hit_at[count], hit_gram[count], hit_length[count] = i, g, length
                count += 1
        if count == 0:
            continue
        hits[d] = count
        change = np.zeros(n + 1, np.int64)
        votes = np.zeros(n_benchmarks, np.int64)
        for h in range(count):
            change[hit_at[h]] += 1
            change[hit_at[h] + hit_length[h]] -= 1
            votes[benchmark_G[hit_gram[h]]] += 1
        covered_W = np.empty(n, np.int64)
        depth = 0
        for i in range(n):
            depth += change[i]
            covered_W[i] = depth > 0
        paragraph_W = np.empty(n, np.int64)
        _paragraphs(data, offsets[d], end_W, n, paragraph_W)
        overlap[d] = best_window(covered_W, paragraph_W, n, window, least)
        contained[d], which = _best_question(hit_gram[:count], start_G, question, size_P)
        benchmark[d] = benchmark_P[which] if contained[d] >= overlap[d] else np.argmax(votes)
    return hits, overlap, contained, benchmark
