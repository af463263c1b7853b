"""Counts of the evidence that a text is mathematical."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels import characters as ch
from corpusmill.filters.kernels.repetition import STEP, mix
from corpusmill.filters.kernels.words import (
    BUFFER,
    FNV_PRIME,
    FNV_START,
    Bytes,
    Counts,
    Hashes,
    Offsets,
    Table,
    buffer,
    decode,
    fill_words,
    new_place,
)  # fmt: skip
from corpusmill.pipelines.text.compiled import compiled, integer

ALPHABETIC, MATHEMATICAL, WHITE_SPACE = ch.ALPHABETIC, ch.MATHEMATICAL, ch.WHITE_SPACE

TOKENS, COMMANDS, SPANS, DISPLAYS, SIGNS, EQUATIONS, TERMS = range(7)
COLUMNS = 7
LONGEST_SPAN = 400  # bytes


@compiled
def _holds(hashes: Hashes, value: np.uint64) -> bool:
    """Whether `value` is in the sorted `hashes`."""
    left, right = 0, len(hashes)
    while left < right:
        middle = (left + right) >> 1
        if hashes[middle] < value:
            left = middle + 1
        else:
            right = middle
    return bool(left < len(hashes) and hashes[left] == value)


@compiled
def _is_digit(data: Bytes, at: int, end: int) -> bool:
    return at < end and 0x30 <= data[at] <= 0x39


@compiled
def _dollar_span(data: Bytes, at: int, end: int) -> int:
    """Bytes of the span `$...$` or `$$...$$` that opens at `at`, 0 for none.

    As in Pandoc's tex_math_dollars: no white space directly inside single dollars, no digit behind the
    closing one, no blank line between; and, so that prices and shell variables do not count, at most 400
    bytes, with one of `\\\\ ^ _ = < > + * ( |` or a single letter inside.
    """
    double = at + 1 < end and data[at + 1] == 0x24
    start = at + 2 if double else at + 1
    if start >= end or (not double and data[start] <= 0x20):
        return 0
    marked = False
    k = start
    while k < end and k - start < LONGEST_SPAN:
        byte = data[k]
        if byte == 0x5C:
            marked = True
            k += 2
            continue
        if byte == 0x0A and k + 1 < end and data[k + 1] == 0x0A:
            return 0
        if byte == 0x24:
            if double:
                if k + 1 < end and data[k + 1] == 0x24 and k > start:
                    return k + 2 - at
                return 0
            if data[k - 1] <= 0x20 or _is_digit(data, k + 1, end):
                return 0
            letter = k - start == 1 and 0x61 <= (data[start] | 0x20) <= 0x7A
            return k + 1 - at if marked or letter else 0
        # ^ _ = < > + * ( |
        if byte in (0x5E, 0x5F, 0x3D, 0x3C, 0x3E, 0x2B, 0x2A, 0x28, 0x7C):
            marked = True
        k += 1
    return 0


@compiled
def _is_equation(data: Bytes, at: int, start: int, end: int) -> bool:
    """Whether the sign at `at` is behind a digit, `)` or `%` and before a digit (over spaces, `-`, `$`)."""
    left = at - 1
    while left >= start and data[left] == 0x20:
        left -= 1
    right = at + (2 if data[at] >= 0x80 else 1)
    while right < end and (data[right] == 0x20 or data[right] == 0x2D or data[right] == 0x24):
        right += 1
    if left < start or right >= end or not _is_digit(data, right, end):
        return False
    return bool(0x30 <= data[left] <= 0x39 or data[left] == 0x29 or data[left] == 0x25)


@compiled
def math_counts(
    table: Table, offsets: Offsets, data: Bytes, commands: Hashes, environments: Hashes, terms: Hashes
) -> Counts:
    """Counts int64[n, COLUMNS] of each document, from one pass over its bytes and one over its words.

    `commands`, `environments`: sorted hashes (FNV-1a of the letters) of TeX command and environment names.
    `terms`: sorted `term_hash`es of one or two tokens.
    """
    n = len(offsets) - 1
    counts = np.zeros((n, COLUMNS), np.int64)
    hashes, lengths, flags, stops = buffer(BUFFER)
    for i in range(n):
        row = counts[i]
        start, end = offsets[i], offsets[i + 1]
        at = start
        previous = integer(0)
        while at < end:
            byte = data[at]
            if byte == 0x5C and at + 1 < end:
                following = data[at + 1]
                if following == 0x5B or following == 0x28:
                    row[DISPLAYS] += 1
                    at += 2
                    continue
                value, k = FNV_START, at + 1
                while k < end and 0x61 <= (data[k] | 0x20) <= 0x7A:
                    value = (value ^ np.uint64(data[k])) * FNV_PRIME
                    k += 1
                if k - at > 2 and _holds(commands, value):
                    row[COMMANDS] += 1
                elif k - at == 6 and k < end and data[k] == 0x7B and data[at + 1] == 0x62:
                    value, name = FNV_START, k + 1
                    while name < end and 0x61 <= (data[name] | 0x20) <= 0x7A:
                        value = (value ^ np.uint64(data[name])) * FNV_PRIME
                        name += 1
                    row[DISPLAYS] += _holds(environments, value)
                at = k if k > at + 1 else at + 1 + (following < 0x80)
                previous = 0
                continue
            if byte == 0x24:
                size = _dollar_span(data, at, end)
                if size:
                    row[SPANS] += 1
                    inside = at + 1
                    # TeX commands inside count too.
                    while inside < at + size:
                        if data[inside] == 0x5C:
                            value, k = FNV_START, inside + 1
                            while k < end and 0x61 <= (data[k] | 0x20) <= 0x7A:
                                value = (value ^ np.uint64(data[k])) * FNV_PRIME
                                k += 1
                            row[COMMANDS] += k - inside > 2 and _holds(commands, value)
                            inside = k - 1
                        inside += 1
                    at += size
                    previous = 0
                    continue
            if byte < 0x80:
                if byte in (0x3D, 0x2B, 0x2A):
                    row[EQUATIONS] += _is_equation(data, at, start, end)
                previous = integer(byte)
                at += 1
                continue
            code, follow = decode(data, at, end)
            if code == 0xD7 or code == 0xF7:
                row[EQUATIONS] += _is_equation(data, at, start, end)
            if table[code] & MATHEMATICAL:
                # A letter counts when it stands alone: mathematics, not Greek.
                alone = not table[previous] & ALPHABETIC
                if alone and table[code] & ALPHABETIC and follow < end:
                    after, _ = decode(data, follow, end)
                    alone = not table[after] & ALPHABETIC
                row[SIGNS] += alone or not table[code] & ALPHABETIC
            previous = code
            at = follow
        last = np.uint64(0)
        place = new_place(start)
        while place[0] < end:
            found = fill_words(table, data, place, end, hashes, lengths, flags, stops)
            row[TOKENS] += found
            for k in range(found):
                value = hashes[k]
                if lengths[k] > 2:
                    row[TERMS] += _holds(terms, mix(value))
                elif lengths[k] == 1:
                    row[TERMS] += _holds(terms, mix(mix(last) * STEP + value))
                last = value
    return counts


@compiled
def name_hash(name: Bytes) -> np.uint64:
    """Hash of the name of a TeX command or environment."""
    value = FNV_START
    for byte in name:
        value = (value ^ np.uint64(byte)) * FNV_PRIME
    return value


@compiled
def term_hash(hashes: Hashes) -> np.uint64:
    """Hash of a term of one token, or of two that are one character each."""
    if len(hashes) == 1:
        return mix(hashes[0])
    return mix(mix(hashes[0]) * STEP + hashes[1])


def names_table(names: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Sorted hashes of ASCII names."""
    return np.unique(np.array([name_hash(np.frombuffer(n.encode(), np.uint8)) for n in names], np.uint64))
