"""Plain-Python words: what `text.kernels.words` says it does, over `str`, one rule after another."""

from __future__ import annotations

import re

from corpusmill.pipelines.text import characters as ch
from tests.oracles.unicode import is_letter

TABLE = ch.character_table()


def with_line_feeds(text: str) -> str:
    """As every rule measures a text: one line feed for each LF, CR LF, CR, NEL, U+2028 and U+2029."""
    return re.sub("\r\n|[\r\x85\u2028\u2029]", "\n", text)


def bits(character: str) -> int:
    return int(TABLE[ord(character)])


def kind(character: str) -> int:
    return bits(character) & ch.WORD_CLASS


def is_digit(character: str) -> bool:
    return "0" <= character <= "9"


def opening(run: str) -> str:
    """The mark that comes off the front of `run`, or an empty string."""
    if re.fullmatch("['’][sS]", run):
        return ""
    if bits(run[0]) & ch.OPENS:
        return run[0]
    if dots := re.match(r"\.{2,}", run):
        return dots.group()
    if run[0] == "+" and not (len(run) > 1 and is_digit(run[1])):
        return "+"
    return ""


def closing(run: str) -> str:
    """The mark that comes off the back of `run`, or an empty string."""
    last = run[-1]
    if bits(last) & ch.CLOSES:
        return last
    if len(run) < 2:
        return ""
    before = run[-2]
    if dots := re.search(r"\.{2,}\Z", run):
        return dots.group()
    if last == ".":
        two_capitals = len(run) > 2 and bits(before) & ch.UPPER and bits(run[-3]) & ch.UPPER
        soft = bits(before) & (ch.LOWER | ch.CLOSES) or is_digit(before) or before in "%+-²"
        return "." if soft or two_capitals else ""
    if is_digit(before) and (last == "+" or bits(last) & ch.OPENS):
        return last
    if last in "sS" and before in "'’":
        return run[-2:]
    return ""


def inner(inside: str, at: int) -> str:
    """The mark at `at` of `inside` that cuts it there, or an empty string."""
    c = inside[at]
    before = inside[at - 1] if at else ""
    if ord(c) >= 0x80 and bits(c) & (ch.OPENS | ch.CLOSES) and c not in "–—‘’":
        return c
    after = inside[at + 1 : at + 2]
    if not after:
        return ""
    alpha_before, alpha_after = is_letter(before), is_letter(after)
    if c == ".":
        if after == ".":
            return re.compile(r"\.+").match(inside, at).group()  # type: ignore[union-attr]
        lower_upper = before and bits(before) & ch.LOWER and bits(after) & ch.UPPER
        return "." if lower_upper else ""
    if c in "+-*^" and before and is_digit(before) and (is_digit(after) or after == "-"):
        return c
    if c in "-–—~":
        stop = at
        while stop < len(inside) and inside[stop] == c:
            stop += 1
        return inside[at:stop] if alpha_before and is_letter(inside[stop : stop + 1]) else ""
    if c in ":<>=/":
        return c if (alpha_before or (before and is_digit(before))) and alpha_after else ""
    return c if c == "," and alpha_before and alpha_after else ""


def split_inside(inside: str) -> list[str]:
    words: list[str] = []
    start = 0
    while start < len(inside):
        mark = "" if kind(inside[start]) in (ch.LETTER, ch.SINGLE) else inner(inside, start)
        if mark:
            words.append(mark)
            start += len(mark)
            continue
        first = kind(inside[start])
        stop = start + 1
        while stop < len(inside):
            k = kind(inside[stop])
            if k != ch.EXTEND:
                if ch.SINGLE in (first, k):
                    break
                if k in (ch.LETTER, ch.KATAKANA):
                    if (first == ch.KATAKANA) != (k == ch.KATAKANA):
                        break
                elif inside.startswith("://", stop):
                    while stop < len(inside) and ord(inside[stop]) < 0x80:
                        stop += 1
                    break
                elif inner(inside, stop):
                    break
            stop += 1
        words.append(inside[start:stop])
        start = stop
    return words


def split_words(text: str) -> list[str]:
    words: list[str] = []
    for run in text.split():
        while run and (mark := opening(run)):
            words.append(mark)
            run = run[len(mark) :]
        closed: list[str] = []
        while run and (mark := closing(run)):
            closed.append(mark)
            run = run[: -len(mark)]
        words += split_inside(run)
        words += closed[::-1]
    return words
