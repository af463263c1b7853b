"""What the pre-tokenizing kernels know of characters: classes, and runs of them, in UTF-8.

`classes` is uint8[256 + 0x110000]: the class of every first byte of a character (`NON_ASCII` from 0x80 on:
decode first), then that of every code point. A class is one bit, or none for control, format, private and
unassigned code points; so a set of classes is a mask. A text touches only the pages of its own scripts.

Places, and `classes`, are addresses (`text.kernels.memory`). Every scan stops at `end`, whatever stands
there. Bytes that are no UTF-8 are characters without a class, one a byte.
"""

from __future__ import annotations

import numpy as np

from corpusmill.pipelines.text.compiled import forced, integer
from corpusmill.pipelines.text.kernels.decode import character_at
from corpusmill.pipelines.text.kernels.memory import byte_at, eight_at, trailing_zeros

UPPER = 1  # Lu, Lt
LOWER = 2  # Ll
CASELESS = 4  # Lm, Lo
MARK = 8  # M
NUMBER = 16  # N
SYMBOL = 32  # P, S
SPACE = 64  # White_Space
NON_ASCII = 128  # a byte only

LETTER = UPPER | LOWER | CASELESS
BYTES = 256  # where the code points begin in `classes`

# For eight bytes at once.
NOTHING, HIGH_BITS, HEPTETS = (
    np.uint64(0),
    np.uint64(0x80 * 0x0101010101010101),
    np.uint64(0x7F * 0x0101010101010101),
)
CASE, BLANKS = np.uint64(0x20 * 0x0101010101010101), np.uint64(0x20 * 0x0101010101010101)
FROM_A, PAST_Z = np.uint64(0x1F * 0x0101010101010101), np.uint64(0x05 * 0x0101010101010101)

LF, CR, BLANK, APOSTROPHE, SLASH = 0x0A, 0x0D, 0x20, 0x27, 0x2F


@forced
def character(classes: int, at: int, end: int) -> tuple[int, int]:
    """Class of the character at `at` and where it ends."""
    kind = byte_at(classes + byte_at(at))
    if kind != NON_ASCII:
        return kind, at + 1
    code, after = character_at(at, end)
    return (byte_at(classes + BYTES + code) if code >= 0 else integer(0)), after


@forced
def ascii_run(at: int, end: int, any_case: bool) -> int:
    """Where the run of a-z at `at`, in `any_case` also of A-Z, ends; eight bytes a step.

    Both sums set the high bit of a byte: `from_a` if it is 0x61 or more, `past_z` if it is 0x7B or more.
    """
    while at + 8 <= end:
        eight = eight_at(at)
        heptets = ((eight | CASE) if any_case else eight) & HEPTETS
        from_a = heptets + FROM_A
        past_z = heptets + PAST_Z
        others = (~from_a | past_z | eight) & HIGH_BITS
        if others != NOTHING:
            return at + (trailing_zeros(others) >> 3)
        at += 8
    while at < end:
        byte = byte_at(at)
        letter = (byte | 0x20) if any_case else byte
        if byte >= 0x80 or letter < 0x61 or letter > 0x7A:
            break
        at += 1
    return at


@forced
def letters(classes: int, at: int, end: int, mask: int) -> int:
    """As `run`, quicker on ASCII letters: `mask` has all of them or the small ones, else nothing of ASCII."""
    any_case = mask & UPPER != 0
    while at < end:
        if byte_at(at) < 0x80:
            stop = ascii_run(at, end, any_case)
            if stop == at:
                break
            at = stop
        else:
            kind, after = character(classes, at, end)
            if not kind & mask:
                break
            at = after
    return at


@forced
def run(classes: int, at: int, end: int, mask: int) -> int:
    """Where the run of characters of the classes in `mask` at `at` ends; `at` if there is none."""
    while at < end:
        kind, after = character(classes, at, end)
        if not kind & mask:
            break
        at = after
    return at


@forced
def run_without(classes: int, at: int, end: int, mask: int) -> int:
    """As `run`, of the characters of no class in `mask`."""
    while at < end:
        kind, after = character(classes, at, end)
        if kind & mask:
            break
        at = after
    return at


@forced
def digits(classes: int, at: int, end: int, longest: int) -> int:
    """Where the run of at most `longest` characters of class N at `at` ends."""
    while at < end and longest > 0:
        kind, after = character(classes, at, end)
        if not kind & NUMBER:
            break
        at = after
        longest -= 1
    return at


@forced
def line_breaks(at: int, end: int) -> int:
    """Where the run of CR and LF at `at` ends."""
    while at < end and (byte_at(at) == LF or byte_at(at) == CR):
        at += 1
    return at


@forced
def white_space(classes: int, at: int, end: int, breaks: bool) -> tuple[int, int, int]:
    """The run of white space at `at`: its end, its last character's beginning, the end of its last CR or LF.

    The last is -1 if there is none, and always with `breaks` False.
    """
    last, after_break = at, integer(-1)
    while at < end:
        while at + 8 <= end:  # indentation
            others = eight_at(at) ^ BLANKS
            blanks = trailing_zeros(others) >> 3
            at += blanks
            last = at - 1 if blanks else last
            if blanks < 8:
                break
        if at == end:
            break
        kind, after = character(classes, at, end)
        if not kind & SPACE:
            break
        if breaks and (byte_at(at) == LF or byte_at(at) == CR):
            after_break = after
        last = at
        at = after
    return at, last, after_break


@forced
def contraction(at: int, end: int, any_case: bool) -> int:
    """Where one of 's 't 'm 'd 'll 've 're at `at` ends; `at` if there is none.

    In any case, s may also be U+017F (long s), which folds to it.
    """
    if at + 1 >= end or byte_at(at) != APOSTROPHE:
        return at
    first = byte_at(at + 1)
    if any_case:
        if first == 0xC5 and at + 2 < end and byte_at(at + 2) == 0xBF:
            return at + 3
        if first < 0x80:
            first |= 0x20
    if first == 0x73 or first == 0x74 or first == 0x6D or first == 0x64:  # s t m d
        return at + 2
    if at + 2 >= end:
        return at
    second = byte_at(at + 2)
    if any_case and second < 0x80:
        second |= 0x20
    if first == 0x6C and second == 0x6C:  # ll
        return at + 3
    if (first == 0x76 or first == 0x72) and second == 0x65:  # ve, re
        return at + 3
    return at
