"""Words of UTF-8 text: the one segmentation all filters share.

Three steps, each by the table of `characters`:

1. White space (as `str.isspace`) cuts the text into runs; it is never part of a token.
2. Marks come off a run at both ends, each a token by itself: quotes, brackets, `, : ; ! ? # * & _`, symbols
   and emoji; currency signs, `%` and `=` at the front; a full stop at the back, unless it follows a single
   capital (`J.`, `U.S.`); `%`, `+` and currency signs behind a digit; `'s`. Two or more dots are one token.
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

A token is known by a 64-bit FNV-1a hash over code points, so two words count as equal when their hashes do
(within a document of a million words an accidental collision has probability 3e-8). Kernels take the
`table` of `characters`, `data` uint8[...] and `offsets` int64[n + 1] (bytes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels import characters as ch
from corpusmill.pipelines.text.compiled import compiled, inlined, integer

EXTEND, KATAKANA, LETTER, SINGLE, SPACE, WORD_CLASS = (
    ch.EXTEND, ch.KATAKANA, ch.LETTER, ch.SINGLE, ch.SPACE, ch.WORD_CLASS,
)  # fmt: skip
ALPHABETIC, SYMBOL = ch.ALPHABETIC, ch.SYMBOL
OPENS, CLOSES, LOWER, UPPER = ch.OPENS, ch.CLOSES, ch.LOWER, ch.UPPER

FNV_START = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x00000100000001B3)
HAS_LETTER, NOT_SYMBOL = 1, 2  # flags of a token
BUFFER = 1024  # tokens handled at a time

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint16]
Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint8]


@inlined
def decode(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Code point at byte `at` and where the next one starts; U+FFFD for what no code point is."""
    first = integer(data[at])
    if first < 0x80:
        return first, at + 1
    if first < 0xE0:
        if at + 2 > end:
            return 0xFFFD, at + 1
        return ((first & 0x1F) << 6) | (data[at + 1] & 0x3F), at + 2
    if first < 0xF0:
        if at + 3 > end:
            return 0xFFFD, at + 1
        return ((first & 0x0F) << 12) | ((data[at + 1] & 0x3F) << 6) | (data[at + 2] & 0x3F), at + 3
    if at + 4 > end:
        return 0xFFFD, at + 1
    tail = ((data[at + 1] & 0x3F) << 12) | ((data[at + 2] & 0x3F) << 6) | (data[at + 3] & 0x3F)
    code = ((first & 0x07) << 18) | tail
    return code if code < 0x110000 else 0xFFFD, at + 4


@compiled
def _dots(data: Bytes, at: int, end: int) -> int:
    """How many full stops stand at `at`."""
    stop = at
    while stop < end and data[stop] == 0x2E:
        stop += 1
    return stop - at


@compiled
def _opening(table: Table, data: Bytes, at: int, end: int) -> int:
    """Bytes of the mark that comes off the front of `data[at:end]`, 0 for none."""
    code, follow = decode(data, at, end)
    if table[code] & OPENS:
        return follow - at
    if code == 0x2E:
        dots = _dots(data, at, end)
        return dots if dots > 1 else 0
    if code == 0x2B:
        return 0 if follow < end and 0x30 <= data[follow] <= 0x39 else 1
    return 0


@compiled
def _before(data: Bytes, start: int, end: int) -> int:
    """Where the character that ends at `end` starts."""
    at = end - 1
    while at > start and (data[at] & 0xC0) == 0x80:
        at -= 1
    return at


@compiled
def _without_closing(table: Table, data: Bytes, start: int, end: int) -> int:
    """Where `data[start:end]` ends without the marks that come off its back."""
    while end > start:
        at = _before(data, start, end)
        code, _ = decode(data, at, end)
        bits = table[code]
        if bits & CLOSES:
            end = at
            continue
        if at == start:
            break
        left = _before(data, start, at)
        previous, _ = decode(data, left, at)
        if code == 0x2E:
            if previous == 0x2E:
                end = left
                while end > start and data[end - 1] == 0x2E:
                    end -= 1
                continue
            kind = table[previous]
            if not (
                kind & (LOWER | CLOSES) or 0x30 <= previous <= 0x39 or previous in (0x25, 0x2B, 0x2D, 0xB2)
            ):
                if not kind & UPPER or left == start:
                    break
                second, _ = decode(data, _before(data, start, left), left)
                if not table[second] & UPPER:
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
def _closing(data: Bytes, at: int, end: int) -> int:
    """Bytes of the first of the marks that came off the back."""
    code, follow = decode(data, at, end)
    if code == 0x2E:
        return _dots(data, at, end)
    if (code == 0x27 or code == 0x2019) and follow < end and (data[follow] | 0x20) == 0x73:
        return follow + 1 - at
    return follow - at


