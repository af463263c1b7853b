"""Counts behind the Gopher quality rules: one pass over the words, one over the lines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels.characters import character_table
from corpusmill.filters.kernels.lines import next_line, strip_left, strip_right
from corpusmill.filters.kernels.words import (
    BUFFER,
    HAS_LETTER,
    NOT_SYMBOL,
    Bytes,
    Hashes,
    Offsets,
    Table,
    buffer,
    decode,
    fill_words,
    new_place,
    split_words,
)  # fmt: skip
from corpusmill.pipelines.text.compiled import compiled, integer

# Columns of the counts.
WORDS, TOKENS, WORD_CHARACTERS, WITH_LETTER, STOP_WORDS, HASHES, ELLIPSES, LINES, BULLETS, ENDS = range(10)
COLUMNS = 10


@compiled
def _ends_in_ellipsis(data: Bytes, start: int, end: int) -> bool:
    if end - start < 3:
        return False
    a, b, c = data[end - 3], data[end - 2], data[end - 1]
    return bool((a == 0x2E and b == 0x2E and c == 0x2E) or (a == 0xE2 and b == 0x80 and c == 0xA6))


@compiled
def _starts_with_bullet(data: Bytes, start: int, end: int) -> bool:
    if start >= end:
        return False
    code, _ = decode(data, start, end)
    return code == 0x2D or code == 0x2022


@compiled
def gopher_counts(
    table: Table,
    offsets: Offsets,
    data: Bytes,
    vocabulary: npt.NDArray[np.int64],
    stop_offsets: Offsets,
    stop_hashes: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    """Counts int64[n, COLUMNS] of each document.

    `vocabulary` int64[n] numbers the list of stop words a document is held against; list v is
    `stop_hashes[stop_offsets[v]:stop_offsets[v + 1]]`, sorted and distinct.
    """
    n = len(offsets) - 1
    counts = np.zeros((n, COLUMNS), np.int64)
    seen = np.full(len(stop_hashes), -1, np.int64)
    # Few words share the low bits of a stop word's hash: only those are looked up.
    sieve, mask = np.zeros(4096, np.uint8), np.uint64(4095)
    for stop_hash in stop_hashes:
        sieve[integer(stop_hash & mask)] = 1
    hashes, lengths, flags, stops = buffer(BUFFER)
    for i in range(n):
        begin, end = offsets[i], offsets[i + 1]
        low, high = stop_offsets[vocabulary[i]], stop_offsets[vocabulary[i] + 1]
        words = tokens = characters = lettered = stop_words = 0
        place = new_place(begin)
        while place[0] < end:
            found = fill_words(table, data, place, end, hashes, lengths, flags, stops)
            tokens += found
            for k in range(found):
                words += (flags[k] & NOT_SYMBOL) != 0
                characters += lengths[k] if flags[k] & NOT_SYMBOL else 0
                lettered += (flags[k] & HAS_LETTER) != 0
                if sieve[integer(hashes[k] & mask)]:
                    left, right = low, high
                    while left < right:
                        middle = (left + right) >> 1
                        if stop_hashes[middle] < hashes[k]:
                            left = middle + 1
                        else:
                            right = middle
                    if left < high and stop_hashes[left] == hashes[k] and seen[left] != i:
                        seen[left] = i
                        stop_words += 1
        hash_signs = ellipses = 0
        at = begin
        while at < end:
            byte = data[at]
            if byte == 0x23:
                hash_signs += 1
            elif (byte == 0x2E or byte == 0xE2) and _ends_in_ellipsis(data, at, min(at + 3, end)):
                ellipses += 1
                at += 2
            at += 1
        lines = bullets = ends = 0
        at = begin
        while at < end:
            stop, follow = next_line(table, data, at, end)
            lines += 1
            bullets += _starts_with_bullet(data, strip_left(table, data, at, stop), stop)
            ends += _ends_in_ellipsis(data, at, strip_right(table, data, at, stop))
            at = follow
        row = counts[i]
        row[WORDS], row[TOKENS], row[WORD_CHARACTERS], row[WITH_LETTER] = words, tokens, characters, lettered
        row[STOP_WORDS], row[HASHES], row[ELLIPSES] = stop_words, hash_signs, ellipses
        row[LINES], row[BULLETS], row[ENDS] = lines, bullets, ends
    return counts


def vocabulary_hashes(words: tuple[str, ...]) -> Hashes:
    """Hashes of `words`, sorted and distinct. Raises ValueError for one that is not exactly one token."""
    table = character_table()
    found = [split_words(table, np.frombuffer(word.encode() or b" ", np.uint8))[0] for word in words]
    for word, hashes in zip(words, found, strict=True):
        if len(hashes) != 1:
            raise ValueError(f"stop word {word!r} is {len(hashes)} tokens, not one; write its parts instead")
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))
