"""Finds and unescapes one string field of many JSON lines.

Legend: n lines, `data` uint8[...] their bytes. The kernel understands a strict subset of JSON and leaves
every line it is not sure of (`UNSURE`) to the standard library's parser, so it never decides that a
line is broken. What it does claim: the line is one object whose only top-level `key` has a string value,
without control characters, NUL or lone surrogates, from `begin` to `end`, quotes included. It validates
nothing outside that string and no UTF-8: the caller parses the rest of the line with the string replaced
by `null`, which is valid JSON exactly if the line is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled

UNSURE = 0
FOUND = 1

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


@compiled
def _space(data: Bytes, at: int, stop: int) -> int:
    while at < stop and (data[at] == 32 or data[at] == 9 or data[at] == 13 or data[at] == 10):
        at += 1
    return at


@compiled
def _string_end(data: Bytes, at: int, stop: int) -> int:
    """Just past the closing quote of the string whose opening quote is at `at`; -1 without one."""
    at += 1
    while at < stop:
        byte = data[at]
        if byte == 34:
            return at + 1
        at += 2 if byte == 92 else 1
    return -1


@compiled
def _value_end(data: Bytes, at: int, stop: int) -> int:
    """Just past the value at `at`, by its brackets and strings alone; -1 if it does not end."""
    depth = 0
    while at < stop:
        byte = data[at]
        if byte == 34:
            at = _string_end(data, at, stop)
            if at < 0:
                return -1
            if depth == 0:
                return at
            continue
        if byte == 123 or byte == 91:
            depth += 1
        elif byte == 125 or byte == 93:
            if depth == 0:
                return at
            depth -= 1
            if depth == 0:
                return at + 1
        elif depth == 0 and byte == 44:
            return at
        at += 1
    return -1


@compiled
def _hex4(data: Bytes, at: int, stop: int) -> int:
    if at + 4 > stop:
        return -1
    value = 0
    for i in range(at, at + 4):
        byte = data[i]
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 65 <= byte <= 70:
            digit = byte - 55
        elif 97 <= byte <= 102:
            digit = byte - 87
        else:
            return -1
        value = value * 16 + digit
    return value


@compiled
def _unescape(data: Bytes, at: int, stop: int, out: Bytes, to: int) -> tuple[int, int]:
    """Unescape the string at `at` into `out[to:]`: (just past its closing quote or -1, new `to`)."""
    at += 1
    while at < stop:
        byte = data[at]
        if byte == 34:
            return at + 1, to
        if byte < 32:
            return -1, to
        if byte != 92:
            out[to] = byte
            to += 1
            at += 1
            continue
        if at + 1 >= stop:
            return -1, to
        code = data[at + 1]
        at += 2
        if code == 110:
            out[to] = 10
        elif code == 34 or code == 92 or code == 47:
            out[to] = code
        elif code == 116:
            out[to] = 9
        elif code == 114:
            out[to] = 13
        elif code == 98:
            out[to] = 8
        elif code == 102:
            out[to] = 12
        elif code == 117:
            point = _hex4(data, at, stop)
            at += 4
            if 0xD800 <= point <= 0xDBFF and at + 6 <= stop and data[at] == 92 and data[at + 1] == 117:
                low = _hex4(data, at + 2, stop)
                if low < 0xDC00 or low > 0xDFFF:
                    return -1, to
                point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
                at += 6
            elif point <= 0 or 0xD800 <= point <= 0xDFFF:
                return -1, to
            if point < 0x80:
                out[to] = point
            elif point < 0x800:
                out[to] = 0xC0 | (point >> 6)
                out[to + 1] = 0x80 | (point & 63)
                to += 1
            elif point < 0x10000:
                out[to] = 0xE0 | (point >> 12)
                out[to + 1] = 0x80 | ((point >> 6) & 63)
                out[to + 2] = 0x80 | (point & 63)
                to += 2
            else:
                out[to] = 0xF0 | (point >> 18)
                out[to + 1] = 0x80 | ((point >> 12) & 63)
                out[to + 2] = 0x80 | ((point >> 6) & 63)
                out[to + 3] = 0x80 | (point & 63)
                to += 3
        else:
            return -1, to
        to += 1
    return -1, to


@compiled
def find_text(
    data: Bytes, starts: Offsets, stops: Offsets, key: Bytes
) -> tuple[npt.NDArray[np.uint8], Offsets, Offsets, Offsets, Bytes]:
    """Find the string field named `key` (its UTF-8 bytes, which need no escape in JSON) of each line.

    `starts`, `stops` int64[n]: lines without their newlines. Returns `state` uint8[n] (`FOUND` or
    `UNSURE`), `begin` and `end` int64[n] into `data`, and the unescaped strings as `offsets` int64[n + 1]
    into `text` uint8[...]; an unsure line has an empty string.
    """
    n = len(starts)
    state = np.zeros(n, np.uint8)
    begin = np.zeros(n, np.int64)
    end = np.zeros(n, np.int64)
    offsets = np.zeros(n + 1, np.int64)
    text = np.empty(len(data), np.uint8)  # unescaping never lengthens
    for line in range(n):
        first = offsets[line]
        to = first
        stop = stops[line]
        at = _space(data, starts[line], stop)
        sure = at < stop and data[at] == 123
        found = False
        at += 1
        while sure:
            at = _space(data, at, stop)
            sure = False
            if at >= stop or data[at] != 34:
                break
            key_at = at
            at = _string_end(data, at, stop)
            if at < 0:
                break
            length = at - key_at - 2
            plain = True
            same = length == len(key)
            for i in range(length):
                byte = data[key_at + 1 + i]
                if byte == 92:
                    plain = False
                    break
                if same and byte != key[i]:
                    same = False
            if not plain:
                break  # an escaped name could be the key in disguise
            at = _space(data, at, stop)
            if at >= stop or data[at] != 58:
                break
            at = _space(data, at + 1, stop)
            if same:
                if found or at >= stop or data[at] != 34:
                    break
                found = True
                begin[line] = at
                at, to = _unescape(data, at, stop, text, to)
                end[line] = at
            else:
                at = _value_end(data, at, stop)
            if at < 0:
                break
            at = _space(data, at, stop)
            if at < stop and data[at] == 44:
                at += 1
                sure = True
                continue
            if at < stop and data[at] == 125 and _space(data, at + 1, stop) == stop:
                sure = True
            break
        if sure and found:
            state[line] = FOUND
            offsets[line + 1] = to
        else:
            offsets[line + 1] = first
    return state, begin, end, offsets, text
