"""Counts behind the code quality rules, one pass each over the bytes of each document."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels import characters as ch
from corpusmill.filters.kernels.lines import matches, next_line
from corpusmill.filters.kernels.words import Bytes, Counts, Offsets, Table, decode
from corpusmill.pipelines.text.compiled import compiled

ALPHABETIC, ALPHANUMERIC, WHITE_SPACE = ch.ALPHABETIC, ch.ALPHANUMERIC, ch.WHITE_SPACE

(
    CHARACTERS,
    LINES,
    LINE_CHARACTERS,
    LONGEST_LINE,
    LETTERS,
    LETTERS_AND_DIGITS,
    ENCODED,
    LONGEST_ENCODED,
    WHITE,
) = range(9)
COLUMNS = 9

BASE64_RUN, ESCAPES = 64, 8  # the shortest runs that count as encoded data


@compiled
def _hexadecimal(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x61 <= (byte | 0x20) <= 0x66


@compiled
def _base64_end(data: Bytes, at: int, end: int) -> int:
    """Where the run of letters, digits, `+`, `/` and `=` at `at` ends."""
    while at < end:
        byte = data[at]
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
def _escape_end(data: Bytes, at: int, end: int) -> int:
    """Where the byte literal (as `0xA1` or its like) at `at` ends, with commas and spaces behind it."""
    if at + 4 > end:
        return at
    second = data[at + 1] | 0x20
    if second == 0x78 and (data[at] == 0x30 or data[at] == 0x5C):
        digits = 2
    elif second == 0x75 and data[at] == 0x5C:
        digits = 4
    else:
        return at
    stop = at + 2
    if stop + digits > end:
        return at
    for k in range(digits):
        if not _hexadecimal(data[stop + k]):
            return at
    stop += digits
    while stop < end and (
        data[stop] == 0x2C or data[stop] == 0x20 or data[stop] == 0x0A or data[stop] == 0x0D
    ):
        stop += 1
    return stop


@compiled
def code_counts(table: Table, offsets: Offsets, data: Bytes) -> Counts:
    """Counts int64[n, COLUMNS] of each document.

    Lines as `str.splitlines` cuts, lengths in code points without the break. Encoded: code points in runs
    of at least 64 letters, digits, `+`, `/`, `=`, or of at least 8 byte literals.
    """
    n = len(offsets) - 1
    counts = np.zeros((n, COLUMNS), np.int64)
    for i in range(n):
        row = counts[i]
        at, end = offsets[i], offsets[i + 1]
        while at < end:
            stop, follow = next_line(table, data, at, end)
            length = 0
            while at < stop:
                code, at = decode(data, at, stop)
                bits = table[code]
                length += 1
                row[LETTERS] += (bits & ALPHABETIC) != 0
                row[WHITE] += (bits & WHITE_SPACE) != 0
                row[LETTERS_AND_DIGITS] += (bits & ALPHANUMERIC) != 0
            row[LINES] += 1
            row[LINE_CHARACTERS] += length
            row[LONGEST_LINE] = max(row[LONGEST_LINE], length)
            row[CHARACTERS] += length
            # A break is one code point, or two where it is CR LF.
            while at < follow:
                _, at = decode(data, at, follow)
                row[CHARACTERS] += 1
                row[WHITE] += 1
        at = offsets[i]
        while at < end:
            stop, literals = at, 0
            if data[at] == 0x30 or data[at] == 0x5C:
                while True:
                    further = _escape_end(data, stop, end)
                    if further == stop:
                        break
                    stop, literals = further, literals + 1
            if literals < ESCAPES:
                stop = _base64_end(data, at, end)
                if stop - at < BASE64_RUN:
                    at = max(stop, at + 1)
                    continue
            row[ENCODED] += stop - at
            row[LONGEST_ENCODED] = max(row[LONGEST_ENCODED], stop - at)
            at = stop
    return counts


@compiled
def contains_early(
    table: Table,
    offsets: Offsets,
    data: Bytes,
    pattern_offsets: Offsets,
    patterns: Bytes,
    lines: int,
    size: int,
) -> npt.NDArray[np.bool_]:
    """bool[n]: whether one of the patterns (ASCII, lower case) stands in the first `lines` lines, in any
    case, starting within the first `size` bytes.
    """
    n = len(offsets) - 1
    found = np.zeros(n, np.bool_)
    for i in range(n):
        start, end = offsets[i], offsets[i + 1]
        limit = start
        for _ in range(lines):
            if limit < end and limit - start < size:
                _, limit = next_line(table, data, limit, end)
        for at in range(start, min(limit, start + size)):
            for k in range(len(pattern_offsets) - 1):
                pattern = patterns[pattern_offsets[k] : pattern_offsets[k + 1]]
                if matches(data, at, limit, pattern):
                    found[i] = True
            if found[i]:
                break
    return found


@compiled
def visible_characters(
    table: Table, offsets: Offsets, data: Bytes, chosen: npt.NDArray[np.bool_], names: tuple[Bytes, ...]
) -> Counts:
    """Code points of HTML outside tags, comments, and the elements `names[0]` and `names[1]`, int64[n].

    A run of white space counts as one. Only documents `chosen` are looked at. What is never closed
    lasts to the end of the document.
    """
    n = len(offsets) - 1
    counts = np.zeros(n, np.int64)
    for i in range(n):
        if not chosen[i]:
            continue
        at, end = offsets[i], offsets[i + 1]
        spaced = True
        while at < end:
            if data[at] != 0x3C:
                code, at = decode(data, at, end)
                space = (table[code] & WHITE_SPACE) != 0
                counts[i] += not (space and spaced)
                spaced = space
                continue
            if at + 4 <= end and data[at + 1] == 0x21 and data[at + 2] == 0x2D and data[at + 3] == 0x2D:
                at += 4
                while at < end and not (data[at] == 0x3E and data[at - 1] == 0x2D and data[at - 2] == 0x2D):
                    at += 1
                at += 1
                continue
            hidden = -1
            for k in range(len(names)):
                if matches(data, at + 1, end, names[k]):
                    hidden = k
            at += 1
            while at < end and data[at] != 0x3E:
                at += 1
            at += 1
            if hidden >= 0:
                while at < end and not (
                    data[at] == 0x3C
                    and at + 1 < end
                    and data[at + 1] == 0x2F
                    and matches(data, at + 2, end, names[hidden])
                ):
                    at += 1
    return counts
