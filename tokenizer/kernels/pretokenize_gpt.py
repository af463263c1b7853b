"""The expressions of GPT-2, of cl100k and of those made after it: Llama 3 and Qwen.

All match every character, so a pre-token begins where the last one ended and none is left over. The
alternatives are tried in their order; `pretokenizer/patterns.py` has the expressions.
"""

from __future__ import annotations

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import byte_at
from corpusmill.tokenizer.kernels.pretokenize_characters import (
    APOSTROPHE,
    BLANK,
    CR,
    LETTER,
    LF,
    NUMBER,
    SPACE,
    character,
    contraction,
    digits,
    letters,
    line_breaks,
    run_without,
    white_space,
)

NO_MARK = LETTER | NUMBER | SPACE  # [^\s\p{L}\p{N}] is what has none of these


@compiled
def space_end(classes: int, at: int, end: int, breaks: bool, tail: bool) -> int:
    r"""`\s*[\r\n]+|\s+(?!\S)|\s+`; without `breaks` the last two, with `tail` `\s+\z` before all."""
    stop, last, after_break = white_space(classes, at, end, breaks)
    if tail and stop == end:
        return stop
    if after_break >= 0:
        return after_break
    return stop if stop == end or last == at else last


@compiled
def gpt2_end(classes: int, at: int, end: int, longest: int) -> int:
    """Where the pre-token at `at` ends, of GPT-2; `longest` digits in one."""
    if byte_at(at) == APOSTROPHE:
        after = contraction(at, end, False)
        if after > at:
            return after
    kind, after = character(classes, at, end)
    if byte_at(at) == BLANK and after < end:
        following, beyond = character(classes, after, end)
        if not following & SPACE:
            kind, after = following, beyond
    if kind & LETTER:
        return letters(classes, after, end, LETTER)
    if kind & NUMBER:
        return digits(classes, after, end, longest - 1)
    if kind & SPACE:
        return space_end(classes, at, end, False, False)
    return run_without(classes, after, end, NO_MARK)


@compiled
def cl100k_end(classes: int, at: int, end: int, longest: int, breaks: bool, tail: bool) -> int:
    """Where the pre-token at `at` ends, of cl100k (with `tail`, see `space_end`), Llama 3 and Qwen (without).

    `longest` digits in one; line breaks after punctuation are part of it with `breaks`.
    """
    kind, after = character(classes, at, end)
    if kind & LETTER:
        return letters(classes, after, end, LETTER)
    if kind & NUMBER:
        return digits(classes, after, end, longest - 1)
    byte = byte_at(at)
    if byte == APOSTROPHE:
        stop = contraction(at, end, True)
        if stop > at:
            return stop
    if byte != LF and byte != CR and after < end:
        following, beyond = character(classes, after, end)
        if following & LETTER:
            return letters(classes, beyond, end, LETTER)
        if byte == BLANK and not following & NO_MARK:
            kind, after = following, beyond
    if kind & SPACE:
        return space_end(classes, at, end, True, tail)
    after = run_without(classes, after, end, NO_MARK)
    return line_breaks(after, end) if breaks else after
