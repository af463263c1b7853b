"""The elements and texts of a page as flat arrays, read from markup that a parser has written out.

A tree that is walked from Python costs a microsecond and more for each node. So the parser writes its tree
out again ("serialising HTML fragments", HTML Living Standard 13.3), and this kernel reads that in one pass:
in written-out markup every element that is not void is closed, every attribute stands as ` name="value"`,
and `<` stands for nothing but markup outside of attributes' values and raw text. Time and memory are linear.

In code (`pre`, and what is laid out as code by tables and lines of its own) no break parts the texts: code is
one block, and its rows are counted. Numbers of lines beside code are not shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.extraction.kernels.page_bytes import find_byte
from corpusmill.pipelines.extraction.tags import (
    BREAKS,
    CELL,
    CLASS_KEYS,
    CLASS_SLOTS,
    CLASS_VALUES,
    CODE,
    CODE_TABLE,
    FURNITURE,
    IS_HIDDEN,
    IS_RAW,
    IS_VOID,
    KEYS,
    LINE,
    LINE_BREAK,
    LINE_NUMBERS,
    NUMBERS,
    PARAGRAPH,
    SLOTS,
    VALUES,
)
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import address, byte_at, four_at

if TYPE_CHECKING:
    import numpy.typing as npt

_A, _BR, _PRE, _TEXTAREA, _TABLE = (NUMBERS[name] for name in ("a", "br", "pre", "textarea", "table"))
# What came last in code: a text, the beginning or end of a block, or `br`.
_TEXT, _OPENED, _CLOSED, _BROKEN = 0, 1, 2, 3
# How white space counts in code: all of it, or not between tags.
_AS_IS, _LAID_OUT = 1, 2
_LESS_THAN, _GREATER_THAN, _QUOTE = 60, 62, 34
# Names of attributes as numbers, the first letter highest, and pieces of words, the first letter lowest.
_CLASS, _ID, _STYLE, _HIDDEN, _ROLE, _ITEMPROP, _READONLY = (
    int.from_bytes(name, "big")
    for name in (b"class", b"id", b"style", b"hidden", b"role", b"itemprop", b"readonly")
)
_ARIA, _DASH_HID, _DDEN, _TRUE, _DISP, _PLAY, _NONE = (
    int.from_bytes(word, "little") for word in (b"aria", b"-hid", b"dden", b"true", b"disp", b"play", b"none")
)
# Bits of `Outline.marks`.
HIDDEN, ARIA_HIDDEN, NOT_DISPLAYED, HAS_ROLE, HAS_PROPERTY, READ_ONLY = 1, 2, 4, 8, 16, 32


class Outline(NamedTuple):
    """Elements in document order, 0 standing for the document, and the texts between tags, in theirs."""

    tag: npt.NDArray[np.uint8]
    """Numbers of `tags.NAMES`."""
    opening: npt.NDArray[np.int32]
    """Where the name in each element's tag begins; the document's is the end of the markup."""
    parent: npt.NDArray[np.int32]
    depth: npt.NDArray[np.int32]
    names: npt.NDArray[np.int32]
    """[m, 4]: where the values of `class` and `id` begin and end; equal where there is none."""
    marks: npt.NDArray[np.uint8]
    """Bits: `HIDDEN` (attribute), `ARIA_HIDDEN`, `NOT_DISPLAYED` (style), `HAS_ROLE`, `HAS_PROPERTY`
    (itemprop), `READ_ONLY` (attribute)."""
    first_text: npt.NDArray[np.int32]
    """The texts inside element e are `first_text[e]:end_text[e]`."""
    end_text: npt.NDArray[np.int32]
    begin: npt.NDArray[np.int32]
    """Bytes of each text."""
    end: npt.NDArray[np.int32]
    element: npt.NDArray[np.int32]
    """The element that a text stands in directly."""
    link: npt.NDArray[np.int32]
    """The `a` element around a text; 0 where there is none."""
    shown: npt.NDArray[np.bool_]
    """False inside of scripts, templates, lists of options and the like."""
    in_code: npt.NDArray[np.bool_]
    """Where white space counts."""
    breaks: npt.NDArray[np.int32]
    """[t, 4]: ends of cells, lines and paragraphs, and rows of code before each text, counted from the page's
    beginning."""


@compiled
def outline(data: npt.NDArray[np.uint8]) -> Outline:  # pragma: no cover - compiled
    """The outline of written-out markup, `data` uint8[n] of UTF-8."""
    n = len(data)
    at = address(data)  # places are addresses up to here, and offsets in what is returned
    stop = at + n
    most = 2
    for i in range(n):
        most += data[i] == _LESS_THAN
    tag, marks = np.zeros(most, np.uint8), np.zeros(most, np.uint8)
    opening, parent, depth = np.zeros(most, np.int32), np.zeros(most, np.int32), np.zeros(most, np.int32)
    opening[0] = n
    names = np.zeros((most, 4), np.int32)
    first_text, end_text = np.zeros(most, np.int32), np.zeros(most, np.int32)
    begin, end = np.zeros(most, np.int32), np.zeros(most, np.int32)
    element, link = np.zeros(most, np.int32), np.zeros(most, np.int32)
    shown, in_code = np.zeros(most, np.bool_), np.zeros(most, np.bool_)
    breaks = np.zeros((most, 4), np.int32)
    # Of the elements that are open.
    hidden, code, link_of = np.zeros(most, np.bool_), np.zeros(most, np.uint8), np.zeros(most, np.int32)
    numbered = np.zeros(most, np.int32)  # elements of line numbers
    cells = lines = paragraphs = rows = 0  # counted from the page's beginning
    elements, texts, top, lists, last = 1, 0, 0, 0, _TEXT
    place = at
    while place < stop:
        if byte_at(place) != _LESS_THAN:  # a text up to the next tag
            begin[texts] = place - at
            after = find_byte(place, stop, _LESS_THAN)
            while place < after and byte_at(place) <= 32:
                place += 1
            blank = place == after
            place = after
            if code[top] and not blank:
                rows += last == _CLOSED
                last = _TEXT
            end[texts] = place - at
            element[texts], link[texts], in_code[texts] = top, link_of[top], code[top] > 0
            shown[texts] = not hidden[top] and not (blank and code[top] == _LAID_OUT)
            breaks[texts, 0], breaks[texts, 1], breaks[texts, 2] = cells, lines, paragraphs
            breaks[texts, 3] = rows
            texts += 1
            continue
        mark = byte_at(place + 1) if place + 1 < stop else _GREATER_THAN
        if mark == 33 or mark == 63:  # <! or <?
            place = _after_comment(place, stop)
            continue
        if mark == 47:  # </
            place = find_byte(place, stop, _GREATER_THAN) + 1
            if top > 0:
                end_text[top] = texts
                kind = BREAKS[tag[top]]
                top = parent[top]
                if not code[top]:
                    cells += kind >= CELL
                    lines += kind >= LINE
                    paragraphs += kind >= PARAGRAPH
                elif kind >= LINE and last != _BROKEN:
                    last = _CLOSED
            continue
        opened = place + 1
        place, number = _name(opened, stop)
        e = elements
        elements += 1
        tag[e], opening[e], parent[e], depth[e] = number, opened - at, top, depth[top] + 1
        first_text[e] = end_text[e] = texts
        use = 0
        if place < stop and byte_at(place) == 32:
            place, marks[e], of_class, end_of_class, of_id, end_of_id = _attributes(place, stop)
            if of_class > 0:
                names[e, 0], names[e, 1] = of_class - at, end_of_class - at
                use = _use(of_class, end_of_class)
            if of_id > 0:
                names[e, 2], names[e, 3] = of_id - at, end_of_id - at
        place += 1
        kind = BREAKS[number]
        empty = place + 1 < stop and byte_at(place) == _LESS_THAN and byte_at(place + 1) == 47
        breaks_line = number == _BR or (use == LINE_BREAK and empty)
        if not code[top]:
            broken = max(LINE, kind) if breaks_line else kind
            cells += broken >= CELL
            lines += broken >= LINE
            paragraphs += broken >= PARAGRAPH
            last = _OPENED
        elif breaks_line:
            rows += 1
            last = _BROKEN
        elif kind >= LINE:
            rows += last in (_CLOSED, _TEXT)
            last = _OPENED
        link_of[e] = e if number == _A else link_of[top]
        code[e] = code[top]
        if number == _PRE or (number == _TEXTAREA and marks[e] & READ_ONLY):
            code[e] = _AS_IS
        elif code[top] == 0 and (use == CODE or (use == CODE_TABLE and number == _TABLE)):
            code[e] = _LAID_OUT
        hidden[e] = hidden[top] or IS_HIDDEN[number] or use == FURNITURE
        hidden[e] = hidden[e] or (number == _TEXTAREA and not marks[e] & READ_ONLY)
        if use == LINE_NUMBERS and not IS_VOID[number]:
            numbered[lists] = e
            lists += 1
        if IS_RAW[number]:
            start = place
            place = _end_of_raw(place, stop, opened)
            if place > start:
                begin[texts], end[texts], element[texts] = start - at, place - at, e
                texts += 1
            end_text[e] = texts
            place = find_byte(place, stop, _GREATER_THAN) + 1
        elif not IS_VOID[number]:
            top = e
    while top > 0:  # none is open in written-out markup
        end_text[top] = texts
        top = parent[top]
    end_text[0] = texts
    if lists:
        _hide_numbers(data, numbered[:lists], first_text, end_text, begin, end, shown)
    return Outline(
        tag[:elements], opening[:elements], parent[:elements], depth[:elements], names[:elements],
        marks[:elements], first_text[:elements], end_text[:elements], begin[:texts], end[:texts],
        element[:texts], link[:texts], shown[:texts], in_code[:texts], breaks[:texts],
    )  # fmt: skip


@compiled
def _use(place: int, end: int) -> int:  # pragma: no cover - compiled
    """What the words of `class`, from `place` to `end`, say that an element is for; 0 for nothing known."""
    use = 0
    word, length = 2166136261, 0
    while place <= end:
        c = byte_at(place) if place < end else 32
        if c > 32:
            word = ((word ^ (c | 32 if 65 <= c <= 90 else c)) * 16777619) & 0xFFFFFFFF
            length += 1
        elif length > 0:
            if CLASS_KEYS[word % CLASS_SLOTS] == word:
                use = max(use, int(CLASS_VALUES[word % CLASS_SLOTS]))
            word, length = 2166136261, 0
        place += 1
    return use


@compiled
def _hide_numbers(
    data: npt.NDArray[np.uint8],
    elements: npt.NDArray[np.int32],
    first_text: npt.NDArray[np.int32],
    end_text: npt.NDArray[np.int32],
    begin: npt.NDArray[np.int32],
    end: npt.NDArray[np.int32],
    shown: npt.NDArray[np.bool_],
) -> None:  # pragma: no cover - compiled
    """Texts in elements of line numbers are not shown where these hold digits and white space alone."""
    done = 0  # texts before this one lie in an element that has been looked at
    for e in elements:
        if first_text[e] < done:
            continue
        done = end_text[e]
        only_digits = True
        for t in range(first_text[e], end_text[e]):
            for i in range(begin[t], end[t]):
                only_digits = only_digits and (data[i] <= 32 or 48 <= data[i] <= 57)
        if only_digits:
            for t in range(first_text[e], end_text[e]):
                shown[t] = False


@compiled
def _after_comment(place: int, stop: int) -> int:  # pragma: no cover - compiled
    """Where the comment or declaration that begins at `place` has ended."""
    if place + 3 < stop and byte_at(place + 1) == 33 and byte_at(place + 2) == byte_at(place + 3) == 45:
        end = find_byte(place + 6, stop, _GREATER_THAN)  # the shortest is <!---->
        while end < stop and not byte_at(end - 1) == byte_at(end - 2) == 45:
            end = find_byte(end + 1, stop, _GREATER_THAN)
        return end + 1
    return find_byte(place, stop, _GREATER_THAN) + 1


@compiled
def _name(place: int, stop: int) -> tuple[int, int]:  # pragma: no cover - compiled
    """(end, number) of the element's name that begins at `place`."""
    value = 2166136261
    while place < stop and byte_at(place) != 32 and byte_at(place) != _GREATER_THAN:
        value = ((value ^ byte_at(place)) * 16777619) & 0xFFFFFFFF
        place += 1
    slot = value % SLOTS
    return place, int(VALUES[slot]) if KEYS[slot] == value else 0


