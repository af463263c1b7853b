"""Lines of UTF-8 text, cut at line feeds: their ends, white space, keys, and breaks within them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text import characters as ch
from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.decode import before, code_at
from corpusmill.pipelines.text.kernels.first_places import first_place, table_size
from corpusmill.pipelines.text.kernels.key_sets import enter
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at, trailing_zeros
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.kernels.word_marks import properties
from corpusmill.pipelines.text.mixing import GOLDEN
from corpusmill.pipelines.text.views import LineRoom

LINE_BREAK, WHITE_SPACE = ch.LINE_BREAK, ch.WHITE_SPACE

BLANK = 1
"""A line of white space only, or of nothing."""
REPEATS = 2
"""A line that equals an earlier one of its text, byte for byte."""
BREAKS = 4
"""A line in which `str.splitlines` would cut further: vertical tab, form feed, U+001C and the like."""

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint16]

_LOW = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_FEEDS = np.uint64(0x0A0A0A0A0A0A0A0A)
_ABOVE_BREAKS = np.uint64(0x1F1F1F1F1F1F1F1F)  # the least byte above the breaks of ASCII
_NEL_LEAD, _SEPARATOR_LEAD = np.uint64(0xC2C2C2C2C2C2C2C2), np.uint64(0xE2E2E2E2E2E2E2E2)
_SEVEN, _SIX, _TOP = np.uint64(7), np.uint64(6), np.uint64(56)


@compiled
def other_line_ends(data: Bytes, start: int, end: int) -> int:
    """How many bytes from `start` to `end` are carriage returns or the last of NEL, U+2028 or U+2029."""
    n = 0
    for at in range(start, min(start + 2, end)):
        n += data[at] == 0x0D
        n += at > start and data[at] == 0x85 and data[at - 1] == 0xC2
    for at in range(start + 2, end):
        byte, one, two = data[at], data[at - 1], data[at - 2]
        separator = (byte & 0xFE == 0xA8) & (one == 0x80) & (two == 0xE2)
        n += (byte == 0x0D) | ((byte == 0x85) & (one == 0xC2)) | separator
    return n


@compiled
def line_feeds(starts: Offsets, ends: Offsets, data: Bytes) -> tuple[Offsets, Bytes]:
    """The texts with CR LF, a lone CR, NEL, U+2028 and U+2029 as one LF: offsets int64[n + 1] and bytes."""
    size = 0
    for i in range(len(starts)):
        size += ends[i] - starts[i]
    out, offsets = np.empty(size, np.uint8), np.zeros(len(starts) + 1, np.int64)
    written = 0
    for i in range(len(starts)):
        at, end = starts[i], ends[i]
        while at < end:
            byte = data[at]
            at += 1
            if byte == 0x0D:
                byte = np.uint8(0x0A)
                if at < end and data[at] == 0x0A:
                    at += 1
            elif byte == 0xC2 and at < end and data[at] == 0x85:
                byte = np.uint8(0x0A)
                at += 1
            elif byte == 0xE2 and at + 1 < end and data[at] == 0x80 and data[at + 1] & 0xFE == 0xA8:
                byte = np.uint8(0x0A)
                at += 2
            out[written] = byte
            written += 1
        offsets[i + 1] = written
    return offsets, out[:written]


@forced
def continuations(eight: Any) -> Any:
    """How many of eight bytes are of the form 10xxxxxx: they continue a character."""
    return (((eight >> _SEVEN) & ~(eight >> _SIX) & _LOW) * _LOW) >> _TOP


@compiled
def span_key(start: int, end: int) -> tuple[Any, int]:
    """Of the bytes between two addresses: a key, uint64, the same for the same bytes; their code points."""
    key = np.uint64(end - start)
    inner = np.uint64(0)
    at = start
    while at + 8 <= end:
        eight = eight_at(at)
        inner += continuations(eight)
        key = (key ^ eight) * GOLDEN
        key ^= key >> np.uint64(32)
        at += 8
    last = np.uint64(0)
    while at < end:
        byte = byte_at(at)
        last = last << np.uint64(8) | np.uint64(byte)
        inner += np.uint64(byte & 0xC0 == 0x80)
        at += 1
    return mix(key ^ last), end - start - integer(inner)


@compiled
def feed_from(at: int, end: int) -> int:
    """Address of the first line feed from `at` on, or `end`."""
    while at + 8 <= end:
        others = eight_at(at) ^ _FEEDS
        feeds = (others - _LOW) & ~others & _HIGH
        if feeds != 0:
            return at + (trailing_zeros(feeds) >> 3)
        at += 8
    while at < end and byte_at(at) != 0x0A:
        at += 1
    return at


@forced
def _may_break(eight: Any) -> Any:
    """Not 0 where one of eight bytes may begin a character at which `str.splitlines` cuts: a byte below
    0x1F, or the first of NEL or of U+2028.
    """
    low = (eight - _ABOVE_BREAKS) & ~eight
    nel, separator = eight ^ _NEL_LEAD, eight ^ _SEPARATOR_LEAD
    return (low | ((nel - _LOW) & ~nel) | ((separator - _LOW) & ~separator)) & _HIGH


@compiled
def past_white_space(table: int, at: int, end: int) -> int:
    """Where the bytes between two addresses begin without leading white space."""
    while at < end:
        code, after = code_at(at, end)
        if not properties(table, code) & WHITE_SPACE:
            break
        at = after
    return at


@compiled
def without_white_space(table: int, start: int, end: int) -> int:
    """Where the bytes between two addresses end without trailing white space."""
    while end > start:
        at = before(end, start)
        code, _ = code_at(at, end)
        if not properties(table, code) & WHITE_SPACE:
            break
        end = at
    return end


@compiled
def next_line(table: int, at: int, end: int) -> tuple[int, int]:
    """Where the line at address `at` ends and where the next starts, as `str.splitlines` cuts; at < end.

    Of texts with LF alone for CR LF and CR; NEL, U+2028 and U+2029 it knows.
    """
    while at < end:
        if at + 8 <= end and _may_break(eight_at(at)) == 0:
            at += 8
            continue
        byte = byte_at(at)
        if 0x1E < byte < 0x80:
            at += 1
            continue
        code, after = code_at(at, end)
        if properties(table, code) & LINE_BREAK:
            return at, after
        at = after
    return end, end


@forced
def _kind(table: int, at: int, stop: int) -> int:
    """`BLANK` and `BREAKS` of the line between two addresses."""
    blank = past_white_space(table, at, stop) == stop
    return (BLANK if blank else 0) | (BREAKS if next_line(table, at, stop)[0] < stop else 0)


@compiled
def next_lines(
    table: Table, data: Bytes, at: int, end: int, seen: Hashes, room: LineRoom
) -> tuple[int, int, int]:
    """The lines of `data[at:end]` into `room` from its beginning on, until it is full.

    `seen`: the keys of the lines before, with room for as many more (`key_sets`); theirs are entered. Returns
    how many lines there are, where the next one starts (`end` behind the last), and how many keys were new.
    """
    properties_at, begin = address(table), address(data)
    n, new, here, stop_all = 0, 0, begin + at, begin + end
    while here < stop_all and n < len(room.starts):
        stop = feed_from(here, stop_all)
        room.starts[n], room.stops[n] = here - begin, stop - begin
        room.keys[n], room.characters[n] = span_key(here, stop)
        known = enter(seen, room.keys[n])
        new += not known
        room.flags[n] = _kind(properties_at, here, stop) | (REPEATS if known else 0)
        here = min(stop + 1, stop_all)
        n += 1
    return n, here - begin, new


@compiled
def lines_of(
    table: Table, data: Bytes, starts: Offsets, ends: Offsets
) -> tuple[Offsets, Offsets, Offsets, Offsets, npt.NDArray[np.uint64], Bytes]:
    """The lines of the texts `data[starts[i]:ends[i]]`: those of text i are `bounds[i]` to `bounds[i + 1]`.

    Returns bounds int64[n + 1], then starts, stops, characters, keys and flags of lines as in `views.Lines`.
    """
    texts = len(starts)
    bounds = np.zeros(texts + 1, np.int64)
    properties_at, begin = address(table), address(data)
    n, most = 0, 0
    for i in range(texts):
        at, end = begin + starts[i], begin + ends[i]
        while at < end:
            at = feed_from(at, end) + 1
            n += 1
        most = max(most, n - bounds[i])
        bounds[i + 1] = n
    line_starts, line_stops, characters = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    keys, flags = np.empty(n, np.uint64), np.empty(n, np.uint8)
    slots = np.empty(table_size(most), np.uint64)
    for i in range(texts):
        at, end = begin + starts[i], begin + ends[i]
        for line in range(bounds[i], bounds[i + 1]):
            stop = feed_from(at, end)
            line_starts[line], line_stops[line] = at - begin, stop - begin
            keys[line], characters[line] = span_key(at, stop)
            flags[line] = _kind(properties_at, at, stop)
            at = stop + 1
        size = table_size(bounds[i + 1] - bounds[i])
        slots[:size] = 0
        for line in range(bounds[i], bounds[i + 1]):
            if first_place(slots, size - 1, keys, line, keys[line]) < line:
                flags[line] |= REPEATS
    return bounds, line_starts, line_stops, characters, keys, flags


@forced
def matches(at: int, end: int, pattern: int, length: int) -> bool:
    """Whether the `length` bytes at address `pattern`, in lower case, stand at `at` in any case."""
    if at + length > end:
        return False
    for k in range(length):
        byte = byte_at(at + k)
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        if byte != byte_at(pattern + k):
            return False
    return True
