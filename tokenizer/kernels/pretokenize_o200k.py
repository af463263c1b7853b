"""The expression of o200k, whose words end where a capital follows a small letter.

A word is letters and marks, capitals first: `A*B+` or else `A+B*`, where A has all but small letters, B all
but capitals, and both have marks and letters without case. The greedy A takes those too and gives back, so
that a word without small letters ends at its last letter without case: `中A` is cut before the A.
"""

from __future__ import annotations

from corpusmill.pipelines.text.compiled import compiled, integer
from corpusmill.pipelines.text.kernels.memory import byte_at
from corpusmill.tokenizer.kernels.pretokenize_characters import (
    BLANK,
    CASELESS,
    CR,
    LETTER,
    LF,
    LOWER,
    MARK,
    NUMBER,
    SLASH,
    SPACE,
    UPPER,
    character,
    contraction,
    digits,
    letters,
    run_without,
)
from corpusmill.tokenizer.kernels.pretokenize_gpt import NO_MARK, space_end

BOTH = CASELESS | MARK


@compiled
def _word(classes: int, at: int, end: int) -> int:
    """Where the word at `at`, prefix excluded, ends; `at` if there is none."""
    stop, given_back = at, integer(-1)
    while stop < end:
        kind, after = character(classes, stop, end)
        if kind & LOWER:
            return letters(classes, after, end, LOWER | BOTH)
        if not kind & (UPPER | BOTH):
            break
        stop = after
        if kind & BOTH:
            given_back = stop
    return given_back if given_back >= 0 else stop


@compiled
def o200k_end(classes: int, at: int, end: int, longest: int, breaks: bool) -> int:
    """Where the pre-token at `at` ends: `longest` digits in one, `breaks` (and slashes) after punctuation."""
    kind, after = character(classes, at, end)
    if kind & NUMBER:
        return digits(classes, after, end, longest - 1)
    byte = byte_at(at)
    if kind & (LETTER | MARK):  # a mark could be the prefix too: the word is the same
        return contraction(_word(classes, at, end), end, True)
    if byte != LF and byte != CR:
        stop = _word(classes, after, end)
        if stop > after:
            return contraction(stop, end, True)
        if byte == BLANK and after < end:
            following, beyond = character(classes, after, end)
            if not following & NO_MARK:
                kind, after = following, beyond
    if kind & SPACE:
        return space_end(classes, at, end, True, False)
    after = run_without(classes, after, end, NO_MARK)
    if breaks:
        while after < end and (byte_at(after) == LF or byte_at(after) == CR or byte_at(after) == SLASH):
            after += 1
    return after
