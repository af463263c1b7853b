"""Where benchmark items stand in documents, in bytes, widened to whole paragraphs, lines or words.

Legend: W words of a document, V its plain words, U its units: paragraphs, lines or words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.benchmark_scan import LINE_FEED, Grams, gram_hits, most_hit
from corpusmill.dedup.kernels.plain_words import item_words
from corpusmill.pipelines.text.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


class Passages(NamedTuple):
    """k passages, sorted by (document, start) and disjoint: each int64[k].

    `start` and `end` count bytes from the beginning of the text; `item` is the item that is told.
    """

    document: Integers
    start: Integers
    end: Integers
    item: Integers


@compiled
def _line_start(data: Bytes, start: int, at: int) -> int:
    """The first byte of the line that the byte before `at` is on, not before `start`."""
    while at > start and data[at - 1] != LINE_FEED:
        at -= 1
    return at


@compiled
def _line_end(data: Bytes, at: int, end: int) -> int:
    """The byte after the line break that ends the line of byte `at`; `end` for the last line."""
    while at < end and data[at] != LINE_FEED:
        at += 1
    return min(at + 1, end)


@compiled
def units_of_words(data: Bytes, start: int, end_W: Integers, breaks: int, unit_W: Integers) -> int:
    """Number of each word's unit, into `unit_W`; returns how many there are.

    A unit begins where at least `breaks` line breaks stand between two words: 0 words, 1 lines, 2 paragraphs.
    """
    number = 0
    before = start
    for w in range(len(end_W)):
        found = 0
        for at in range(before, end_W[w]):
            if data[at] == LINE_FEED:
                found += 1
        if w and found >= breaks:
            number += 1
        unit_W[w] = number
        before = end_W[w]
    return number + 1 if len(end_W) else 0


@compiled
def found_passages(
    offsets: Integers,
    data: Bytes,
    table: npt.NDArray[np.uint32],
    grams: Grams,
    near: Integers,
    breaks: int,
    margin: int,
) -> Passages:
    """Passages of N documents that hold a run of words of the index, or one of the rows of `near`.

    `near` int64[., 4]: document, first and last plain word of a passage, and its item, by document, those to
    name a passage by first. A passage is all units (`units_of_words`) that have a word of what was
    found, and `margin` more on either side; passages that touch are one. Lines and paragraphs go from the
    beginning of the line of their first word to the end of the line of their last, words from the end of the
    word before. A passage is told by the first row of `near` in it, else by the item of most runs.

    Time: linear in the bytes. Memory: 40 bytes for two bytes of the longest document, and 24 a word of it.
    """
    n_docs = len(offsets) - 1
    longest = 0
    for d in range(n_docs):
        longest = max(longest, offsets[d + 1] - offsets[d])
    room = longest // 2 + 2
    hash_W = np.empty(room, np.uint64)
    every_end = np.empty(room, np.int64)
    head_W = np.empty(room, np.uint64)
    word_V = np.empty(room, np.int64)
    found = np.empty((4, 16), np.int64)
    k = 0
    row = 0
    for d in range(n_docs):
        start, end = offsets[d], offsets[d + 1]
        n, _ = item_words(data, start, end, table, hash_W, every_end, head_W, word_V)
        end_W = every_end[:n]
        hit_at, hit_gram, hit_length = gram_hits(hash_W, n, head_W, grams)
        unit_W = np.empty(n, np.int64)
        n_units = units_of_words(data, start, end_W, breaks, unit_W)
        change_U = np.zeros(n_units + 1, np.int64)
        for h in range(len(hit_at)):
            change_U[max(0, unit_W[hit_at[h]] - margin)] += 1
            change_U[min(n_units, unit_W[hit_at[h] + hit_length[h] - 1] + margin + 1)] -= 1
        first_row = row
        while row < len(near) and near[row, 0] == d:
            change_U[max(0, unit_W[word_V[near[row, 1]]] - margin)] += 1
            change_U[min(n_units, unit_W[word_V[near[row, 2]]] + margin + 1)] -= 1
            row += 1
        passage_U = np.empty(n_units, np.int64)  # the passage that each unit is of
        first_passage = k
        depth = 0
        for u in range(n_units):
            if depth == 0 and depth + change_U[u] > 0:
                if k == found.shape[1]:
                    more = np.empty((4, 2 * k), np.int64)
                    more[:, :k] = found
                    found = more
                found[0, k], found[3, k] = d, -1
                k += 1
            depth += change_U[u]
            passage_U[u] = k - 1 if depth > 0 else -1
        for r in range(first_row, row):
            p = passage_U[unit_W[word_V[near[r, 1]]]]
            if found[3, p] < 0:
                found[3, p] = near[r, 3]
        low = 0
        while low < len(hit_at):
            p = passage_U[unit_W[hit_at[low]]]
            high = low
            while high < len(hit_at) and passage_U[unit_W[hit_at[high]]] == p:
                high += 1
            if found[3, p] < 0:
                found[3, p] = most_hit(hit_gram[low:high], grams.items, grams.benchmarks)
            low = high
        before = -1
        for w in range(n):
            p = passage_U[unit_W[w]]
            if p < first_passage:
                before = -1
                continue
            if p != before:
                at = end_W[w - 1] if w else start
                found[1, p] = (at if breaks == 0 else _line_start(data, at, end_W[w])) - start
                before = p
            if w + 1 == n or passage_U[unit_W[w + 1]] != p:
                found[2, p] = (end_W[w] if breaks == 0 else _line_end(data, end_W[w], end)) - start
    return Passages(found[0, :k].copy(), found[1, :k].copy(), found[2, :k].copy(), found[3, :k].copy())
