"""The C4 rules, line by line: which lines stay, and what speaks against the whole document."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels import characters as ch
from corpusmill.filters.kernels.lines import matches, next_line, strip_left, strip_right
from corpusmill.filters.kernels.words import (
    BUFFER,
    NOT_SYMBOL,
    Bytes,
    Counts,
    Flags,
    Hashes,
    Offsets,
    Table,
    buffer,
    decode,
    fill_words,
    new_place,
)  # fmt: skip
from corpusmill.pipelines.text.compiled import compiled

NUMERIC, TERMINAL, WHITE_SPACE, WORD_CLASS = ch.NUMERIC, ch.TERMINAL, ch.WHITE_SPACE, ch.WORD_CLASS

LINES, LONG_WORD, UNTERMINATED, FEW_WORDS, JAVASCRIPT, POLICY, VERDICT = range(7)
COLUMNS = 7
KEEP, LOREM_IPSUM, CURLY_BRACKET = range(3)


@compiled
def _citation_end(table: Table, data: Bytes, at: int, end: int, edit: Bytes, needed: Bytes) -> int:
    """Where `[12]`, `[]`, `[edit]` or `[citation needed]` at `at` ends, else `at`; case counts."""
    stop = at + 1
    while stop < end:
        code, follow = decode(data, stop, end)
        if table[code] & WORD_CLASS != NUMERIC:
            break
        stop = follow
    if stop < end and data[stop] == 0x5D:
        return stop + 1
    for name in (edit, needed):
        same = at + len(name) <= end
        for k in range(len(name)):
            same = same and data[at + k] == name[k]
        if same:
            return at + len(name)
    return at


@compiled
def _contains(data: Bytes, start: int, end: int, pattern_offsets: Offsets, patterns: Bytes) -> bool:
    """Whether one of the patterns stands in `data[start:end]`, in any case."""
    for k in range(len(pattern_offsets) - 1):
        pattern = patterns[pattern_offsets[k] : pattern_offsets[k + 1]]
        for at in range(start, end - len(pattern) + 1):
            if (data[at] | 0x20) == pattern[0] and matches(data, at, end, pattern):
                return True
    return False


@compiled
def _sentences(
    table: Table,
    data: Bytes,
    start: int,
    end: int,
    hashes: Hashes,
    lengths: Counts,
    flags: Flags,
    stops: Counts,
) -> int:
    """Sentences of `data[start:end]`: a token that is one terminal mark, then one not of symbols alone."""
    sentences, ended = 0, True
    place = new_place(start)
    while place[0] < end:
        for k in range(fill_words(table, data, place, end, hashes, lengths, flags, stops)):
            if lengths[k] == 1:
                at = stops[k] - 1
                while (data[at] & 0xC0) == 0x80:
                    at -= 1
                code, _ = decode(data, at, end)
                if table[code] & TERMINAL:
                    ended = True
                    sentences = max(sentences, 1)
                    continue
            if ended and (flags[k] & NOT_SYMBOL or sentences == 0):
                sentences += 1
                ended = False
    return sentences


@compiled
def count_sentences(table: Table, offsets: Offsets, data: Bytes) -> Counts:
    """Sentences int64[n] of the documents of `clean_lines`; each ends with its line at the latest.

    A pass of its own: numba compiles the words of a text a second time for an array that may be written.
    """
    n = len(offsets) - 1
    found = np.zeros(n, np.int64)
    hashes, lengths, flags, stops = buffer(BUFFER)
    for i in range(n):
        start, end = offsets[i], offsets[i + 1]
        while start < end:
            stop = start
            while stop < end and data[stop] != 0x0A:
                stop += 1
            found[i] += _sentences(table, data, start, stop, hashes, lengths, flags, stops)
            start = stop + 1
    return found


@compiled
def clean_lines(
    table: Table,
    offsets: Offsets,
    data: Bytes,
    longest: int,
    least: int,
    terminated: bool,
    citations: tuple[Bytes, ...],
    lorem: bool,
    curly: bool,
    lorem_table: tuple[Offsets, Bytes],
    script_table: tuple[Offsets, Bytes],
    policy_table: tuple[Offsets, Bytes],
) -> tuple[Offsets, Bytes, Counts]:
    """The lines that stay, joined by line feeds and stripped: (offsets, data), and counts int64[n, COLUMNS].

    `longest` characters of a word and `least` words of a line; -1 for no limit. `citations` holds the texts
    of the bracketed words to cut with bracketed numbers, or is of length 1 to cut none. The tables hold
    phrases in lower-case ASCII; an empty one switches its rule off. Counts of lines are of those dropped, by
    the first rule that drops them. From the line of a `VERDICT` on the document is not looked at.
    """
    n = len(offsets) - 1
    counts = np.zeros((n, COLUMNS), np.int64)
    size = 1 + offsets[n] - offsets[0] if n else 1
    out, out_offsets = np.empty(size, np.uint8), np.zeros(n + 1, np.int64)
    written = 0
    for i in range(n):
        row = counts[i]
        first, follow, end = written, offsets[i], offsets[i + 1]
        while follow < end:
            begin = follow
            stop, follow = next_line(table, data, begin, end)
            row[LINES] += 1
            begin = strip_left(table, data, begin, stop)
            stop = strip_right(table, data, begin, stop)
            words, length, widest, at = 0, 0, 0, begin
            while at < stop:
                code, at = decode(data, at, stop)
                if table[code] & WHITE_SPACE:
                    length = 0
                    continue
                words += length == 0
                length += 1
                widest = max(widest, length)
            if 0 <= longest < widest:
                row[LONG_WORD] += 1
                continue
            if written > first:
                out[written] = 0x0A
                written += 1
            start, at = written, begin
            while at < stop:
                if data[at] == 0x5B and len(citations) == 2:
                    behind = _citation_end(table, data, at, stop, citations[0], citations[1])
                    if behind > at:
                        at = behind
                        continue
                out[written] = data[at]
                written += 1
                at += 1
            line_end, drop = written, -1
            last = out[line_end - 1] if line_end > start else np.uint8(0)
            ellipsis = (
                line_end - start >= 3
                and last == 0x2E
                and out[line_end - 2] == 0x2E
                and out[line_end - 3] == 0x2E
            )
            if terminated and (ellipsis or last not in (0x2E, 0x3F, 0x21, 0x22, 0x27)):
                drop = UNTERMINATED
            elif words < least:
                drop = FEW_WORDS
            elif lorem and _contains(out, start, line_end, *lorem_table):
                drop = VERDICT
                row[VERDICT] = LOREM_IPSUM
            elif _contains(out, start, line_end, *script_table):
                drop = JAVASCRIPT
            else:
                bracket = False
                if curly:
                    for k in range(start, line_end):
                        bracket = bracket or out[k] == 0x7B
                if bracket:
                    drop = VERDICT
                    row[VERDICT] = CURLY_BRACKET
                elif _contains(out, start, line_end, *policy_table):
                    drop = POLICY
            if drop >= 0:
                written = start - 1 if start > first else first
                if drop == VERDICT:
                    break
                row[drop] += 1
        left = strip_left(table, out, first, written)
        right = strip_right(table, out, left, written)
        for k in range(left, right):
            out[first + k - left] = out[k]
        written = first + right - left
        out_offsets[i + 1] = written
    return out_offsets, out[:written], counts


def phrases(texts: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """ASCII phrases as `(offsets, data)`, lower-cased."""
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    return ends, np.frombuffer("".join(texts).lower().encode("ascii"), np.uint8)
