"""Figures of encoded texts: whether their tokens spell them, how often each token occurs, and what
words are made of.

Texts are `offsets` int64[n + 1] into `data` uint8[...]; their tokens `ends` int64[n + 1] into `tokens`
uint32[...]; the bytes of token t are `spelling[spelled[t] : spelled[t + 1]]` (int64[V + 1], uint8[...]).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.decode import decode

OTHER, JOINS, SINGLE, APOSTROPHE, LETTER = 0, 1, 2, 3, 4  # classes of code points; see `word_classes`


class WordFigures(NamedTuple):
    """Each int64[n], one number a text."""

    characters: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    touching: npt.NDArray[np.int64]
    """Tokens that share a byte with a word, counted for every word."""
    continued: npt.NDArray[np.int64]
    """Words of more than one token."""


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
) -> WordFigures:
    """Characters and words of each text, and how its tokens cut them.

    `classes` uint8[0x110000] is the class of each code point. Words are found in every text; tokens are
    laid over them only where `exact` (bool[n]) says that they spell the text.
    """
    n = len(offsets) - 1
    figures = np.zeros((4, n), np.int64)
    for d in range(n):
        at, end = offsets[d], offsets[d + 1]
        k = ends[d]
        token_end = at + (spelled[tokens[k] + 1] - spelled[tokens[k]]) if k < ends[d + 1] else end
        word: Any = np.int64(-1)  # where the word under way starts
        letter_before = False
        while True:
            kind, size, after = OTHER, 1, end
            if at < end:
                code, after = decode(data, at, end)
                size = after - at
                kind = int(classes[code])
                figures[0, d] += 1
                if kind == APOSTROPHE:
                    kind = OTHER
                    if word >= 0 and letter_before and at + size < end:
                        following, _ = decode(data, after, end)
                        kind = JOINS if classes[following] == LETTER else OTHER
            goes_on = kind in (JOINS, LETTER)
            if word >= 0 and not goes_on:
                figures[1, d] += 1
                if exact[d]:
                    touching, k, token_end = _touching(word, at, k, token_end, tokens, spelled)
                    figures[2, d] += touching
                    figures[3, d] += touching > 1
                word = np.int64(-1)
            if at >= end:
                break
            if kind == SINGLE:
                figures[1, d] += 1
                if exact[d]:
                    touching, k, token_end = _touching(at, at + size, k, token_end, tokens, spelled)
                    figures[2, d] += touching
                    figures[3, d] += touching > 1
            elif goes_on and word < 0:
                word = at
            letter_before = kind == LETTER
            at += size
    return WordFigures(figures[0], figures[1], figures[2], figures[3])
