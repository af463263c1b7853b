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

from corpusmill.pipelines.extraction.tags import (
    BREAKS,
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
    LINE_NUMBERS,
    NUMBERS,
    SLOTS,
    VALUES,
)
from corpusmill.pipelines.text.compiled import compiled, integer

if TYPE_CHECKING:
    import numpy.typing as npt

_A, _BR, _PRE, _TEXTAREA, _TABLE = (NUMBERS[name] for name in ("a", "br", "pre", "textarea", "table"))
# What came last in code: a text, the beginning or end of a block, or `br`.
_TEXT, _OPENED, _CLOSED, _BROKEN = 0, 1, 2, 3
# How white space counts in code: all of it, or not between tags.
_AS_IS, _LAID_OUT = 1, 2
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
    most = 2
    for i in range(n):
        most += data[i] == 60
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
    count = np.zeros(4, np.int32)
    elements, texts, top, lists, last = 1, 0, 0, 0, _TEXT
    i = 0
    while i < n:
        if data[i] != 60:  # a text up to the next tag
            begin[texts] = i
            blank = True
            while i < n and data[i] != 60:
                blank = blank and data[i] <= 32
                i += 1
            if code[top] and not blank:
                count[3] += last == _CLOSED
                last = _TEXT
            end[texts] = i
            element[texts], link[texts], in_code[texts] = top, link_of[top], code[top] > 0
            shown[texts] = not hidden[top] and not (blank and code[top] == _LAID_OUT)
            breaks[texts] = count
            texts += 1
            continue
        mark = data[i + 1] if i + 1 < n else 62
        if mark == 33 or mark == 63:  # <! or <?
            i = _after_comment(data, i)
            continue
        if mark == 47:  # </
            while i < n and data[i] != 62:
                i += 1
            i += 1
            if top > 0:
                end_text[top] = texts
                kind = BREAKS[tag[top]]
                top = parent[top]
                if not code[top]:
                    _count_break(count, kind)
                elif kind >= LINE and last != _BROKEN:
                    last = _CLOSED
            continue
        opened = i + 1
        i, number = _name(data, opened)
        e = elements
        elements += 1
        tag[e], opening[e], parent[e], depth[e] = number, opened, top, depth[top] + 1
        first_text[e] = end_text[e] = texts
        i = _attributes(data, i, names[e], marks, e) + 1
        kind = BREAKS[number]
        use = _use(data, names[e, 0], names[e, 1])
        if not code[top]:
            _count_break(count, LINE if number == _BR else kind)
            last = _OPENED
        elif number == _BR:
            count[3] += 1
            last = _BROKEN
        elif kind >= LINE:
            count[3] += last in (_CLOSED, _TEXT)
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
            start = i
            i = _end_of_raw(data, i, opened)
            if i > start:
                begin[texts], end[texts], element[texts] = start, i, e
                texts += 1
            end_text[e] = texts
            while i < n and data[i] != 62:
                i += 1
            i += 1
        elif not IS_VOID[number]:
            top = e
    while top > 0:  # none is open in written-out markup
        end_text[top] = texts
        top = parent[top]
    end_text[0] = texts
    _hide_numbers(data, numbered[:lists], first_text, end_text, begin, end, shown)
    return Outline(
        tag[:elements], opening[:elements], parent[:elements], depth[:elements], names[:elements],
        marks[:elements], first_text[:elements], end_text[:elements], begin[:texts], end[:texts],
        element[:texts], link[:texts], shown[:texts], in_code[:texts], breaks[:texts],
    )  # fmt: skip


@compiled
def _use(data: npt.NDArray[np.uint8], begin: int, end: int) -> int:  # pragma: no cover - compiled
    """What the words of `class`, bytes `begin` to `end`, say that an element is for; 0 for nothing known."""
    use = 0
    word, length = 2166136261, 0
    for i in range(begin, end + 1):
        if i < end and data[i] > 32:
            c = integer(data[i])
            word = ((word ^ (c | 32 if 65 <= c <= 90 else c)) * 16777619) & 0xFFFFFFFF
            length += 1
        elif length > 0:
            if CLASS_KEYS[word % CLASS_SLOTS] == word:
                use = max(use, CLASS_VALUES[word % CLASS_SLOTS])
            word, length = 2166136261, 0
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
def _count_break(count: npt.NDArray[np.int32], kind: int) -> None:  # pragma: no cover - compiled
    """A paragraph's end ends its line, and a line's its cell."""
    for k in range(kind):
        count[k] += 1


