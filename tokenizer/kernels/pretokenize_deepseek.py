"""DeepSeek-V3's three splits in one pass (the regular expressions: `pretokenizer/patterns.py`).

The splits are applied one after the other, each to all pieces the one before made. So a run of ideographs
and kana, and what stands between such runs and numbers, is a text of its own to the third expression: its
look-ahead finds the end of text there, and its classes never reach across. Katakana's middle dot is cut off
its word in this way.
"""

from __future__ import annotations

from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.decode import character_at
from corpusmill.pipelines.text.kernels.memory import byte_at
from corpusmill.tokenizer.kernels.pretokenize_characters import (
    BLANK,
    BYTES,
    CR,
    LETTER,
    LF,
    LOWER,
    MARK,
    NON_ASCII,
    NUMBER,
    SPACE,
    SYMBOL,
    UPPER,
    ascii_run,
    digits,
    line_breaks,
    white_space,
)

WORD = LETTER | MARK
# Added to the class of the characters of the second split. Without IDEOGRAPH as wanted, a piece ends.
IDEOGRAPH = NON_ASCII
PIECE_END = NUMBER | IDEOGRAPH


@forced
def _character(classes: int, at: int, end: int) -> tuple[int, int]:
    """Class of the character at `at`, with IDEOGRAPH if the second split matches it, and where it ends."""
    kind = byte_at(classes + byte_at(at))
    if kind != NON_ASCII:
        return kind, at + 1
    code, after = character_at(at, end)
    if code < 0:
        return integer(0), after
    kind = byte_at(classes + BYTES + code)
    if (code >= 0x4E00 and code <= 0x9FA5) or (code >= 0x3040 and code <= 0x30FF):
        kind |= IDEOGRAPH
    return kind, after


@forced
def _word(classes: int, at: int, end: int) -> int:
    """The run of letters and marks outside the second split's matches."""
    while at < end:
        if byte_at(at) < 0x80:
            stop = ascii_run(at, end, True)
            if stop == at:
                break
            at = stop
        else:
            kind, after = _character(classes, at, end)
            if kind & IDEOGRAPH or not kind & WORD:
                break
            at = after
    return at


@forced
def _symbols(classes: int, at: int, end: int) -> int:
    """The run of punctuation and symbols outside the second split's matches."""
    while at < end:
        kind, after = _character(classes, at, end)
        if kind & IDEOGRAPH or not kind & SYMBOL:
            break
        at = after
    return at


@forced
def _ideographs(classes: int, at: int, end: int, mask: int) -> int:
    """The run of classes in `mask` within a match of the second split."""
    while at < end and byte_at(at) >= 0x80:
        kind, after = _character(classes, at, end)
        if not kind & IDEOGRAPH or not kind & mask:
            break
        at = after
    return at


@compiled
def _unmatched(classes: int, at: int, end: int, ideograph: int) -> int:
    """As far as no alternative matches: characters without a class, before anything but a letter or mark.

    `ideograph` says whether in a match of the second split (IDEOGRAPH) or not (0).
    """
    while at < end:
        kind, after = _character(classes, at, end)
        if kind != ideograph:
            break
        if after < end:
            following = _character(classes, after, end)[0]
            if following & WORD and following & IDEOGRAPH == ideograph:
                break
        at = after
    return at


@compiled
def _ideograph_end(classes: int, at: int, end: int) -> int:
    """The pre-token at `at` in a match of the second split: there is neither ASCII nor white space in it."""
    kind, after = _character(classes, at, end)
    if kind & WORD:
        return _ideographs(classes, after, end, WORD)
    if kind & SYMBOL:
        return _ideographs(classes, after, end, SYMBOL)
    stop = _ideographs(classes, after, end, WORD)
    return stop if stop > after else _unmatched(classes, after, end, IDEOGRAPH)


@compiled
def deepseek_end(classes: int, at: int, end: int, longest: int, breaks: bool) -> int:
    """Where the pre-token at `at` ends: `longest` digits in one, `breaks` taken after punctuation or not."""
    kind, after = _character(classes, at, end)
    if kind & IDEOGRAPH:
        return _ideograph_end(classes, at, end)
    if kind & WORD:
        return _word(classes, after, end)
    if kind & NUMBER:
        return digits(classes, after, end, longest - 1)
    byte = byte_at(at)
    # The class of the next character; none at the end of the piece.
    following, beyond = integer(0), after
    if after < end:
        following, beyond = _character(classes, after, end)
        if following & PIECE_END:
            following = integer(0)
    if kind & SYMBOL:
        if byte < 0x80 and following & (UPPER | LOWER) and byte_at(after) < 0x80:
            return ascii_run(beyond, end, True)
    elif following & WORD and byte != LF and byte != CR:
        return _word(classes, beyond, end)
    elif byte == BLANK and following & SYMBOL:
        after = beyond
    elif kind & SPACE:
        stop, last, after_break = white_space(classes, at, end, True)
        if after_break >= 0:
            return after_break
        if last == at or stop == end or _character(classes, stop, end)[0] & PIECE_END:
            return stop
        return last
    else:
        return _unmatched(classes, after, end, 0)
    after = _symbols(classes, after, end)
    return line_breaks(after, end) if breaks else after