@compiled
def _inner(table: Table, data: Bytes, previous: int, at: int, end: int) -> int:
    """Bytes of the mark at `at` that cuts a word whose character before it is `previous`, 0 for none."""
    code, follow = decode(data, at, end)
    bits = table[code]
    if code >= 0x80 and bits & (OPENS | CLOSES) and code not in (0x2013, 0x2014, 0x2018, 0x2019):
        return follow - at
    if follow >= end:
        return 0
    after, _ = decode(data, follow, end)
    left, right = table[previous], table[after]
    digits = 0x30 <= previous <= 0x39
    if code == 0x2E:
        if after == 0x2E:
            return _dots(data, at, end)
        return 1 if left & LOWER and right & UPPER else 0
    if code in (0x2B, 0x2D, 0x2A, 0x5E) and digits and (0x30 <= after <= 0x39 or after == 0x2D):
        return 1
    if code in (0x2D, 0x2013, 0x2014, 0x7E):
        stop = follow
        while stop < end:
            other, further = decode(data, stop, end)
            if other != code:
                break
            stop = further
        if not left & ALPHABETIC or stop >= end:
            return 0
        after, _ = decode(data, stop, end)
        return stop - at if table[after] & ALPHABETIC else 0
    if code in (0x3A, 0x3C, 0x3E, 0x3D, 0x2F):
        return 1 if (left & ALPHABETIC or digits) and right & ALPHABETIC else 0
    if code == 0x2C:
        return 1 if left & ALPHABETIC and right & ALPHABETIC else 0
    return 0


@compiled
def _word_end(table: Table, data: Bytes, previous: int, at: int, end: int) -> int:
    """Where the token at `at` of the inside of a run ends; `previous` is the character before it or 0."""
    code, stop = decode(data, at, end)
    kind = table[code] & WORD_CLASS
    if kind != LETTER and kind != SINGLE:
        mark = _inner(table, data, previous, at, end)
        if mark:
            return at + mark
    single = kind == SINGLE
    katakana = kind == KATAKANA
    while stop < end:
        byte = data[stop]
        if byte < 0x80 and not single and not katakana and table[byte] & WORD_CLASS >= LETTER:
            code = integer(byte)
            stop += 1
            continue
        following, follow = decode(data, stop, end)
        kind = table[following] & WORD_CLASS
        if kind != EXTEND:
            if single or kind == SINGLE:
                break
            if kind in (LETTER, KATAKANA):
                if katakana != (kind == KATAKANA):
                    break
            elif following == 0x3A and stop + 2 < end and data[stop + 1] == 0x2F and data[stop + 2] == 0x2F:
                while stop < end and data[stop] < 0x80:
                    stop += 1
                break
            elif _inner(table, data, code, stop, end):
                break
        code = following
        stop = follow
    return stop


@compiled
def new_place(at: int) -> Counts:
    """The place of a walk over words that starts at byte `at`: see `fill_words`."""
    return np.array([at, at, at, at], np.int64)


