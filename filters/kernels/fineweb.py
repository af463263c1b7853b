"""Counts behind the FineWeb quality rules, over the lines of each document that are not blank."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels import characters as ch
from corpusmill.filters.kernels.lines import strip_left
from corpusmill.filters.kernels.repetition import mix, most_pieces, repeated_pieces, table_size
from corpusmill.filters.kernels.words import (
    BUFFER,
    FNV_PRIME,
    FNV_START,
    Bytes,
    Offsets,
    Table,
    buffer,
    decode,
    fill_words,
    new_place,
)  # fmt: skip
from corpusmill.pipelines.text.compiled import compiled

LINES, TERMINATED, SHORT, DUPLICATE_CHARACTERS, CHARACTERS, FEEDS, TOKENS = range(7)
COLUMNS = 7
TERMINAL = ch.TERMINAL


@compiled
def fineweb_counts(
    table: Table, offsets: Offsets, data: Bytes, short: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Counts int64[n, COLUMNS] of each document.

    Lines are cut at line feeds alone; a line is short with at most `short[i]` code points, terminated
    when its last character ends a sentence; characters are code points other than line feeds.
    """
    n = len(offsets) - 1
    counts = np.zeros((n, COLUMNS), np.int64)
    keys, widths, slots = np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.uint64)
    hashes, lengths, flags, stops = buffer(BUFFER)
    for i in range(n):
        row = counts[i]
        at, end = offsets[i], offsets[i + 1]
        most = most_pieces(data, at, end)
        size = table_size(most)
        if len(slots) < size:
            slots = np.empty(size, np.uint64)
            keys, widths = np.empty(size // 2, np.uint64), np.empty(size // 2, np.int64)
        lines = 0
        while at < end:
            start, value, length, last = at, FNV_START, 0, at
            while at < end and data[at] != 0x0A:
                value = (value ^ np.uint64(data[at])) * FNV_PRIME
                if (data[at] & 0xC0) != 0x80:
                    length += 1
                    last = at
                at += 1
            row[CHARACTERS] += length
            if strip_left(table, data, start, at) < at:
                code, _ = decode(data, last, at)
                row[TERMINATED] += (table[code] & TERMINAL) != 0
                row[SHORT] += length <= short[i]
                keys[lines], widths[lines] = mix(value), length
                lines += 1
            if at < end:
                row[FEEDS] += 1
            at += 1
        row[LINES] = lines
        _, row[DUPLICATE_CHARACTERS] = repeated_pieces(slots, size, keys, widths, lines)
        place = new_place(offsets[i])
        tokens = 0
        while place[0] < end:
            found = fill_words(table, data, place, end, hashes, lengths, flags, stops)
            tokens += found
        row[TOKENS] = tokens
    return counts
