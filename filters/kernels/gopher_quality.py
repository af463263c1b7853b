"""Counts behind the Gopher quality rules."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.decode import code_at
from corpusmill.pipelines.text.kernels.lines import (
    BREAKS,
    next_line,
    past_white_space,
    without_white_space,
)
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at
from corpusmill.pipelines.text.kernels.sorted_hashes import place_of
from corpusmill.pipelines.text.kernels.words import HAS_LETTER, NOT_SYMBOL, split_words
from corpusmill.pipelines.text.views import Lines, Texts, Words

Counts = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

_LOW, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_SIGNS, _STOPS, _LEADS = (np.uint64(byte * 0x0101010101010101) for byte in (0x23, 0x2E, 0xE2))


class GopherCounts(NamedTuple):
    """Each int64[n], one number a document; those of the parts of a large one add up."""

    words: Counts
    """Tokens not made of symbols only."""
    tokens: Counts
    word_characters: Counts
    with_letter: Counts
    stop_words: Counts
    """Distinct ones."""
    hash_signs: Counts
    ellipses: Counts
    lines: Counts
    """As `str.splitlines` cuts."""
    bullets: Counts
    """Lines that start with one, white space aside."""
    ellipsis_ends: Counts
    """Lines that end with one, white space aside."""


@forced
def _ends_in_ellipsis(start: int, end: int) -> bool:
    if end - start < 3:
        return False
    a, b, c = byte_at(end - 3), byte_at(end - 2), byte_at(end - 1)
    return (a == 0x2E and b == 0x2E and c == 0x2E) or (a == 0xE2 and b == 0x80 and c == 0xA6)


@forced
def _starts_with_bullet(start: int, end: int) -> bool:
    if start >= end:
        return False
    code, _ = code_at(start, end)
    return code == 0x2D or code == 0x2022


@forced
def _holds(eight: Any, byte: Any) -> Any:
    """Whether one of eight bytes is `byte`, given eight times: not 0."""
    others = eight ^ byte
    return (others - _LOW) & ~others & _HIGH


@compiled
def _signs(at: int, end: int) -> tuple[int, int]:
    """How many hash signs and how many ellipses stand between two addresses."""
    hash_signs = ellipses = 0
    while at < end:
        if at + 8 <= end:
            eight = eight_at(at)
            if (_holds(eight, _SIGNS) | _holds(eight, _STOPS) | _holds(eight, _LEADS)) == 0:
                at += 8
                continue
        byte = byte_at(at)
        if byte == 0x23:
            hash_signs += 1
        elif (byte == 0x2E or byte == 0xE2) and _ends_in_ellipsis(at, min(at + 3, end)):
            ellipses += 1
            at += 2
        at += 1
    return hash_signs, ellipses


@compiled
def gopher_counts(
    texts: Texts,
    words: Words,
    lines: Lines,
    vocabulary: Counts,
    stop_offsets: Counts,
    stop_hashes: Hashes,
    seen: Counts,
    first: int,
) -> GopherCounts:
    """What is counted in each document of a part.

    `vocabulary` int64[n] numbers the list of stop words a document is held against; list v is
    `stop_hashes[stop_offsets[v]:stop_offsets[v + 1]]`, sorted and distinct. `first` is the number of the
    first document, `seen` the last one in which each stop word was found: -1 before the first part.
    """
    n = len(texts.starts)
    table, begin = address(texts.table), address(texts.data)
    found = np.zeros((10, n), np.int64)
    # Few words share the low bits of a stop word's hash: only those are looked up.
    sieve, mask = np.zeros(4096, np.uint8), np.uint64(4095)
    for stop_hash in stop_hashes:
        sieve[integer(stop_hash & mask)] = 1
    for i in range(n):
        low, high = stop_offsets[vocabulary[i]], stop_offsets[vocabulary[i] + 1]
        many = characters = lettered = stop_words = 0
        for k in range(words.firsts[i], words.lasts[i]):
            flags, value = words.flags[k], words.hashes[k]
            if flags & NOT_SYMBOL:
                many += 1
                characters += words.characters[k]
            lettered += (flags & HAS_LETTER) != 0
            if sieve[integer(value & mask)]:
                at = place_of(stop_hashes, value, low, high)
                if at >= 0 and seen[at] != first + i:
                    seen[at] = first + i
                    stop_words += 1
        found[0, i], found[1, i], found[2, i] = many, words.lasts[i] - words.firsts[i], characters
        found[3, i], found[4, i] = lettered, stop_words
        found[5, i], found[6, i] = _signs(begin + texts.starts[i], begin + texts.ends[i])
        cut = bullets = ends = 0
        for line in range(lines.firsts[i], lines.lasts[i]):
            at, line_end = begin + lines.starts[line], begin + lines.stops[line]
            while True:
                stop = follow = line_end
                if lines.flags[line] & BREAKS:
                    stop, follow = next_line(table, at, line_end)
                cut += 1
                bullets += _starts_with_bullet(past_white_space(table, at, stop), stop)
                ends += _ends_in_ellipsis(at, without_white_space(table, at, stop))
                at = follow
                if stop == follow or (at == line_end and lines.stops[line] == texts.ends[i]):
                    break
        found[7, i], found[8, i], found[9, i] = cut, bullets, ends
    return GopherCounts(
        found[0], found[1], found[2], found[3], found[4], found[5], found[6], found[7], found[8], found[9]
    )


def vocabulary_hashes(words: tuple[str, ...]) -> Hashes:
    """Hashes of `words`, sorted and distinct. Raises ValueError for one that is not exactly one token."""
    found = [split_words(word.encode()).hashes for word in words]
    for word, hashes in zip(words, found, strict=True):
        if len(hashes) != 1:
            raise ValueError(f"stop word {word!r} is {len(hashes)} tokens, not one; write its parts instead")
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))