@compiled
def fill_words(
    table: Table,
    data: Bytes,
    place: Counts,
    end: int,
    hashes: Hashes,
    lengths: Counts,
    flags: Flags,
    stops: Counts,
) -> int:
    """Tokens of `data[place[0]:end]` until the buffers are full; returns how many.

    Of each token: its hash, its length in code points, its flags, and the byte behind it. `place` int64[4],
    made by `new_place`, is moved on; the text is done when `place[0] == end`. (Its other fields: start and
    end of the inside of the current run, both -1 while marks come off its front, and the end of that run.)
    """
    n, room = 0, len(hashes)
    at, inside, back, run_end = place[0], place[1], place[2], place[3]
    while n < room:
        if at >= run_end:
            while at < end:
                byte = data[at]
                if byte < 0x80:
                    if table[byte] & WORD_CLASS != SPACE:
                        break
                    at += 1
                else:
                    code, follow = decode(data, at, end)
                    if table[code] & WORD_CLASS != SPACE:
                        break
                    at = follow
            if at >= end:
                at = end
                break
            # Most runs are ASCII letters only: these need no rules.
            value = FNV_START
            stop = at
            while stop < end:
                letter = data[stop]
                if not 0x61 <= (letter | 0x20) <= 0x7A:
                    break
                value = (value ^ np.uint64(letter)) * FNV_PRIME
                stop += 1
            if stop > at:
                following = data[stop] if stop < end else np.uint8(0x20)
                if following == 0x20 or following == 0x0A:
                    hashes[n], lengths[n], flags[n], stops[n] = (
                        value,
                        stop - at,
                        HAS_LETTER | NOT_SYMBOL,
                        stop,
                    )
                    n += 1
                    at = run_end = stop
                    continue
                beyond = data[stop + 1] if stop + 1 < end else np.uint8(0x20)
                if (following == 0x2C or (following == 0x2E and data[stop - 1] > 0x60)) and (
                    beyond == 0x20 or beyond == 0x0A
                ):
                    # ... or letters and a comma or full stop, which is left for the next turn.
                    hashes[n], lengths[n], flags[n], stops[n] = (
                        value,
                        stop - at,
                        HAS_LETTER | NOT_SYMBOL,
                        stop,
                    )
                    n += 1
                    inside, at, back, run_end = at, stop, stop, stop + 1
                    continue
            while stop < end:
                byte = data[stop]
                if byte < 0x80:
                    if table[byte] & WORD_CLASS == SPACE:
                        break
                    stop += 1
                else:
                    code, follow = decode(data, stop, end)
                    if table[code] & WORD_CLASS == SPACE:
                        break
                    stop = follow
            run_end = stop
            inside = back = -1
        if inside < 0:
            size = _opening(table, data, at, run_end)
            if size:
                stop = at + size
            else:
                inside = at
                back = _without_closing(table, data, at, run_end)
        if inside >= 0:
            if at < back:
                if data[at] >= 0xE0:
                    # Han and the like, up to the first mark or character of another class.
                    code, follow = decode(data, at, back)
                    while n < room and table[code] & WORD_CLASS == SINGLE:
                        following, further = integer(0), follow
                        if follow < back:
                            following, further = decode(data, follow, back)
                            if table[following] & WORD_CLASS == EXTEND:
                                break
                        hashes[n], lengths[n], flags[n] = (
                            (FNV_START ^ np.uint64(code)) * FNV_PRIME,
                            1,
                            NOT_SYMBOL,
                        )
                        flags[n] |= HAS_LETTER if table[code] & ALPHABETIC else 0
                        at = stops[n] = follow
                        n += 1
                        code, follow = following, further
                    if n == room or at >= back:
                        continue
                previous = integer(0)
                if at > inside:
                    previous, _ = decode(data, _before(data, inside, at), at)
                stop = _word_end(table, data, previous, at, back)
            else:
                stop = at + _closing(data, at, run_end)
        value, length, marks = FNV_START, 0, 0
        while at < stop:
            byte = data[at]
            if byte < 0x80:
                code = integer(byte)
                at += 1
            else:
                code, at = decode(data, at, stop)
            bits = table[code]
            value = (value ^ np.uint64(code)) * FNV_PRIME
            length += 1
            marks |= (HAS_LETTER if bits & ALPHABETIC else 0) | (0 if bits & SYMBOL else NOT_SYMBOL)
        hashes[n], lengths[n], flags[n], stops[n] = value, length, marks, stop
        n += 1
    place[0], place[1], place[2], place[3] = at, inside, back, run_end
    return n


@compiled
def buffer(size: int) -> tuple[Hashes, Counts, Flags, Counts]:
    """Room for `size` tokens, as `fill_words` takes it."""
    return (
        np.empty(size, np.uint64),
        np.empty(size, np.int64),
        np.empty(size, np.uint8),
        np.empty(size, np.int64),
    )


@compiled
def count_words(table: Table, offsets: Offsets, data: Bytes) -> Counts:
    """Tokens (words and symbols) of each document, int64[n]."""
    n = len(offsets) - 1
    counts = np.zeros(n, np.int64)
    hashes, lengths, flags, stops = buffer(BUFFER)
    for i in range(n):
        place, end = new_place(offsets[i]), offsets[i + 1]
        while place[0] < end:
            counts[i] += fill_words(table, data, place, end, hashes, lengths, flags, stops)
    return counts


@compiled
def split_words(table: Table, data: Bytes) -> tuple[Hashes, Counts, Flags, Counts]:
    """All tokens of one document as `fill_words` gives them, each [words]."""
    hashes, lengths, flags, stops = buffer(len(data))
    n = fill_words(table, data, new_place(0), len(data), hashes, lengths, flags, stops)
    return hashes[:n].copy(), lengths[:n].copy(), flags[:n].copy(), stops[:n].copy()