@compiled
def _attributes(place: int, stop: int) -> tuple[int, int, int, int, int, int]:  # pragma: no cover - compiled
    """(end, marks, begin of `class`, its end, begin of `id`, its end) of the tag whose name ends at `place`.

    `end` is that of the tag; a begin is 0 where there is none. Of equal attributes the last one counts.
    """
    marks = of_class = end_of_class = of_id = end_of_id = 0
    while place < stop and byte_at(place) == 32:
        begin = place + 1
        place += 2  # a name may begin with =
        while place + 1 < stop and not (byte_at(place) == 61 and byte_at(place + 1) == _QUOTE):
            place += 1
        length = place - begin
        value = place + 2
        place = find_byte(value, stop, _QUOTE)
        name = 0
        if length <= 8:
            for k in range(length):
                name = (name << 8) | byte_at(begin + k)
            if name == _CLASS:
                of_class, end_of_class = value, place
            elif name == _ID:
                of_id, end_of_id = value, place
            elif name == _STYLE:
                if _not_displayed(value, place):
                    marks |= NOT_DISPLAYED
            elif name == _HIDDEN:
                marks |= HIDDEN
            elif name == _ROLE:
                marks |= HAS_ROLE
            elif name == _ITEMPROP:
                marks |= HAS_PROPERTY
            elif name == _READONLY:
                marks |= READ_ONLY
        elif length == 11 and place - value == 4 and four_at(value) == _TRUE:
            aria = four_at(begin) == _ARIA and four_at(begin + 4) == _DASH_HID
            if aria and four_at(begin + 7) == _DDEN:
                marks |= ARIA_HIDDEN
        place += 1
    return place, marks, of_class, end_of_class, of_id, end_of_id


@compiled
def _not_displayed(place: int, end: int) -> bool:  # pragma: no cover - compiled
    """Whether a style holds `display: none`."""
    while place < end - 11:
        if byte_at(place) == 100 and four_at(place) == _DISP and four_at(place + 3) == _PLAY:
            place += 7
            while place < end and (byte_at(place) == 58 or byte_at(place) == 32):
                place += 1
            if place + 4 <= end and four_at(place) == _NONE:
                return True
        place += 1
    return False


@compiled
def _end_of_raw(place: int, stop: int, opened: int) -> int:  # pragma: no cover - compiled
    """Where the end tag of the raw text element whose name begins at `opened` begins; texts start at
    `place`."""
    length = 0
    while byte_at(opened + length) != 32 and byte_at(opened + length) != _GREATER_THAN:
        length += 1
    place = find_byte(place, stop, _LESS_THAN)
    while place < stop:
        if place + 1 + length < stop and byte_at(place + 1) == 47:
            same = True
            for k in range(length):
                same = same and (byte_at(place + 2 + k) | 32) == (byte_at(opened + k) | 32)
            if same:
                return place
        place = find_byte(place + 1, stop, _LESS_THAN)
    return place
