"""Where marks come off a run of characters without white space, and where one cuts it: the rules of `words`.

Places are addresses (see `memory`), `table` is that of `characters.character_table`.
"""

from __future__ import annotations

from corpusmill.pipelines.text import characters as ch
from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.decode import before, code_at
from corpusmill.pipelines.text.kernels.memory import byte_at, two_at

EXTEND, KATAKANA, LETTER, SINGLE, WORD_CLASS = ch.EXTEND, ch.KATAKANA, ch.LETTER, ch.SINGLE, ch.WORD_CLASS
ALPHABETIC, OPENS, CLOSES, LOWER, UPPER = ch.ALPHABETIC, ch.OPENS, ch.CLOSES, ch.LOWER, ch.UPPER


@forced
def properties(table: int, code: int) -> int:
    """The properties of a code point."""
    return two_at(table + 2 * code)


@compiled
def dots(at: int, end: int) -> int:
    """How many full stops stand at `at`."""
    stop = at
    while stop < end and byte_at(stop) == 0x2E:
        stop += 1
    return stop - at


@compiled
def opening(table: int, at: int, end: int) -> int:
    """Bytes of the mark that comes off the front of a run, 0 for none. An apostrophe stays with the `s` that
    is all behind it."""
    code, follow = code_at(at, end)
    if (code == 0x27 or code == 0x2019) and follow + 1 == end and (byte_at(follow) | 0x20) == 0x73:
        return 0
    if properties(table, code) & OPENS:
        return follow - at
    if code == 0x2E:
        many = dots(at, end)
        return many if many > 1 else 0
    if code == 0x2B:
        return 0 if follow < end and 0x30 <= byte_at(follow) <= 0x39 else 1
    return 0


@compiled
def without_closing(table: int, start: int, end: int) -> int:
    """Where a run ends without the marks that come off its back."""
    while end > start:
        at = before(end, start)
        code, _ = code_at(at, end)
        bits = properties(table, code)
        if bits & CLOSES:
            end = at
            continue
        if at == start:
            break
        left = before(at, start)
        previous, _ = code_at(left, at)
        if code == 0x2E:
            if previous == 0x2E:
                end = left
                while end > start and byte_at(end - 1) == 0x2E:
                    end -= 1
                continue
            kind = properties(table, previous)
            if not (
                kind & (LOWER | CLOSES) or 0x30 <= previous <= 0x39 or previous in (0x25, 0x2B, 0x2D, 0xB2)
            ):
                if not kind & UPPER or left == start:
                    break
                second, _ = code_at(before(left, start), left)
                if not properties(table, second) & UPPER:
                    break
            end = at
        elif 0x30 <= previous <= 0x39 and (code == 0x2B or bits & OPENS):
            end = at
        elif (code == 0x73 or code == 0x53) and (previous == 0x27 or previous == 0x2019):
            end = left
        else:
            break
    return end


@compiled
def closing(at: int, end: int) -> int:
    """Bytes of the first of the marks that came off the back."""
    code, follow = code_at(at, end)
    if code == 0x2E:
        return dots(at, end)
    if (code == 0x27 or code == 0x2019) and follow < end and (byte_at(follow) | 0x20) == 0x73:
        return follow + 1 - at
    return follow - at


@compiled
def inner(table: int, previous: int, at: int, end: int) -> int:
    """Bytes of the mark at `at` that cuts a word whose character before it is `previous`, 0 for none."""
    code, follow = code_at(at, end)
    bits = properties(table, code)
    if code >= 0x80 and bits & (OPENS | CLOSES) and code not in (0x2013, 0x2014, 0x2018, 0x2019):
        return follow - at
    if follow >= end:
        return 0
    after, _ = code_at(follow, end)
    left, right = properties(table, previous), properties(table, after)
    digits = 0x30 <= previous <= 0x39
    if code == 0x2E:
        if after == 0x2E:
            return dots(at, end)
        return 1 if left & LOWER and right & UPPER else 0
    if code in (0x2B, 0x2D, 0x2A, 0x5E) and digits and (0x30 <= after <= 0x39 or after == 0x2D):
        return 1
    if code in (0x2D, 0x2013, 0x2014, 0x7E):
        stop = follow
        while stop < end:
            other, further = code_at(stop, end)
            if other != code:
                break
            stop = further
        if not left & ALPHABETIC or stop >= end:
            return 0
        after, _ = code_at(stop, end)
        return stop - at if properties(table, after) & ALPHABETIC else 0
    if code in (0x3A, 0x3C, 0x3E, 0x3D, 0x2F):
        return 1 if (left & ALPHABETIC or digits) and right & ALPHABETIC else 0
    if code == 0x2C:
        return 1 if left & ALPHABETIC and right & ALPHABETIC else 0
    return 0


@compiled
def word_end(table: int, previous: int, at: int, end: int) -> int:
    """Where the token at `at` of the inside of a run ends; `previous` is the character before it or 0."""
    code, stop = code_at(at, end)
    kind = properties(table, code) & WORD_CLASS
    if kind != LETTER and kind != SINGLE:
        mark = inner(table, previous, at, end)
        if mark:
            return at + mark
    single = kind == SINGLE
    katakana = kind == KATAKANA
    while stop < end:
        byte = byte_at(stop)
        if byte < 0x80 and not single and not katakana and properties(table, byte) & WORD_CLASS >= LETTER:
            code = byte
            stop += 1
            continue
        following, follow = code_at(stop, end)
        kind = properties(table, following) & WORD_CLASS
        if kind != EXTEND:
            if single or kind == SINGLE:
                break
            if kind in (LETTER, KATAKANA):
                if katakana != (kind == KATAKANA):
                    break
            elif (
                following == 0x3A
                and stop + 2 < end
                and byte_at(stop + 1) == 0x2F
                and byte_at(stop + 2) == 0x2F
            ):
                while stop < end and byte_at(stop) < 0x80:
                    stop += 1
                break
            elif inner(table, code, stop, end):
                break
        code = following
        stop = follow
    return stop
