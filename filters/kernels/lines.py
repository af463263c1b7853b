"""Lines, ends and lengths of UTF-8 text, as Python's `str` methods see them."""

from __future__ import annotations

import numpy as np

from corpusmill.filters.kernels import characters as ch
from corpusmill.filters.kernels.words import Bytes, Counts, Offsets, Table, decode
from corpusmill.pipelines.contract.documents import unwritable
from corpusmill.pipelines.text.compiled import compiled

LINE_BREAK, WHITE_SPACE = ch.LINE_BREAK, ch.WHITE_SPACE


@compiled
def count_characters(offsets: Offsets, data: Bytes) -> Counts:
    """Code points of each document, int64[n]."""
    counts = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(counts)):
        n = 0
        for at in range(offsets[i], offsets[i + 1]):
            n += (data[at] & 0xC0) != 0x80
        counts[i] = n
    return counts


@compiled
def _carriage_returns(offsets: Offsets, data: Bytes) -> int:
    """How many bytes of the documents are carriage returns."""
    n = 0
    for at in range(offsets[0], offsets[-1]):
        n += data[at] == 0x0D
    return n


@compiled
def _line_feeds(offsets: Offsets, data: Bytes) -> tuple[Offsets, Bytes]:
    out, ends = np.empty(offsets[-1] - offsets[0], np.uint8), np.zeros(len(offsets), np.int64)
    written = 0
    for i in range(len(offsets) - 1):
        at, end = offsets[i], offsets[i + 1]
        while at < end:
            byte = data[at]
            at += 1
            if byte == 0x0D:
                byte = np.uint8(0x0A)
                if at < end and data[at] == 0x0A:
                    at += 1
            out[written] = byte
            written += 1
        ends[i + 1] = written
    return ends, out[:written]


def with_line_feeds(offsets: Offsets, data: Bytes) -> tuple[Offsets, Bytes]:
    """The texts with CR LF and a lone CR as one line feed; those given where there is none of either.

    What a filter measures a text by, so that a text has the same scores whichever of the three ends its
    lines. The documents themselves keep their bytes.
    """
    if not _carriage_returns(offsets, data):
        return offsets, data
    offsets, data = _line_feeds(offsets, data)
    return unwritable(offsets), unwritable(data)


@compiled
def next_line(table: Table, data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where the line at `at` ends and where the next starts, as `str.splitlines` cuts. Needs at < end."""
    while at < end:
        if 0x1E < data[at] < 0x80:
            at += 1
            continue
        code, follow = decode(data, at, end)
        if table[code] & LINE_BREAK:
            if code == 0x0D and follow < end and data[follow] == 0x0A:
                return at, follow + 1
            return at, follow
        at = follow
    return end, end


@compiled
def strip_left(table: Table, data: Bytes, start: int, end: int) -> int:
    """Where `data[start:end]` begins without leading white space."""
    while start < end:
        code, follow = decode(data, start, end)
        if not table[code] & WHITE_SPACE:
            break
        start = follow
    return start


@compiled
def strip_right(table: Table, data: Bytes, start: int, end: int) -> int:
    """Where `data[start:end]` ends without trailing white space."""
    while end > start:
        at = end - 1
        while at > start and (data[at] & 0xC0) == 0x80:
            at -= 1
        code, _ = decode(data, at, end)
        if not table[code] & WHITE_SPACE:
            break
        end = at
    return end


@compiled
def matches(data: Bytes, at: int, end: int, pattern: Bytes) -> bool:
    """Whether `pattern`, in lower case, stands at `at` in any case."""
    if at + len(pattern) > end:
        return False
    for k in range(len(pattern)):
        byte = data[at + k]
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        if byte != pattern[k]:
            return False
    return True
