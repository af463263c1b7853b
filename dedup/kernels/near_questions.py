"""Questions of benchmarks that stand in a document with words or numbers changed.

Legend: W words of a document, V its plain words (`plain_words`), P questions, A anchors.

An anchor is a run of a few plain words of a question. A document that holds the question, changed, keeps many
of them close together; where they are densest the question is aligned with the document (`alignment`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.alignment import align, band_of
from corpusmill.dedup.kernels.grams import gram_hashes
from corpusmill.dedup.kernels.hash_set import HashSet, may_hold, place_in
from corpusmill.pipelines.text.compiled import compiled

BLOCK = 1 << 15
LONGEST = 1 << 13
SLACK = 8
Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


class Questions(NamedTuple):
    """What is looked for: A anchors of `length` words, and P questions.

    `starts` int64[A + 1], `posting` (question) and `offset` (place of the anchor's first word among its plain
    words): the questions of each anchor. `plain` and `word` (place among all words): plain words of all
    questions, those of a question between two `plain_ends` int64[P + 1]; `every`: all words, between
    `word_ends`. `anchor_counts` int64[P]: anchors of each. `longest`: most plain words of one.
    """

    length: int
    anchors: HashSet
    starts: Integers
    posting: Integers
    offset: Integers
    plain: Hashes
    word: Integers
    plain_ends: Integers
    every: Hashes
    word_ends: Integers
    anchor_counts: Integers
    longest: int


@compiled
def near_questions(
    hash_W: Hashes,
    n_words: int,
    hash_V: Hashes,
    word_V: Integers,
    n_plain: int,
    anchor_V: Hashes,
    questions: Questions,
    least_anchors: float,
    least_words: float,
    out: Integers,
    n_out: int,
    document: int,
) -> tuple[Integers, int]:
    """Adds to `out` int64[., 6] from `n_out` on: document, question, plain words found, first and last plain
    word, numbers found. Returns it, perhaps grown, and the new number of rows.

    A question is aligned where a window of 1.5 times its plain words has the most of its anchors, if that is
    `least_anchors` of them, once in each block of `BLOCK` plain words; rows are of those with `least_words`
    of their plain words found. Time: linear in the words. Memory: 24 bytes for each question of each anchor
    in a block, and a byte for each word of a question and each place of its band.
    """
    total = gram_hashes(hash_V, n_plain, questions.length, anchor_V)
    step = BLOCK - 2 * questions.longest - 64
    start = 0
    at_hit = np.empty(64, np.int64)
    anchor_hit = np.empty(64, np.int64)
    while start < total:
        count = 0
        for v in range(start, min(start + BLOCK, total)):
            value = anchor_V[v]
            if not may_hold(questions.anchors, value):
                continue
            a = place_in(questions.anchors, value)
            if a < 0:
                continue
            if count == len(at_hit):
                at_hit = np.append(at_hit, at_hit)
                anchor_hit = np.append(anchor_hit, anchor_hit)
            at_hit[count], anchor_hit[count] = v, a
            count += 1
        if count:
            out, n_out = _dense(
                hash_W, n_words, hash_V, word_V, n_plain, at_hit[:count], anchor_hit[:count], questions,
                least_anchors, least_words, out, n_out, document,
            )  # fmt: skip
        start += step
    return out, n_out


@compiled
def _dense(
    hash_W: Hashes,
    n_words: int,
    hash_V: Hashes,
    word_V: Integers,
    n_plain: int,
    at_hit: Integers,
    anchor_hit: Integers,
    questions: Questions,
    least_anchors: float,
    least_words: float,
    out: Integers,
    n_out: int,
    document: int,
) -> tuple[Integers, int]:
    total = 0
    for a in anchor_hit:
        total += questions.starts[a + 1] - questions.starts[a]
    question_T = np.empty(total, np.int64)
    at_T = np.empty(total, np.int64)
    offset_T = np.empty(total, np.int64)
    n = 0
    for h in range(len(at_hit)):
        for posting in range(questions.starts[anchor_hit[h]], questions.starts[anchor_hit[h] + 1]):
            question_T[n] = questions.posting[posting]
            at_T[n] = at_hit[h]
            offset_T[n] = questions.offset[posting]
            n += 1
    order = np.argsort(question_T, kind="mergesort")
    first = 0
    while first < total:
        p = question_T[order[first]]
        last = first
        while last < total and question_T[order[last]] == p:
            last += 1
        size = questions.plain_ends[p + 1] - questions.plain_ends[p]
        reach = size + size // 2
        most, where, low = 0, first, first
        for t in range(first, last):
            while at_T[order[t]] - at_T[order[low]] > reach:
                low += 1
            if t - low + 1 > most:
                most, where = t - low + 1, low
        if most >= least_anchors * questions.anchor_counts[p]:
            middle = order[where + most // 2]
            out, n_out = _aligned(
                hash_W, n_words, hash_V, word_V, n_plain, at_T[middle] - offset_T[middle], questions, p,
                least_words, out, n_out, document,
            )  # fmt: skip
        first = last
    return out, n_out


@compiled
def _same_numbers(
    hash_W: Hashes, n_words: int, word_V: Integers, at_Q: Integers, word_Q: Integers, every: Hashes
) -> int:
    """How many numbers of a question stand, in order, between the same plain words of the document.

    Beside a plain word that was changed a number may stand on either side of what it was changed to. Each
    number is looked for among `2 * SLACK` words, and all within as many words as the question has there and
    `SLACK` more, so that the time is linear.
    """
    same, plain = 0, 0
    size = len(at_Q)
    begin, begin_W = 0, -1  # the first word of the question that is not yet compared, and its neighbour
    for q in range(size + 1):
        if q < size and at_Q[q] < 0:
            continue
        end = word_Q[q] if q < size else len(every)
        end_W = word_V[at_Q[q]] if q < size else -1
        room = end - begin + SLACK
        if begin_W < 0:
            first, last = max(0, end_W - room), end_W
        elif end_W < 0:
            first, last = begin_W, min(n_words, begin_W + room)
        else:
            first, last = begin_W, min(end_W, begin_W + room)
        behind = 0
        for k in range(begin, end):
            while plain < size and word_Q[plain] < k:
                plain += 1
            if plain < size and word_Q[plain] == k:
                continue
            w, until = first, min(last, first + 2 * SLACK)
            while w < until and hash_W[w] != every[k]:
                w += 1
            if w < until:
                same += 1
                first, behind = w + 1, 0
            else:
                behind += 1
                first += behind > SLACK
        begin, begin_W = end + 1, end_W + 1
    return same


@compiled
def _aligned(
    hash_W: Hashes,
    n_words: int,
    hash_V: Hashes,
    word_V: Integers,
    n_plain: int,
    expected: int,
    questions: Questions,
    p: int,
    least_words: float,
    out: Integers,
    n_out: int,
    document: int,
) -> tuple[Integers, int]:
    begin, end = questions.plain_ends[p], questions.plain_ends[p + 1]
    size = end - begin
    hash_Q, word_Q = questions.plain[begin:end], questions.word[begin:end]
    every = questions.every[questions.word_ends[p] : questions.word_ends[p + 1]]
    at_Q = np.empty(size, np.int64)
    moves = np.empty(size * (2 * band_of(size) + 1), np.uint8)
    found = align(hash_Q, hash_V, n_plain, expected, moves, at_Q)
    if found < least_words * size:
        return out, n_out
    same = _same_numbers(hash_W, n_words, word_V, at_Q, word_Q, every)
    if n_out == len(out):
        grown = np.empty((2 * n_out, 6), np.int64)
        grown[:n_out] = out
        out = grown
    low = 0
    while at_Q[low] < 0:
        low += 1
    high = size - 1
    while at_Q[high] < 0:
        high -= 1
    out[n_out, 0], out[n_out, 1], out[n_out, 2] = document, p, found
    out[n_out, 3], out[n_out, 4], out[n_out, 5] = at_Q[low], at_Q[high], same
    return out, n_out + 1
