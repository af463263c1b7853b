"""Figures of encoded texts: whether their tokens spell them, how often each token occurs, and what
words are made of.

Texts are `offsets` int64[n + 1] into `data` uint8[...]; their tokens `ends` int64[n + 1] into `tokens`
uint32[...]; the bytes of token t are `spelling[spelled[t] : spelled[t + 1]]` (int64[V + 1], uint8[...]).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled

OTHER, JOINS, SINGLE, APOSTROPHE, LETTER = 0, 1, 2, 3, 4  # classes of code points; see `word_classes`
FIGURES = ("characters", "words", "touching", "continued")  # columns of `word_figures`


@compiled
def spelled_exactly(offsets: Any, data: Any, ends: Any, tokens: Any, spelled: Any, spelling: Any) -> Any:
    """Whether the tokens' bytes, one after the other, are the text: bool[n]."""
    n = len(offsets) - 1
    exact = np.ones(n, np.bool_)
    for d in range(n):
        at, end = offsets[d], offsets[d + 1]
        for k in range(ends[d], ends[d + 1]):
            start, stop = spelled[tokens[k]], spelled[tokens[k] + 1]
            if at + stop - start > end:
                exact[d] = False
                break
            for i in range(start, stop):
                if data[at + i - start] != spelling[i]:
                    exact[d] = False
                    break
            if not exact[d]:
                break
            at += stop - start
        if at != end:
            exact[d] = False
    return exact


@compiled
def count_tokens(ends: Any, tokens: Any, rows: Any, weights: Any, counts: Any, seen: Any) -> None:
    """Count each text's tokens: once in `seen` int64[V], and `weights[d]` times in `counts[rows[d]]`.

    `rows` is int64[n], `weights` float64[n], `counts` float64[R, V].
    """
    for d in range(len(ends) - 1):
        row, weight = rows[d], weights[d]
        for k in range(ends[d], ends[d + 1]):
            counts[row, tokens[k]] += weight
            seen[tokens[k]] += 1


@compiled
def _code_point(data: Any, at: int, end: int) -> Any:
    """Code point at `at` and how many bytes it takes; the text is valid UTF-8."""
    byte = np.int64(data[at])  # signed and wide enough to shift
    if byte < 0x80:
        return byte, 1
    if byte < 0xE0 and at + 1 < end:
        return ((byte & 0x1F) << 6) | (np.int64(data[at + 1]) & 0x3F), 2
    if byte < 0xF0 and at + 2 < end:
        middle = (np.int64(data[at + 1]) & 0x3F) << 6
        return ((byte & 0x0F) << 12) | middle | (np.int64(data[at + 2]) & 0x3F), 3
    if at + 3 < end:
        middle = ((np.int64(data[at + 1]) & 0x3F) << 12) | ((np.int64(data[at + 2]) & 0x3F) << 6)
        return min(0x10FFFF, ((byte & 0x07) << 18) | middle | (np.int64(data[at + 3]) & 0x3F)), 4
    return 0xFFFD, 1


@compiled
def _touching(start: int, stop: int, k: int, token_end: int, tokens: Any, spelled: Any) -> Any:
    """How many tokens share a byte with [start, stop), the last of them, and where that one ends.

    `k` is any token that ends at `token_end` and starts at or before `start`.
    """
    while token_end <= start:
        k += 1
        token_end += spelled[tokens[k] + 1] - spelled[tokens[k]]
    touching = 1
    while token_end < stop:
        k += 1
        size = spelled[tokens[k] + 1] - spelled[tokens[k]]
        token_end += size
        touching += size > 0
    return touching, k, token_end


@compiled
def word_figures(
    offsets: Any, data: Any, ends: Any, tokens: Any, spelled: Any, exact: Any, classes: Any
) -> Any:
    """Characters, words, tokens touching words, and words of more than one token: int64[n, 4].

    `classes` uint8[0x110000] is the class of each code point. Words are found in every text; tokens are
    laid over them only where `exact` (bool[n]) says that they spell the text.
    """
    n = len(offsets) - 1
    figures = np.zeros((n, 4), np.int64)
    for d in range(n):
        at, end = offsets[d], offsets[d + 1]
        k = ends[d]
        token_end = at + (spelled[tokens[k] + 1] - spelled[tokens[k]]) if k < ends[d + 1] else end
        word: Any = np.int64(-1)  # where the word under way starts
        letter_before = False
        while True:
            kind, size = OTHER, 1
            if at < end:
                code, size = _code_point(data, at, end)
                kind = int(classes[code])
                figures[d, 0] += 1
                if kind == APOSTROPHE:
                    kind = OTHER
                    if word >= 0 and letter_before and at + size < end:
                        after, _ = _code_point(data, at + size, end)
                        kind = JOINS if classes[after] == LETTER else OTHER
            goes_on = kind in (JOINS, LETTER)
            if word >= 0 and not goes_on:
                figures[d, 1] += 1
                if exact[d]:
                    touching, k, token_end = _touching(word, at, k, token_end, tokens, spelled)
                    figures[d, 2] += touching
                    figures[d, 3] += touching > 1
                word = np.int64(-1)
            if at >= end:
                break
            if kind == SINGLE:
                figures[d, 1] += 1
                if exact[d]:
                    touching, k, token_end = _touching(at, at + size, k, token_end, tokens, spelled)
                    figures[d, 2] += touching
                    figures[d, 3] += touching > 1
            elif goes_on and word < 0:
                word = at
            letter_before = kind == LETTER
            at += size
    return figures
