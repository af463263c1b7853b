"""The C4 rules, line by line: which lines stay, and what speaks against the whole document."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels.phrases import Phrases, groups_in
from corpusmill.pipelines.text import characters as ch
from corpusmill.pipelines.text.compiled import compiled, forced
from corpusmill.pipelines.text.kernels.decode import before, code_at
from corpusmill.pipelines.text.kernels.lines import (
    BREAKS,
    next_line,
    past_white_space,
    without_white_space,
)
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at, trailing_zeros
from corpusmill.pipelines.text.kernels.word_marks import properties
from corpusmill.pipelines.text.kernels.words import NOT_SYMBOL, Found, fill_words, new_place, room_for
from corpusmill.pipelines.text.views import Lines, Texts, Words

NUMERIC, TERMINAL, WHITE_SPACE, WORD_CLASS = ch.NUMERIC, ch.TERMINAL, ch.WHITE_SPACE, ch.WORD_CLASS

KEEP, LOREM_IPSUM, CURLY_BRACKET = range(3)
EDIT, NEEDED = tuple(b"[edit]"), tuple(b"[citation needed]")
# Groups of phrases, as bits.
LOREM, SCRIPT, POLICY = 1, 2, 4

_LOW, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_BRACKETS = np.uint64(0x5B5B5B5B5B5B5B5B)

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Table = npt.NDArray[np.uint16]


class C4Options(NamedTuple):
    """`longest`: characters of a word, and `least` words of a line, -1 for no limit; which rules hold."""

    longest: int
    least: int
    terminal: bool
    citations: bool
    curly_bracket: bool


class CleanLines(NamedTuple):
    """The lines that stay, joined by LF and stripped: `data[offsets[i]:offsets[i + 1]]`.

    `counts` int64[4, n]: lines; those of them that a rule drops, where the ones from a verdict on the
    document on are not looked at; the verdict, `KEEP`, `LOREM_IPSUM` or `CURLY_BRACKET`; and sentences of the
    lines that stay: one begins with a token not of symbols alone, and ends with its line or a token that is
    one terminal mark.
    """

    offsets: Counts
    data: Bytes
    counts: Counts


@forced
def _same(at: int, end: int, text: int, length: int) -> bool:
    """Whether the `length` bytes at address `text` stand at `at`."""
    if at + length > end:
        return False
    differing = 0
    for k in range(length):
        differing += byte_at(at + k) != byte_at(text + k)
    return differing == 0


@compiled
def _citation_end(table: int, at: int, end: int, edit: int, needed: int) -> int:
    """Where `[12]`, `[]`, `[edit]` or `[citation needed]` at `at` ends, else `at`; case counts."""
    stop = at + 1
    while stop < end:
        code, follow = code_at(stop, end)
        if properties(table, code) & WORD_CLASS != NUMERIC:
            break
        stop = follow
    if stop < end and byte_at(stop) == 0x5D:
        return stop + 1
    if _same(at, end, edit, 6):
        return at + 6
    if _same(at, end, needed, 17):
        return at + 17
    return at


@compiled
def _sentences(
    table: int, data: int, flags: Any, characters: Any, stops: Any, first: int, last: int, ended: int
) -> int:
    """Sentences of tokens `first` to `last` of a line, twice, and 1 where the last of them has ended.

    `ended` is the result for the tokens of the line before them, and 1 at its beginning.
    """
    sentences, over = ended >> 1, ended & 1
    for k in range(first, last):
        if characters[k] == 1:
            stop = data + stops[k]
            code, _ = code_at(before(stop, stop - 4), stop)
            if properties(table, code) & TERMINAL:
                over = 1
                sentences = max(sentences, 1)
                continue
        if over and (flags[k] & NOT_SYMBOL or sentences == 0):
            sentences += 1
            over = 0
    return sentences << 1 | over


@compiled
def _sentences_of_span(table: int, data: int, start: int, end: int, room: Found) -> int:
    """Sentences of the bytes `start` to `end` from address `data` on."""
    place, ended = new_place(start), 1
    while place[0] < end:
        many = fill_words(table, data, place, end, room, 0)
        ended = _sentences(table, data, room.flags, room.characters, room.stops, 0, many, ended)
    return ended >> 1


@compiled
def _tokens_of_span(table: int, data: int, start: int, end: int, room: Found) -> int:
    """Tokens of the bytes `start` to `end` from address `data` on."""
    place, many = new_place(start), 0
    while place[0] < end:
        many += fill_words(table, data, place, end, room, 0)
    return many


@compiled
def _words(table: int, at: int, end: int, least: int) -> int:
    """Words between two addresses, cut at white space, counted up to `least`."""
    words, inside = 0, False
    while at < end and words < least:
        byte = byte_at(at)
        if 0x20 < byte < 0x80:
            words += not inside
            inside = True
            at += 1
            continue
        code, at = code_at(at, end)
        space = properties(table, code) & WHITE_SPACE != 0
        words += not inside and not space
        inside = not space
    return words


@compiled
def _holds_wide(table: int, at: int, end: int, longest: int) -> bool:
    """Whether a word between two addresses, cut at white space, has over `longest` code points."""
    length = 0
    while at < end:
        code, at = code_at(at, end)
        length = 0 if properties(table, code) & WHITE_SPACE else length + 1
        if length > longest:
            return True
    return False


@compiled
def clean_lines(
    texts: Texts,
    words: Words,
    lines: Lines,
    foreign: Flags,
    phrases: Phrases,
    options: C4Options,
    first: int,
    last: int,
    clean: CleanLines,
) -> None:
    """Enter into `clean`, as of `room_of`, what stays of texts `first` to `last`, and why the rest does not.

    Of `foreign` ones (bool[n]) any mark that ends a sentence in some script counts, and words are tokens.
    """
    for i in range(first, last):
        start = clean.offsets[i]
        written = clean_part(
            texts, words, lines, i, foreign[i], phrases, options, clean.data, start, start, clean.counts[:, i]
        )
        finish(texts.table, clean, i, written)


@compiled
def finish(table: Table, clean: CleanLines, i: int, written: int) -> None:
    """Strip the lines of text i, which end at byte `written`."""
    out, first = clean.data, clean.offsets[i]
    to = address(out)
    left = past_white_space(address(table), to + first, to + written)
    right = without_white_space(address(table), left, to + written)
    if left > to + first:
        for k in range(right - left):
            out[first + k] = out[left - to + k]
    clean.offsets[i + 1] = first + right - left


@compiled
def clean_part(
    texts: Texts,
    words: Words,
    lines: Lines,
    i: int,
    foreign: bool,
    phrases: Phrases,
    options: C4Options,
    out: Bytes,
    first: int,
    written: int,
    counts: Any,
) -> int:
    """Add what stays of the lines of text i to `out`, in which its lines so far stand from `first` to
    `written`; returns where they end. `counts` is its column of `CleanLines.counts`.

    A text without words, as the parts of a large one are, has them found line by line.
    """
    table, begin, to = address(texts.table), address(texts.data), address(out)
    edit, needed = np.empty(6, np.uint8), np.empty(17, np.uint8)
    for k, byte in enumerate(EDIT):
        edit[k] = byte
    for k, byte in enumerate(NEEDED):
        needed[k] = byte
    room = room_for(256)
    word, last_word = words.firsts[i], words.lasts[i]
    stored = word < last_word
    seen, dropped, verdict, sentences = counts[0], counts[1], counts[2], counts[3]
    for line in range(lines.firsts[i], lines.lasts[i]):
        follow, line_end = begin + lines.starts[line], begin + lines.stops[line]
        while verdict == KEEP:
            at = follow
            stop = follow = line_end
            if lines.flags[line] & BREAKS:
                stop, follow = next_line(table, at, line_end)
            more = stop < follow and (follow < line_end or lines.stops[line] < texts.ends[i])
            seen += 1
            first_word = word
            while word < last_word and words.stops[word] <= stop - begin:
                word += 1
            at = past_white_space(table, at, stop)
            stop = without_white_space(table, at, stop)
            if not foreign:
                many = _words(table, at, stop, options.least)
            elif stored:
                many = word - first_word
            else:
                many = _tokens_of_span(table, begin, at - begin, stop - begin, room)
            wide = False
            if not foreign and 0 <= options.longest < stop - at:
                wide = _holds_wide(table, at, stop, options.longest)
            if wide:
                dropped += 1
            else:
                start = written + (written > first)
                end = _copy(table, at, stop, out, start, options.citations, address(edit), address(needed))
                groups = groups_in(to + start, to + end, phrases)
                terminated = not options.terminal or _ends_sentence(to + start, to + end)
                if foreign and not terminated:
                    terminated = _ends_in_any_script(table, to + start, to + end)
                if not terminated or many < options.least:
                    dropped += 1
                elif groups & LOREM:
                    verdict = LOREM_IPSUM
                elif groups & SCRIPT:
                    dropped += 1
                elif options.curly_bracket and _holds_curly_bracket(out, start, end):
                    verdict = CURLY_BRACKET
                elif groups & POLICY:
                    dropped += 1
                else:
                    if stored and end - start == stop - at:
                        ended = _sentences(
                            table, begin, words.flags, words.characters, words.stops, first_word, word, 1
                        )
                        sentences += ended >> 1
                    else:
                        sentences += _sentences_of_span(table, to, start, end, room)
                    if start > first:
                        out[written] = 0x0A
                    written = end
            if not more:
                break
    counts[0], counts[1], counts[2], counts[3] = seen, dropped, verdict, sentences
    return written


@compiled
def _bracket_from(at: int, end: int) -> int:
    """Address of the first `[` from `at` on, or `end`."""
    while at + 8 <= end:
        others = eight_at(at) ^ _BRACKETS
        found = (others - _LOW) & ~others & _HIGH
        if found != 0:
            return at + (trailing_zeros(found) >> 3)
        at += 8
    while at < end and byte_at(at) != 0x5B:
        at += 1
    return at


@compiled
def _copy(
    table: int, at: int, end: int, out: Bytes, written: int, citations: bool, edit: int, needed: int
) -> int:
    """Copy the bytes between two addresses to `out`, citations left out; returns where they end there."""
    while at < end:
        stop = end
        if citations:
            stop = _bracket_from(at, end)
        for k in range(stop - at):
            out[written + k] = byte_at(at + k)
        written += stop - at
        at = stop
        if at < end:
            behind = _citation_end(table, at, end, edit, needed)
            if behind == at:
                out[written] = byte_at(at)
                written += 1
                behind = at + 1
            at = behind
    return written


@forced
def _ends_sentence(start: int, end: int) -> bool:
    """Whether one of `. ? ! " '` stands before address `end`, and not three full stops."""
    if end == start:
        return False
    last = byte_at(end - 1)
    if last == 0x2E and end - start >= 3 and byte_at(end - 2) == 0x2E and byte_at(end - 3) == 0x2E:
        return False
    return last in (0x2E, 0x3F, 0x21, 0x22, 0x27)


@compiled
def _ends_in_any_script(table: int, start: int, end: int) -> bool:
    """Whether a mark that ends a sentence in some script, other than a full stop, stands before address
    `end`, perhaps with one closing mark between: U+201D, U+2019, U+00BB, U+300D, U+300F, U+FF09.
    """
    for _ in range(2):
        if end == start:
            return False
        place = before(end, start)
        code, _after = code_at(place, end)
        if code != 0x2E and properties(table, code) & TERMINAL:
            return True
        if code not in (0x201D, 0x2019, 0xBB, 0x300D, 0x300F, 0xFF09):
            return False
        end = place
    return False


@forced
def _holds_curly_bracket(out: Bytes, start: int, end: int) -> bool:
    found = 0
    for k in range(start, end):
        found |= out[k] == 0x7B
    return found != 0


def room_of(texts: Texts) -> CleanLines:
    """Room for what stays of texts."""
    n = len(texts.starts)
    size = 1 + int((texts.ends - texts.starts).sum())
    return CleanLines(np.zeros(n + 1, np.int64), np.empty(size, np.uint8), np.zeros((4, n), np.int64))
