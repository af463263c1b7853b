"""Blocks of a page as plain text: paragraphs, lines, lists, rows of tables, and code as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.extraction.kernels.blocks import NO_ITEM, Blocks, items_of
from corpusmill.pipelines.extraction.kernels.outline import Outline
from corpusmill.pipelines.extraction.tags import BREAKS, INLINE, NUMBERS
from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at, four_at, put_byte

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


class _At(NamedTuple):
    """Addresses: of the markup and its end, and of arrays of an `Outline`; numbers are passed at no cost."""

    data: int
    stop: int
    begin: int
    end: int
    element: int
    link: int
    shown: int
    in_code: int
    breaks: int
    tag: int
    parent: int
    opening: int


@compiled
def plain_text(
    data: npt.NDArray[np.uint8], page: Outline, blocks: Blocks, keep: npt.NDArray[np.bool_], inserts: Inserts
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:  # pragma: no cover - compiled
    """(text, spans): the text, UTF-8, of the blocks to keep, bool[blocks]; and int64[blocks, 2], where in it
    each block's own text begins and ends.

    Paragraphs stand apart by a blank line, cells of a row by tabs; items of lists begin with `- ` or
    their number. A run of white space is one space, but in code, where white space stays, up to the ends of
    its rows. Nothing is inserted in code. A line end between two ideographs or kana is nothing, as CSS Text 3
    (4.1.3) has it; two links side by side are two words, unless their tags are the same.
    """
    # What parts two blocks stands for a tag at least.
    written = np.empty(len(data) + 8 * len(keep) + len(inserts.data) + len(inserts.bounds), np.uint8)
    spans = np.zeros((len(keep), 2), np.int64)
    items = items_of(data, page, blocks)
    at = _At(
        address(data), address(data) + len(data), address(page.begin), address(page.end),
        address(page.element), address(page.link), address(page.shown), address(page.in_code),
        address(page.breaks), address(page.tag), address(page.parent), address(page.opening),
    )  # fmt: skip
    inserted, bounds = address(inserts.data), address(inserts.bounds) if len(inserts.bounds) else 0
    origin = address(written)
    out, before = origin, -1
    for b in range(len(keep)):
        if not keep[b]:
            continue
        first, end = int(blocks.first_text[b]), int(blocks.end_text[b])
        start = out
        if before >= 0:
            out = _part(at, before, first, out)
        if items[b] != NO_ITEM:
            out = _write_mark(items[b], out)
        opened = out
        if byte_at(at.in_code + first):
            out = _write_code(at, first, end, out)
        else:
            out = _write_line(at, first, end, inserted, bounds, out)
        if out == opened:
            out = start
        else:
            before = end - 1
            spans[b, 0], spans[b, 1] = opened - origin, out - origin
    return written[: out - origin], spans


@compiled
def _write_mark(number: int, out: int) -> int:  # pragma: no cover - compiled
    """Write the mark of an item: its number, or `-` where it has none."""
    if number < 0:
        put_byte(out, 45)
        out += 1
    else:
        least = 1
        while number // least > 9:
            least *= 10
        while least > 0:
            put_byte(out, 48 + number // least % 10)
            out, least = out + 1, least // 10
        put_byte(out, 46)
        out += 1
    put_byte(out, _SPACE)
    return out + 1


@compiled
def _part(at: _At, before: int, after: int, out: int) -> int:  # pragma: no cover - compiled
    """Write what parts text `after` from text `before`; where what follows begins."""
    e = four_at(at.element + 4 * before)
    breaks_before, breaks_after = at.breaks + 16 * before, at.breaks + 16 * after
    rows = 0
    if e == four_at(at.element + 4 * after) and byte_at(at.tag + e) == _CODE:  # rows of code that `br` parts
        rows = four_at(breaks_after + 4 * _LINES) - four_at(breaks_before + 4 * _LINES)
    if rows == 0:
        apart = 0
        for column in range(_ROWS):
            apart += four_at(breaks_before + 4 * column) != four_at(breaks_after + 4 * column)
        if apart < 2:
            put_byte(out, _TAB if apart == 1 else _SPACE)
            return out + 1
        rows = apart - 1
    for _ in range(rows):
        put_byte(out, _NEWLINE)
        out += 1
    return out


@forced
def _character(place: int, end: int) -> tuple[int, int]:  # pragma: no cover - compiled
    """(value, length) of what stands at an address before `end`: a byte, an entity's byte, 32 for white
    space, 0xA0 for a no-break space. The parser writes `&amp;`, `&lt;`, `&gt;`, `&nbsp;`, no other entity."""
    c = byte_at(place)
    if c == 38 and place + 3 < end:
        second = byte_at(place + 1)
        if second == 110:
            return _NO_BREAK_SPACE, 6
        if second == 97:
            return 38, 5
        return (60, 4) if second == 108 else (62, 4)
    if c <= _SPACE:
        return _SPACE, 1
    if c == 0xC2 and place + 1 < end and (byte_at(place + 1) == 0x85 or byte_at(place + 1) == 0xA0):
        return _NO_BREAK_SPACE, 2
    if 0xE1 <= c <= 0xE3 and place + 2 < end:
        wide = (c << 16) | (byte_at(place + 1) << 8) | byte_at(place + 2)
        if (
            wide in (0xE19A80, 0xE280A8, 0xE280A9, 0xE280AF, 0xE2819F, 0xE38080)
            or 0xE28080 <= wide <= 0xE2808A
        ):
            return _SPACE, 3
    return c, 1


@compiled
def _write_line(
    at: _At, first: int, end: int, inserted: int, bounds: int, out: int
) -> int:  # pragma: no cover - compiled
    """Write the shown texts on one line; no-break spaces at the head of a row of code stay.

    `inserted` and `bounds` are the addresses of what `Inserts` holds; `bounds` is 0 where it holds nothing.
    """
    start = out
    code = _in_inline_code(at, four_at(at.element + 4 * first))
    space = newline = False
    link = 0
    for t in range(first, end):
        if bounds > 0 and _bound(bounds, 2 * t) < _bound(bounds, 2 * t + 1):
            if out > start:
                put_byte(out, _SPACE)
                out += 1
            out = _insert(inserted, bounds, 2 * t, out)
            code, space, newline = False, True, False
        if not byte_at(at.shown + t):
            continue
        place, stop = at.data + four_at(at.begin + 4 * t), at.data + four_at(at.end + 4 * t)
        link_here = four_at(at.link + 4 * t)
        if link_here != link:
            if link > 0 and link_here > 0 and not space and place < stop and out > start:
                space = (
                    _in_ascii_word(byte_at(out - 1))
                    and _in_ascii_word(byte_at(place))
                    and not _same_tag(at, four_at(at.opening + 4 * link), four_at(at.opening + 4 * link_here))
                )
            link = link_here
        while place < stop:
            value, length = _character(place, stop)
            if code and value == _NO_BREAK_SPACE and length > 1:
                put_byte(out, _SPACE)
                out += 1
                space = False
            elif value == _SPACE or (value == _NO_BREAK_SPACE and length > 1):
                space = True
                newline = newline or byte_at(place) == _NEWLINE or byte_at(place) == 13
            else:
                code = False
                if space and out > start:
                    joined = newline and _ends_ideographic(start, out)
                    if not (joined and _is_ideographic(place, stop)):
                        put_byte(out, _SPACE)
                        out += 1
                space = newline = False
                put_byte(out, value)
                out += 1
            place += length
        if bounds > 0:
            out = _insert(inserted, bounds, 2 * t + 1, out)
    while out > start and byte_at(out - 1) == _SPACE:
        out -= 1
    return out


@compiled
def _same_tag(at: _At, a: int, b: int) -> bool:  # pragma: no cover - compiled
    """Whether two tags, whose names begin at bytes a and b, are the same: editors cut up one link."""
    one, other = at.data + a, at.data + b
    quoted = False
    while other < at.stop and byte_at(one) == byte_at(other):
        quoted ^= byte_at(one) == 34
        if byte_at(one) == 62 and not quoted:
            return True
        one, other = one + 1, other + 1
    return False


@compiled
def _in_ascii_word(c: int) -> bool:  # pragma: no cover - compiled
    return 48 <= c <= 57 or 97 <= (c | 32) <= 122


@compiled
def _ends_ideographic(start: int, end: int) -> bool:  # pragma: no cover - compiled
    """Whether what was written, from `start` on, ends in an ideograph, kana or a full-width sign."""
    place = end - 1
    while place > start and byte_at(place) & 0xC0 == 0x80:
        place -= 1
    return _is_ideographic(place, end)


@compiled
def _is_ideographic(place: int, end: int) -> bool:  # pragma: no cover - compiled
    """Whether an ideograph, kana or a full-width sign stands at `place`; hangul parts its words by spaces."""
    if place + 2 >= end:
        return False
    c, second, third = byte_at(place), byte_at(place + 1), byte_at(place + 2)
    if c == 0xE3:  # U+3000 on; hangul letters are U+3131 to U+318E
        return not (
            (second == 0x84 and third >= 0xB1) or second == 0x85 or (second == 0x86 and third <= 0x8E)
        )
    if c == 0xF0:
        return 0xA0 <= second <= 0xBF  # planes 2 and 3
    return 0xE4 <= c <= 0xE9 or (c == 0xEF and (0xA4 <= second <= 0xAB or 0xBC <= second <= 0xBE))


@compiled
def _bound(bounds: int, number: int) -> int:  # pragma: no cover - compiled
    return int(eight_at(bounds + 8 * number))


@compiled
def _insert(inserted: int, bounds: int, number: int, out: int) -> int:  # pragma: no cover - compiled
    for i in range(_bound(bounds, number), _bound(bounds, number + 1)):
        put_byte(out, byte_at(inserted + i))
        out += 1
    return out


@compiled
def _write_code(at: _At, first: int, end: int, out: int) -> int:  # pragma: no cover - compiled
    """Write the shown texts with their white space, row by row, without blank rows at head and end."""
    start = out
    newlines, row = 0, -1
    for t in range(first, end):
        if not byte_at(at.shown + t):
            continue
        row_here = four_at(at.breaks + 16 * t + 4 * _ROWS)
        more = row_here - row - newlines
        if row >= 0 and more > 0:
            for _ in range(more):
                out = _end_row(start, out)
            newlines += more
        place, stop = at.data + four_at(at.begin + 4 * t), at.data + four_at(at.end + 4 * t)
        while place < stop:
            value, length = _character(place, stop)
            c = byte_at(place)
            if c == _NEWLINE:
                out = _end_row(start, out)
                newlines += 1
            elif c != 13:
                if value == _NO_BREAK_SPACE and length > 1:
                    value = _SPACE
                if c == _TAB:
                    value = _TAB
                if value == _SPACE and length == 3:  # a wide space stays as it is
                    for k in range(length):
                        put_byte(out + k, byte_at(place + k))
                    out += length
                else:
                    put_byte(out, value)
                    out += 1
                newlines, row = 0, row_here
            place += length
    while out > start and (
        byte_at(out - 1) == _SPACE or byte_at(out - 1) == _TAB or byte_at(out - 1) == _NEWLINE
    ):
        out -= 1
    return out


@compiled
def _end_row(start: int, out: int) -> int:  # pragma: no cover - compiled
    """Write a newline in place of the white space at the end of a row; none at the head of the block."""
    while out > start and (byte_at(out - 1) == _SPACE or byte_at(out - 1) == _TAB):
        out -= 1
    if out == start:
        return out
    put_byte(out, _NEWLINE)
    return out + 1


@compiled
def _in_inline_code(at: _At, e: int) -> bool:  # pragma: no cover - compiled
    while e > 0 and BREAKS[byte_at(at.tag + e)] == INLINE:
        if byte_at(at.tag + e) == _CODE:
            return True
        e = four_at(at.parent + 4 * e)
    return False
