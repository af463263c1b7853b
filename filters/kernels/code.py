"""Counts behind the code quality rules, one pass each over the bytes of each document."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text import characters as ch
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.decode import code_at
from corpusmill.pipelines.text.kernels.lines import matches, next_line
from corpusmill.pipelines.text.kernels.memory import address, byte_at
from corpusmill.pipelines.text.kernels.word_marks import properties
from corpusmill.pipelines.text.views import Texts

ALPHABETIC, ALPHANUMERIC, WHITE_SPACE = ch.ALPHABETIC, ch.ALPHANUMERIC, ch.WHITE_SPACE

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]

BASE64_RUN, ESCAPES = 64, 8  # the shortest runs that count as encoded data


class CodeCounts(NamedTuple):
    """Each int64[n], of code points; lines as `str.splitlines` cuts, without the break."""

    characters: Counts
    lines: Counts
    line_characters: Counts
    longest_line: Counts
    letters: Counts
    letters_and_digits: Counts
    encoded: Counts
    """In runs of at least 64 letters, digits, `+`, `/`, `=`, or of at least 8 byte literals."""
    longest_encoded: Counts
    white_space: Counts
    long_line_characters: Counts
    """In lines of more than `long` code points."""


@compiled
def _hexadecimal(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x61 <= (byte | 0x20) <= 0x66


@compiled
def _base64_end(at: int, end: int) -> int:
    """Where the run of letters, digits, `+`, `/` and `=` at `at` ends."""
    while at < end:
        byte = byte_at(at)
        if not (
            0x30 <= byte <= 0x39
            or 0x61 <= (byte | 0x20) <= 0x7A
            or byte == 0x2B
            or byte == 0x2F
            or byte == 0x3D
        ):
            break
        at += 1
    return at


@compiled
def _escape_end(at: int, end: int) -> int:
    """Where the byte literal (as `0xA1` or its like) at `at` ends, with commas and spaces behind it."""
    if at + 4 > end:
        return at
    second = byte_at(at + 1) | 0x20
    if second == 0x78 and (byte_at(at) == 0x30 or byte_at(at) == 0x5C):
        digits = 2
    elif second == 0x75 and byte_at(at) == 0x5C:
        digits = 4
    else:
        return at
    stop = at + 2
    if stop + digits > end:
        return at
    for k in range(digits):
        if not _hexadecimal(byte_at(stop + k)):
            return at
    stop += digits
    while stop < end and (
        byte_at(stop) == 0x2C or byte_at(stop) == 0x20 or byte_at(stop) == 0x0A or byte_at(stop) == 0x0D
    ):
        stop += 1
    return stop


@compiled
def _longest_run(at: int, end: int) -> tuple[int, int]:
    """Bytes of encoded data between two addresses, and those of the longest run."""
    encoded = longest = 0
    while at < end:
        stop, literals = at, 0
        if byte_at(at) == 0x30 or byte_at(at) == 0x5C:
            while True:
                further = _escape_end(stop, end)
                if further == stop:
                    break
                stop, literals = further, literals + 1
        if literals < ESCAPES:
            stop = _base64_end(at, end)
            if stop - at < BASE64_RUN:
                at = max(stop, at + 1)
                continue
        encoded += stop - at
        longest = max(longest, stop - at)
        at = stop
    return encoded, longest


@compiled
def code_counts(texts: Texts, long: int) -> CodeCounts:
    """What is counted in each document."""
    n = len(texts.starts)
    table, begin = address(texts.table), address(texts.data)
    found = np.zeros((10, n), np.int64)
    for i in range(n):
        at, end = begin + texts.starts[i], begin + texts.ends[i]
        found[6, i], found[7, i] = _longest_run(at, end)
        characters = lines = line_characters = longest = letters = letters_and_digits = white = 0
        while at < end:
            stop, follow = next_line(table, at, end)
            length = 0
            while at < stop:
                code, at = code_at(at, stop)
                bits = properties(table, code)
                length += 1
                letters += (bits & ALPHABETIC) != 0
                white += (bits & WHITE_SPACE) != 0
                letters_and_digits += (bits & ALPHANUMERIC) != 0
            lines += 1
            line_characters += length
            longest = max(longest, length)
            found[9, i] += length if length > long else 0
            broken = 1 if follow > stop else 0
            characters += length + broken
            white += broken
            at = follow
        found[0, i], found[1, i], found[2, i], found[3, i] = characters, lines, line_characters, longest
        found[4, i], found[5, i], found[8, i] = letters, letters_and_digits, white
    return CodeCounts(
        found[0], found[1], found[2], found[3], found[4], found[5], found[6], found[7], found[8], found[9]
    )


@compiled
def byte_counts(texts: Texts) -> tuple[Counts, Counts, Counts]:
    """Code points, line feeds, and digits of ASCII of each document, int64[n] each."""
    n = len(texts.starts)
    begin = address(texts.data)
    characters, feeds, digits = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    for i in range(n):
        for at in range(begin + texts.starts[i], begin + texts.ends[i]):
            byte = byte_at(at)
            characters[i] += byte & 0xC0 != 0x80
            feeds[i] += byte == 0x0A
            digits[i] += 0x30 <= byte <= 0x39
    return characters, feeds, digits


@compiled
def contains_early(
    texts: Texts, pattern_offsets: Counts, patterns: Bytes, lines: int, size: int
) -> npt.NDArray[np.bool_]:
    """bool[n]: whether one of the patterns (ASCII, lower case) stands in the first `lines` lines, in any
    case, starting within the first `size` bytes.
    """
    n = len(texts.starts)
    found = np.zeros(n, np.bool_)
    table, begin, pattern = address(texts.table), address(texts.data), address(patterns)
    for i in range(n):
        start, end = begin + texts.starts[i], begin + texts.ends[i]
        limit = start
        for _ in range(lines):
            if limit < end and limit - start < size:
                _, limit = next_line(table, limit, end)
        for at in range(start, min(limit, start + size)):
            for k in range(len(pattern_offsets) - 1):
                first, last = pattern_offsets[k], pattern_offsets[k + 1]
                if matches(at, limit, pattern + first, last - first):
                    found[i] = True
            if found[i]:
                break
    return found


@compiled
def visible_characters(
    texts: Texts, chosen: npt.NDArray[np.bool_], name_offsets: Counts, names: Bytes
) -> Counts:
    """Code points of HTML outside tags, comments, and elements of these names (offsets and bytes), int64[n].

    A run of white space counts as one. Only documents `chosen` are looked at. What is never closed
    lasts to the end of the document.
    """
    n = len(texts.starts)
    counts = np.zeros(n, np.int64)
    table, begin, name = address(texts.table), address(texts.data), address(names)
    for i in range(n):
        if not chosen[i]:
            continue
        at, end = begin + texts.starts[i], begin + texts.ends[i]
        spaced = True
        while at < end:
            if byte_at(at) != 0x3C:
                code, at = code_at(at, end)
                space = (properties(table, code) & WHITE_SPACE) != 0
                counts[i] += not (space and spaced)
                spaced = space
                continue
            if (
                at + 4 <= end
                and byte_at(at + 1) == 0x21
                and byte_at(at + 2) == 0x2D
                and byte_at(at + 3) == 0x2D
            ):
                at += 4
                while at < end and not (
                    byte_at(at) == 0x3E and byte_at(at - 1) == 0x2D and byte_at(at - 2) == 0x2D
                ):
                    at += 1
                at += 1
                continue
            hidden = -1
            for k in range(len(name_offsets) - 1):
                if matches(at + 1, end, name + name_offsets[k], name_offsets[k + 1] - name_offsets[k]):
                    hidden = k
            at += 1
            while at < end and byte_at(at) != 0x3E:
                at += 1
            at += 1
            if hidden >= 0:
                first, last = name_offsets[hidden], name_offsets[hidden + 1]
                while at < end and not (
                    byte_at(at) == 0x3C
                    and at + 1 < end
                    and byte_at(at + 1) == 0x2F
                    and matches(at + 2, end, name + first, last - first)
                ):
                    at += 1
    return counts
