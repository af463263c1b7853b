"""Blocks of a page as plain text: paragraphs, lines, lists, rows of tables, and code as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.extraction.kernels.blocks import Blocks, begins_item
from corpusmill.pipelines.extraction.kernels.outline import Outline
from corpusmill.pipelines.extraction.tags import BREAKS, INLINE, NUMBERS
from corpusmill.pipelines.text.compiled import compiled, integer

if TYPE_CHECKING:
    import numpy.typing as npt

_CODE = NUMBERS["code"]
_LINES, _ROWS = 1, 3  # columns of `Outline.breaks`
_SPACE, _NEWLINE, _TAB = 32, 10, 9
_NO_BREAK_SPACE = 0xA0


class Inserts(NamedTuple):
    """Bytes that stand beside texts and are not part of them, such as the targets of links."""

    data: npt.NDArray[np.uint8]
    bounds: npt.NDArray[np.int64]
    """[2 texts + 1]: before text t stands `data[bounds[2t]:bounds[2t + 1]]` as a word of its own; directly
    after it, `data[bounds[2t + 1]:bounds[2t + 2]]`. Of length 0 where nothing is inserted."""


NO_INSERTS = Inserts(np.zeros(0, np.uint8), np.zeros(0, np.int64))


@compiled
def plain_text(
    data: npt.NDArray[np.uint8], page: Outline, blocks: Blocks, keep: npt.NDArray[np.bool_], inserts: Inserts
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:  # pragma: no cover - compiled
    """(text, spans): the text, UTF-8, of the blocks to keep, bool[blocks]; and int64[blocks, 2], where in it
    each block's own text begins and ends.

    Paragraphs stand apart by a blank line, cells of a row by tabs; items of lists begin with `- `. A run of
    white space is one space, but in code, where white space stays, up to the ends of its rows. Nothing is
    inserted in code. A line end between two ideographs or kana is nothing, as CSS Text 3 (4.1.3) has it; two
    links side by side are two words, unless their tags are the same.
    """
    # What parts two blocks stands for a tag at least.
    out = np.empty(len(data) + 8 * len(keep) + len(inserts.data) + len(inserts.bounds), np.uint8)
    spans = np.zeros((len(keep), 2), np.int64)
    items = begins_item(page, blocks)
    size, before = 0, -1
    for b in range(len(keep)):
        if not keep[b]:
            continue
        first, end = blocks.first_text[b], blocks.end_text[b]
        start = size
        if before >= 0:
            size = _part(page, before, first, out, size)
        if items[b]:
            out[size], out[size + 1] = 45, _SPACE  # "- "
            size += 2
        opened = size
        if page.in_code[first]:
            size = _write_code(data, page, first, end, out, size)
        else:
            size = _write_line(data, page, first, end, inserts, out, size)
        if size == opened:
            size = start
        else:
            before = end - 1
            spans[b, 0], spans[b, 1] = opened, size
    return out[:size], spans


@compiled
def _part(
    page: Outline, before: int, after: int, out: npt.NDArray[np.uint8], size: int
) -> int:  # pragma: no cover - compiled
    """Write what parts text `after` from text `before`; the new size."""
    e = page.element[before]
    rows = 0
    if e == page.element[after] and page.tag[e] == _CODE:  # rows of code that `br` parts
        rows = integer(page.breaks[after, _LINES] - page.breaks[before, _LINES])
    if rows == 0:
        apart = 0
        for column in range(_ROWS):
            apart += page.breaks[before, column] != page.breaks[after, column]
        if apart < 2:
            out[size] = _TAB if apart == 1 else _SPACE
            return size + 1
        rows = apart - 1
    for _ in range(rows):
        out[size] = _NEWLINE
        size += 1
    return size


@compiled
def _character(
    data: npt.NDArray[np.uint8], i: int, end: int
) -> tuple[int, int]:  # pragma: no cover - compiled
    """(value, length) of what stands at i: a byte, an entity's byte, 32 for white space, 0xA0 for a no-break
    space. The parser writes no entities but `&amp;`, `&lt;`, `&gt;` and `&nbsp;`."""
    c = integer(data[i])
    if c == 38 and i + 3 < end:
        second = data[i + 1]
        if second == 110:
            return _NO_BREAK_SPACE, 6
        if second == 97:
            return 38, 5
        return (60, 4) if second == 108 else (62, 4)
    if c <= _SPACE:
        return (_SPACE if c != 127 else c), 1
    if c == 0xC2 and i + 1 < end and (data[i + 1] == 0x85 or data[i + 1] == 0xA0):
        return _NO_BREAK_SPACE, 2
    if 0xE1 <= c <= 0xE3 and i + 2 < end:
        wide = (c << 16) | (integer(data[i + 1]) << 8) | integer(data[i + 2])
        if (
            wide in (0xE19A80, 0xE280A8, 0xE280A9, 0xE280AF, 0xE2819F, 0xE38080)
            or 0xE28080 <= wide <= 0xE2808A
        ):
            return _SPACE, 3
    return c, 1


@compiled
def _write_line(
    data: npt.NDArray[np.uint8], page: Outline, first: int, end: int, inserts: Inserts,
    out: npt.NDArray[np.uint8], size: int,
) -> int:  # pragma: no cover - compiled  # fmt: skip
    """Write the shown texts on one line; no-break spaces at the head of a row of code stay."""
    start = size
    code = _in_inline_code(page, first)
    space = newline = False
    link = 0
    for t in range(first, end):
        if len(inserts.bounds) > 0 and inserts.bounds[2 * t] < inserts.bounds[2 * t + 1]:
            if size > start:
                out[size] = _SPACE
                size += 1
            size = _insert(inserts, 2 * t, out, size)
            code, space, newline = False, True, False
        if not page.shown[t]:
            continue
        i, stop = page.begin[t], page.end[t]
        if page.link[t] != link:
            if link > 0 and page.link[t] > 0 and not space and i < stop and size > start:
                space = (
                    _in_ascii_word(out[size - 1])
                    and _in_ascii_word(data[i])
                    and not _same_tag(data, page.opening[link], page.opening[page.link[t]])
                )
            link = page.link[t]
        while i < stop:
            value, length = _character(data, i, stop)
            i += length
            if code and value == _NO_BREAK_SPACE and length > 1:
                out[size] = _SPACE
                size += 1
                space = False
            elif value == _SPACE or (value == _NO_BREAK_SPACE and length > 1):
                space = True
                newline = newline or data[i - length] == _NEWLINE or data[i - length] == 13
            else:
                code = False
                if space and size > start:
                    joined = newline and _ends_ideographic(out, start, size)
                    if not (joined and _is_ideographic(data, i - length, stop)):
                        out[size] = _SPACE
                        size += 1
                space = newline = False
                out[size] = value
                size += 1
        if len(inserts.bounds) > 0:
            size = _insert(inserts, 2 * t + 1, out, size)
    while size > start and out[size - 1] == _SPACE:
        size -= 1
    return size


@compiled
def _same_tag(data: npt.NDArray[np.uint8], a: int, b: int) -> bool:  # pragma: no cover - compiled
    """Whether two tags, whose names begin at a and b, are the same: editors cut one link into several."""
    quoted = False
    while b < len(data) and data[a] == data[b]:
        quoted ^= data[a] == 34
        if data[a] == 62 and not quoted:
            return True
        a, b = a + 1, b + 1
    return False


@compiled
def _in_ascii_word(c: int) -> bool:  # pragma: no cover - compiled
    return 48 <= c <= 57 or 97 <= (c | 32) <= 122


@compiled
def _ends_ideographic(
    out: npt.NDArray[np.uint8], start: int, size: int
) -> bool:  # pragma: no cover - compiled
    """Whether what was written, from `start` on, ends in an ideograph, kana or a full-width sign."""
    i = size - 1
    while i > start and out[i] & 0xC0 == 0x80:
        i -= 1
    return _is_ideographic(out, i, size)


@compiled
def _is_ideographic(data: npt.NDArray[np.uint8], i: int, end: int) -> bool:  # pragma: no cover - compiled
    """Whether an ideograph, kana or a full-width sign stands at i; hangul parts its words by spaces."""
    if i + 2 >= end:
        return False
    c, second, third = data[i], data[i + 1], data[i + 2]
    if c == 0xE3:  # U+3000 on; hangul letters are U+3131 to U+318E
        return not (
            (second == 0x84 and third >= 0xB1) or second == 0x85 or (second == 0x86 and third <= 0x8E)
        )
    if c == 0xF0:
        return bool(0xA0 <= second <= 0xBF)  # planes 2 and 3
    return bool(0xE4 <= c <= 0xE9 or (c == 0xEF and (0xA4 <= second <= 0xAB or 0xBC <= second <= 0xBE)))


@compiled
def _insert(
    inserts: Inserts, place: int, out: npt.NDArray[np.uint8], size: int
) -> int:  # pragma: no cover - compiled
    for i in range(inserts.bounds[place], inserts.bounds[place + 1]):
        out[size] = inserts.data[i]
        size += 1
    return size


@compiled
def _write_code(
    data: npt.NDArray[np.uint8], page: Outline, first: int, end: int, out: npt.NDArray[np.uint8], size: int
) -> int:  # pragma: no cover - compiled
    """Write the shown texts with their white space, row by row, without blank rows at head and end."""
    start = size
    newlines, row = 0, -1
    for t in range(first, end):
        if not page.shown[t]:
            continue
        more = page.breaks[t, _ROWS] - row - newlines
        if row >= 0 and more > 0:
            for _ in range(more):
                size = _end_row(out, start, size)
            newlines += more
        i, stop = page.begin[t], page.end[t]
        while i < stop:
            value, length = _character(data, i, stop)
            if data[i] == _NEWLINE:
                size = _end_row(out, start, size)
                newlines += 1
            elif data[i] != 13:
                if value == _NO_BREAK_SPACE and length > 1:
                    value = _SPACE
                if data[i] == _TAB:
                    value = _TAB
                if value == _SPACE and length == 3:  # a wide space stays as it is
                    for k in range(length):
                        out[size + k] = data[i + k]
                    size += length
                else:
                    out[size] = value
                    size += 1
                newlines, row = 0, page.breaks[t, _ROWS]
            i += length
    while size > start and out[size - 1] in (_SPACE, _TAB, _NEWLINE):
        size -= 1
    return size


@compiled
def _end_row(out: npt.NDArray[np.uint8], start: int, size: int) -> int:  # pragma: no cover - compiled
    """Write a newline in place of the white space at the end of a row; none at the head of the block."""
    while size > start and (out[size - 1] == _SPACE or out[size - 1] == _TAB):
        size -= 1
    if size == start:
        return size
    out[size] = _NEWLINE
    return size + 1


@compiled
def _in_inline_code(page: Outline, text: int) -> bool:  # pragma: no cover - compiled
    e = page.element[text]
    while e > 0 and BREAKS[page.tag[e]] == INLINE:
        if page.tag[e] == _CODE:
            return True
        e = page.parent[e]
    return False