@compiled
def _after_comment(data: npt.NDArray[np.uint8], i: int) -> int:  # pragma: no cover - compiled
    """Where the comment or declaration that begins at i has ended."""
    n = len(data)
    if i + 3 < n and data[i + 1] == 33 and data[i + 2] == 45 and data[i + 3] == 45:
        i += 6  # the shortest is <!---->
        while i < n and not (data[i] == 62 and data[i - 1] == 45 and data[i - 2] == 45):
            i += 1
        return i + 1
    while i < n and data[i] != 62:
        i += 1
    return i + 1


@compiled
def _name(data: npt.NDArray[np.uint8], i: int) -> tuple[int, int]:  # pragma: no cover - compiled
    """(end, number) of the element's name that begins at i."""
    value = 2166136261
    while i < len(data) and data[i] != 32 and data[i] != 62:
        value = ((value ^ integer(data[i])) * 16777619) & 0xFFFFFFFF
        i += 1
    slot = value % SLOTS
    return i, int(VALUES[slot]) if KEYS[slot] == value else 0


@compiled
def _is(
    data: npt.NDArray[np.uint8], begin: int, end: int, word: bytes
) -> bool:  # pragma: no cover - compiled
    if end - begin != len(word):
        return False
    same = True
    for k in range(len(word)):
        same = same and data[begin + k] == word[k]
    return same


@compiled
def _attributes(
    data: npt.NDArray[np.uint8], i: int, names: npt.NDArray[np.int32], marks: npt.NDArray[np.uint8], e: int
) -> int:  # pragma: no cover - compiled
    """The end of the tag whose name ends at i; notes what its attributes say in `names` and `marks[e]`."""
    n = len(data)
    while i < n and data[i] == 32:
        begin = i + 1
        i += 2  # a name may begin with =
        while i + 1 < n and not (data[i] == 61 and data[i + 1] == 34):
            i += 1
        end = i
        value = i + 2
        i = value
        while i < n and data[i] != 34:
            i += 1
        if _is(data, begin, end, b"class"):
            names[0], names[1] = value, i
        elif _is(data, begin, end, b"id"):
            names[2], names[3] = value, i
        elif _is(data, begin, end, b"style"):
            if _not_displayed(data, value, i):
                marks[e] |= NOT_DISPLAYED
        elif _is(data, begin, end, b"hidden"):
            marks[e] |= HIDDEN
        elif _is(data, begin, end, b"aria-hidden"):
            if _is(data, value, i, b"true"):
                marks[e] |= ARIA_HIDDEN
        elif _is(data, begin, end, b"role"):
            marks[e] |= HAS_ROLE
        elif _is(data, begin, end, b"itemprop"):
            marks[e] |= HAS_PROPERTY
        elif _is(data, begin, end, b"readonly"):
            marks[e] |= READ_ONLY
        i += 1
    return i


@compiled
def _not_displayed(data: npt.NDArray[np.uint8], begin: int, end: int) -> bool:  # pragma: no cover - compiled
    """Whether a style holds `display: none`."""
    for k in range(begin, end - 11):
        if _is(data, k, k + 7, b"display"):
            k += 7
            while k < end and (data[k] == 58 or data[k] == 32):
                k += 1
            if k + 4 <= end and _is(data, k, k + 4, b"none"):
                return True
    return False


@compiled
def _end_of_raw(data: npt.NDArray[np.uint8], i: int, opened: int) -> int:  # pragma: no cover - compiled
    """Where the end tag of the raw text element whose name begins at `opened` begins; texts start at i."""
    n = len(data)
    length = 0
    while data[opened + length] != 32 and data[opened + length] != 62:
        length += 1
    while i < n:
        if data[i] == 60 and i + 1 + length < n and data[i + 1] == 47:
            same = True
            for k in range(length):
                same = same and (data[i + 2 + k] | 32) == (data[opened + k] | 32)
            if same:
                return i
        i += 1
    return n
