"""Texts into pieces, which are lines or paragraphs, and 128 bits of the normal form of each.

Lines end at LF, CR LF or CR. A paragraph is a run of lines that are not blank; blank is a line of white
space only (`str.isspace`). A piece begins where its first line does. A line ends with its line break; a
paragraph ends where the next one begins, so blank lines between belong to the one before. What is compared of
a piece is its text without white space at either end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.murmur import murmur3_128
from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.decode import code_at
from corpusmill.pipelines.text.kernels.lines import (
    continuations,
    past_white_space,
    without_white_space,
)
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at, put_byte, trailing_zeros

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Forms = npt.NDArray[np.uint32]

SEPARATOR, SKIP = 0, 1  # entries of a table of normal forms: see `matching.piece_forms`
SINGLE = 1 << 31
SPACE, LF, CR, ZERO = 0x20, 0x0A, 0x0D, 0x30
_LOW, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_FEEDS, _RETURNS = np.uint64(0x0A0A0A0A0A0A0A0A), np.uint64(0x0D0D0D0D0D0D0D0D)


class Pieces(NamedTuple):
    """m pieces one after the other, each array int64[m]; places are bytes of the data."""

    text: Index
    """Number of the text that it is of."""
    nth: Index
    """Its number in the text, from 0."""
    start: Index
    end: Index
    """Where it ends, its line breaks included."""
    first: Index
    """Where it begins without white space, and where it ends so."""
    last: Index


@forced
def _break_from(at: int, end: int) -> int:
    """Address of the first LF or CR from `at` on, or `end`."""
    while at + 8 <= end:
        eight = eight_at(at)
        feeds, returns = eight ^ _FEEDS, eight ^ _RETURNS
        found = (((feeds - _LOW) & ~feeds) | ((returns - _LOW) & ~returns)) & _HIGH
        if found != 0:
            return at + (trailing_zeros(found) >> 3)
        at += 8
    while at < end and byte_at(at) != LF and byte_at(at) != CR:
        at += 1
    return at


@forced
def _after_break(at: int, end: int) -> int:
    """Where the line after the break at address `at` begins, or `end`."""
    if at + 1 < end and byte_at(at) == CR and byte_at(at + 1) == LF:
        return at + 2
    return min(at + 1, end)


@compiled
def _most_lines(data: Bytes, first: int, last: int) -> int:
    n = 0
    for at in range(first, last):
        n += (data[at] == LF) | (data[at] == CR)
    return n


@compiled
def find_pieces(
    white: npt.NDArray[np.uint16], offsets: Index, data: Bytes, paragraphs: bool | np.bool_
) -> Pieces:
    """The pieces of n texts, `data[offsets[i]:offsets[i + 1]]`; lines, or with `paragraphs` those.

    `white`: `text.characters.character_table`. Blank lines are no pieces.
    """
    texts = len(offsets) - 1
    most = _most_lines(data, offsets[0], offsets[texts]) + texts
    text, nth = np.empty(most, np.int64), np.empty(most, np.int64)
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    firsts, lasts = np.empty(most, np.int64), np.empty(most, np.int64)
    table, begin = address(white), address(data)
    n = 0
    for i in range(texts):
        at, end = begin + offsets[i], begin + offsets[i + 1]
        before, inside = n, False
        while at < end:
            stop = _break_from(at, end)
            after = _after_break(stop, end)
            first = past_white_space(table, at, stop)
            if first == stop:
                inside = False
                at = after
                continue
            if not inside:
                if paragraphs and n > before:
                    ends[n - 1] = at - begin
                text[n], nth[n], starts[n], firsts[n] = i, n - before, at - begin, first - begin
                n += 1
                inside = bool(paragraphs)
            lasts[n - 1] = without_white_space(table, first, stop) - begin
            ends[n - 1] = after - begin
            at = after
        if paragraphs and n > before:
            ends[n - 1] = offsets[i + 1]
    return Pieces(text[:n], nth[:n], starts[:n], ends[:n], firsts[:n], lasts[:n])


@compiled
def count_characters(data: Bytes, first: int, last: int) -> int:
    """Code points of `data[first:last]`."""
    begin = address(data)
    at, end = begin + first, begin + last
    inner = np.uint64(0)
    while at + 8 <= end:
        inner += continuations(eight_at(at))
        at += 8
    n = last - first - integer(inner)
    while at < end:
        n -= byte_at(at) & 0xC0 == 0x80
        at += 1
    return n


@compiled
def has_words(words: Forms, data: Bytes, first: int, last: int, least: int) -> bool:
    """Whether `data[first:last]` has so many words, which are runs of characters that are no separators, or
    one `SINGLE` character.

    `words`: `matching.normal_forms.normal_forms(True)`.
    """
    begin = address(data)
    at, end = begin + first, begin + last
    n, inside = 0, False
    while at < end and n < least:
        code, at = code_at(at, end)
        entry = words[code]
        if entry == SKIP:
            continue
        if entry & SINGLE:
            n += 1
            inside = False
        elif entry == SEPARATOR:
            inside = False
        elif not inside:
            n += 1
            inside = True
    return n >= least


@forced
def _put_character(place: int, code: int) -> int:
    """Write a code point as UTF-8; returns where the next one goes."""
    if code < 0x80:
        put_byte(place, code)
        return place + 1
    if code < 0x800:
        put_byte(place, 0xC0 | code >> 6)
        put_byte(place + 1, 0x80 | code & 0x3F)
        return place + 2
    if code < 0x10000:
        put_byte(place, 0xE0 | code >> 12)
        put_byte(place + 1, 0x80 | code >> 6 & 0x3F)
        put_byte(place + 2, 0x80 | code & 0x3F)
        return place + 3
    put_byte(place, 0xF0 | code >> 18)
    put_byte(place + 1, 0x80 | code >> 12 & 0x3F)
    put_byte(place + 2, 0x80 | code >> 6 & 0x3F)
    put_byte(place + 3, 0x80 | code & 0x3F)
    return place + 4


@compiled
def ascii_forms(forms: Forms) -> Bytes:
    """uint8[256]: the normal form of ASCII bytes whose is one ASCII character, 0 for all other bytes."""
    quick = np.zeros(256, np.uint8)
    for byte in range(min(128, len(forms))):
        if 1 < forms[byte] < 128:
            quick[byte] = forms[byte]
    return quick


@compiled
def write_form(forms: Forms, quick: int, at: int, end: int, out: int) -> int:
    """Write the normal form of the bytes between two addresses to `out`; returns where it ends.

    `out` must hold twice the bytes. `quick`: address of `ascii_forms`. Separators become one space between
    what they separate.
    """
    first, pending = out, False
    while at < end:
        byte = byte_at(at)
        code = byte_at(quick + byte)
        if code:
            if pending:
                put_byte(out, SPACE)
                out += 1
                pending = False
            put_byte(out, code)
            out += 1
            at += 1
            continue
        code, at = code_at(at, end)
        entry = integer(forms[code])
        if entry == SKIP:
            continue
        if entry == SEPARATOR:
            pending = out > first
            continue
        if pending:
            put_byte(out, SPACE)
            out += 1
            pending = False
        out = _put_character(out, entry)
    return out


@compiled
def _write_feeds(at: int, end: int, out: int) -> int:
    """Write the bytes between two addresses to `out` with LF for CR LF and CR; returns where it ends."""
    while at < end:
        stop = _break_from(at, end)
        while at < stop:
            put_byte(out, byte_at(at))
            out += 1
            at += 1
        if at < end:
            put_byte(out, LF)
            out += 1
            at = _after_break(at, end)
    return out


@compiled
def hash_pieces(
    data: Bytes,
    pieces: Pieces,
    forms: Forms,
    quick: Bytes,
    words: Forms,
    least: tuple[int, int],
    scratch: Bytes,
) -> tuple[Index, Hashes, Hashes]:
    """Of the pieces that are long enough, and of whose normal form something is left: their numbers, and the
    two halves of the 128-bit hash of the form.

    `forms`: of every code point, as `matching.piece_forms.piece_forms` gives them; none at all, uint32[0],
    for the bytes as they are, with LF for CR LF and CR. `quick`: `ascii_forms` of it. `least`: characters and
    words that a piece must have, without white space at its ends. `scratch`: room for twice the bytes of a
    piece.
    """
    most = len(pieces.first)
    min_characters, min_words = least
    chosen, keys, checks = np.empty(most, np.int64), np.empty(most, np.uint64), np.empty(most, np.uint64)
    begin, out, quick_at = address(data), address(scratch), address(quick)
    n = 0
    for piece in range(most):
        first, last = pieces.first[piece], pieces.last[piece]
        if last - first < min_characters:
            continue
        if min_characters > 1 and count_characters(data, first, last) < min_characters:
            continue
        if min_words > 1 and not has_words(words, data, first, last, min_words):
            continue
        if len(forms) > 0:
            place, size = out, write_form(forms, quick_at, begin + first, begin + last, out) - out
        else:
            place, size = begin + first, last - first
            for at in range(first, last):
                if data[at] == CR:
                    place, size = out, _write_feeds(begin + first, begin + last, out) - out
                    break
        if size == 0:
            continue
        chosen[n] = piece
        keys[n], checks[n] = murmur3_128(place, size)
        n += 1
    return chosen[:n], keys[:n], checks[:n]
