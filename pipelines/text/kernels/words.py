"""Words of UTF-8 text: the segmentation that filters count by.

Three steps, each by the table of `characters`:

1. White space (as `str.isspace`) cuts the text into runs; it is never part of a token.
2. Marks come off a run at both ends, each a token by itself: quotes, brackets, `, : ; ! ? # * & _`, symbols
   and emoji; currency signs, `%` and `=` at the front; a full stop at the back, unless it follows a single
   capital (`J.`, `U.S.`); `%`, `+` and currency signs behind a digit; `'s`, which may stand alone. Two or
   more dots are one token.
3. What is left is one word, except that it is cut at a hyphen or dash between letters, at one of `: < > = /`
   before a letter, at a comma between letters, at a dot between a small letter and a capital, at one of
   `+ - * ^` between digits, at an ellipsis, and at non-ASCII punctuation. Those are tokens too. Han, Hiragana
   and the scripts of Complex_Context (Thai, Lao, Khmer, Myanmar, ...; Unicode Standard Annex #14) are one
   token a character with the marks that follow it, as UAX #29 has it; Katakana and Hangul keep together.
   From `://` on, what is ASCII belongs to the word before it: a URL is one token.

So `can't`, `3.14`, `1,000`, `/usr/bin`, `x_1` and `http://example.org/a` are one token; `well-known` three.
Steps 2 and 3 follow the affix and infix rules of spaCy's blank English tokenizer, which datatrove counts
words by, without its list of exceptions (`do n't`) and units (`5 km`); plain Unicode segmentation was tried
and agreed less with it on text full of markup. What differs on purpose are the scripts without spaces.

A token is known by a 64-bit hash of its bytes, eight at a time and mixed (`word_key`), so two words count as
equal when their hashes do: those of up to seven bytes never wrongly, others with probability 2^-64 a pair
(3e-8 within a document of a million words). Runs of ASCII letters and digits are found eight bytes at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text import characters as ch
from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.decode import before, code_at
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at, trailing_zeros
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.kernels.word_marks import (
    closing,
    opening,
    properties,
    without_closing,
    word_end,
)
from corpusmill.pipelines.text.mixing import GOLDEN
from corpusmill.pipelines.text.views import Words

ALPHABETIC, CLOSES, SYMBOL = ch.ALPHABETIC, ch.CLOSES, ch.SYMBOL
EXTEND, SINGLE, SPACE, WORD_CLASS = ch.EXTEND, ch.SINGLE, ch.SPACE, ch.WORD_CLASS

HAS_LETTER, NOT_SYMBOL = 1, 2  # flags of a word

_ZERO, _ONE, _HALF = np.uint64(0), np.uint64(1), np.uint64(32)
_HIGH = np.uint64(0x8080808080808080)
_CASE = np.uint64(0x2020202020202020)
# What lifts a byte below 0x80 to 0x80 or more from `a`, from behind `z`, from `0` and from behind `9` on.
_FROM_A, _PAST_Z, _FROM_0, _PAST_9 = (
    np.uint64((0x80 - byte) * 0x0101010101010101) for byte in (0x61, 0x7B, 0x30, 0x3A)
)

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint16]
Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint8]


class Found(NamedTuple):
    """Tokens one after the other, each array of the same length."""

    hashes: Hashes
    characters: Counts
    """Code points of each."""
    flags: Flags
    """`HAS_LETTER`, `NOT_SYMBOL`: it is not made of symbols only."""
    stops: Counts
    """The byte behind each."""


@compiled
def room_for(size: int) -> Found:
    """Room for `size` tokens."""
    return Found(
        np.empty(size, np.uint64),
        np.empty(size, np.int64),
        np.empty(size, np.uint8),
        np.empty(size, np.int64),
    )


@compiled
def new_place(at: int) -> Counts:
    """The place of a walk over words that starts at byte `at`: see `fill_words`."""
    return np.array([at, at, at, at], np.int64)


@forced
def _up_to_eight(at: int, end: int) -> Any:
    """The bytes from address `at` on as uint64, the first one lowest; 0 for those from `end` on."""
    if at + 8 <= end:
        return eight_at(at)
    eight = _ZERO
    for k in range(end - at):
        eight |= np.uint64(byte_at(at + k)) << np.uint64(8 * k)
    return eight


@forced
def _letters_and_digits(eight: Any) -> tuple[Any, Any]:
    """The upper bit of each of eight bytes that is an ASCII letter, and of each that is a digit."""
    low = eight & ~_HIGH
    folded = low | _CASE
    ascii_ = ~eight & _HIGH
    return (folded + _FROM_A) & ~(folded + _PAST_Z) & ascii_, (low + _FROM_0) & ~(low + _PAST_9) & ascii_


@forced
def _eight_more(key: Any, eight: Any) -> Any:
    """The key of what came before and eight more bytes."""
    key = (key ^ eight) * GOLDEN
    return key ^ (key >> _HALF)


@forced
def _ended(key: Any, last: Any, size: int) -> Any:
    """The hash of `size` bytes: the last ones, at most seven, stand in `last`, `key` is of those before."""
    return mix((key ^ last) + np.uint64(size) * GOLDEN)


@forced
def word_key(start: int, stop: int, end: int) -> Any:
    """The hash of the bytes between two addresses, uint64; those up to `end` may be read."""
    key, at = _ZERO, start
    while at + 8 <= stop:
        key = _eight_more(key, eight_at(at))
        at += 8
    last = _up_to_eight(at, end) & ((_ONE << np.uint64(8 * (stop - at))) - _ONE)
    return _ended(key, last, stop - start)


@forced
def _past_space(table: int, at: int, end: int) -> int:
    """Where the white space at `at` ends."""
    while at < end:
        code, follow = code_at(at, end)
        if properties(table, code) & WORD_CLASS != SPACE:
            break
        at = follow
    return at


@forced
def _ends_run(table: int, at: int, end: int) -> bool:
    """Whether the text ends at `at` or ASCII white space stands there."""
    return at >= end or (byte_at(at) < 0x80 and properties(table, byte_at(at)) & WORD_CLASS == SPACE)


@forced
def _run_end(table: int, at: int, end: int) -> int:
    """Where the run without white space at `at` ends."""
    while at < end:
        code, follow = code_at(at, end)
        if properties(table, code) & WORD_CLASS == SPACE:
            break
        at = follow
    return at


@compiled
def fill_words(table: int, data: int, place: Counts, end: int, found: Found, first: int) -> int:
    """Tokens of the bytes place[0] to `end` into `found` from `first` on; returns the number behind the last.

    `table` and `data` are the addresses of `character_table()` and of the text's bytes. `place` int64[4],
    made by `new_place`, is moved on: the text is done when `place[0] == end`, else `found` is full. (Its
    other fields: start and end of the inside of the current run, both -1 while marks come off its front, and
    the end of that run.)
    """
    hashes, characters, flags, stops = found.hashes, found.characters, found.flags, found.stops
    n, room = first, len(hashes)
    stop_all = data + end
    at, run_end = data + place[0], data + place[3]
    inside, back = (data + place[1], data + place[2]) if place[1] >= 0 else (place[1], place[2])
    while n < room:
        if at >= run_end:
            at = _past_space(table, at, stop_all)
            if at >= stop_all:
                break
            # Most runs are ASCII letters and digits, perhaps with one mark behind them: these need no rules.
            key, seen, stop = _ZERO, _ZERO, at
            eight = _up_to_eight(stop, stop_all)
            letters, digits = _letters_and_digits(eight)
            while letters | digits == _HIGH:
                key = _eight_more(key, eight)
                seen |= letters
                stop += 8
                eight = _up_to_eight(stop, stop_all)
                letters, digits = _letters_and_digits(eight)
            size = trailing_zeros(~(letters | digits) & _HIGH) >> 3
            inner = (_ONE << np.uint64(8 * size)) - _ONE
            seen |= letters & inner
            stop += size
            byte = bits = integer(0)
            if stop < stop_all:
                byte = byte_at(stop)
                bits = properties(table, byte)
            if n + 1 < room and (stop == stop_all or byte < 0x80):
                alone = stop == stop_all or _ends_run(table, stop, stop_all)
                mark = not alone and _ends_run(table, stop + 1, stop_all)
                if stop > at:
                    mark = mark and (bits & CLOSES != 0 or (byte == 0x2E and byte_at(stop - 1) > 0x60))
                    if alone or mark:
                        hashes[n] = _ended(key, eight & inner, stop - at)
                        characters[n], stops[n] = stop - at, stop - data
                        flags[n] = NOT_SYMBOL | (HAS_LETTER if seen else 0)
                        n += 1
                if mark:
                    hashes[n] = _ended(_ZERO, np.uint64(byte), 1)
                    characters[n], stops[n] = 1, stop + 1 - data
                    flags[n] = 0 if bits & SYMBOL else NOT_SYMBOL
                    n += 1
                if alone or mark:
                    at = run_end = stop + (1 if mark else 0)
                    continue
            run_end = _run_end(table, stop, stop_all)
            inside = back = integer(-1)
        if inside < 0:
            size = opening(table, at, run_end)
            if size:
                stop = at + size
            else:
                inside = at
                back = without_closing(table, at, run_end)
        if inside >= 0:
            if at < back:
                if byte_at(at) >= 0xE0:
                    # Han and the like, up to the first mark or character of another class.
                    code, follow = code_at(at, back)
                    while n < room and properties(table, code) & WORD_CLASS == SINGLE:
                        following, further = integer(0), follow
                        if follow < back:
                            following, further = code_at(follow, back)
                            if properties(table, following) & WORD_CLASS == EXTEND:
                                break
                        hashes[n], characters[n] = word_key(at, follow, stop_all), 1
                        flags[n] = NOT_SYMBOL | (HAS_LETTER if properties(table, code) & ALPHABETIC else 0)
                        stops[n] = follow - data
                        at = follow
                        n += 1
                        code, follow = following, further
                    if n == room or at >= back:
                        continue
                previous = integer(0)
                if at > inside:
                    previous, _ = code_at(before(at, inside), at)
                stop = word_end(table, previous, at, back)
            else:
                stop = at + closing(at, run_end)
        hashes[n] = word_key(at, stop, stop_all)
        length = marks = 0
        while at < stop:
            code, at = code_at(at, stop)
            bits = properties(table, code)
            length += 1
            marks |= (HAS_LETTER if bits & ALPHABETIC else 0) | (0 if bits & SYMBOL else NOT_SYMBOL)
        characters[n], flags[n], stops[n] = length, marks, stop - data
        n += 1
    place[0], place[3] = at - data, run_end - data
    place[1], place[2] = (inside - data, back - data) if inside >= 0 else (inside, back)
    return n


@compiled
def next_words(table: Table, data: Bytes, place: Counts, end: int, found: Found) -> int:
    """`fill_words` for arrays, into `found` from its beginning on."""
    return fill_words(address(table), address(data), place, end, found, 0)


@compiled
def words_of(table: Table, data: Bytes, starts: Offsets, ends: Offsets) -> tuple[Offsets, Found]:
    """The tokens of texts `data[starts[i]:ends[i]]`: those of text i are `found` from `bounds[i]` to
    `bounds[i + 1]`, int64[n + 1].
    """
    texts = len(starts)
    bounds = np.zeros(texts + 1, np.int64)
    size = 0
    for i in range(texts):
        size += ends[i] - starts[i]
    room = size // 4 + 1024
    found = room_for(room)
    n = 0
    for i in range(texts):
        place, end = new_place(starts[i]), ends[i]
        while place[0] < end:
            n = fill_words(address(table), address(data), place, end, found, n)
            if place[0] < end:
                room *= 2
                wider = room_for(room)
                wider.hashes[:n], wider.characters[:n] = found.hashes[:n], found.characters[:n]
                wider.flags[:n], wider.stops[:n] = found.flags[:n], found.stops[:n]
                found = wider
        bounds[i + 1] = n
    return bounds, found


@compiled
def count_words(words: Words) -> Counts:
    """int64[n]: the tokens of each text that are not made of symbols only."""
    counts = np.zeros(len(words.firsts), np.int64)
    for i in range(len(counts)):
        for k in range(words.firsts[i], words.lasts[i]):
            counts[i] += (words.flags[k] & NOT_SYMBOL) != 0
    return counts


def split_words(text: bytes) -> Found:
    """All tokens of one text, its `stops` counted from its beginning."""
    data = np.frombuffer(text or b" ", np.uint8)
    bounds, found = words_of(ch.character_table(), data, np.zeros(1, np.int64), np.array([len(data)]))
    n = bounds[1]
    return Found(found.hashes[:n], found.characters[:n], found.flags[:n], found.stops[:n])
