"""Spans of texts without the parts of words or lines at their ends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.pieces import CR, LF, SEPARATOR, SINGLE, SKIP
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.decode import before, code_at
from corpusmill.pipelines.text.kernels.memory import address, byte_at

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]
Forms = npt.NDArray[np.uint32]


@compiled
def _between_words(words: Forms, at: int, start: int, end: int) -> bool:
    """Whether no word of the text between two addresses goes on at address `at`.

    It does where both neighbours belong to words and neither is one by itself, and where a mark follows.
    """
    if at in (start, end):
        return True
    if byte_at(at) & 0xC0 == 0x80:
        return False
    next_ = words[code_at(at, end)[0]]
    if next_ == SKIP:
        return False
    if next_ == SEPARATOR or next_ & SINGLE:
        return True
    last = words[code_at(before(at, start), at)[0]]
    return bool(last == SEPARATOR or last & SINGLE != 0)


@compiled
def _between_lines(at: int, start: int, end: int) -> bool:
    """Whether a line of the text between two addresses begins at address `at`, or the text ends there."""
    if at in (start, end) or byte_at(at - 1) == LF:
        return True
    return byte_at(at - 1) == CR and byte_at(at) != LF


@compiled
def narrowed_spans(
    offsets: Index, data: Bytes, text: Index, starts: Index, ends: Index, words: Forms, lines: bool | np.bool_
) -> tuple[Index, Index]:
    """Starts and ends of the spans, without the parts of words, or of `lines`, at their ends; an end may be
    before its start where nothing is left.

    Span k is bytes `starts[k]` to `ends[k]` of `data[offsets[text[k]]:offsets[text[k] + 1]]`. `words`:
    `matching.normal_forms.normal_forms(True)`. Time: bytes of the spans.
    """
    firsts, lasts = starts.copy(), ends.copy()
    begin = address(data)
    for k in range(len(text)):
        start, end = begin + offsets[text[k]], begin + offsets[text[k] + 1]
        at, last = start + starts[k], start + ends[k]
        while at < last and not (
            _between_lines(at, start, end) if lines else _between_words(words, at, start, end)
        ):
            at += 1
        firsts[k] = at - start
        while last > at and not (
            _between_lines(last, start, end) if lines else _between_words(words, last, start, end)
        ):
            last -= 1
        lasts[k] = last - start
    return firsts, lasts
