"""Tokens of texts as codes, whose windows of bytes are windows of tokens.

The code of a token is its id in `DIGITS` bytes of 7 bits. `MARKS` bytes that are no digit stand before the
first code and after each, one fewer than digits. A window of n tokens is n codes with the marks around them.
As many bytes from any other place on hold n whole codes too, and as marks stand only at marks in what equals
them, codes do at codes: windows of bytes that repeat are windows of tokens that do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer

DIGITS = 3
MARKS = DIGITS - 1
CODE = DIGITS + MARKS
MARK = 0xFF
MOST_IDS = 2 ** (7 * DIGITS)

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]


def window_bytes(tokens: int) -> int:
    """Bytes of a window of so many tokens."""
    return tokens * CODE + MARKS


@compiled
def write_codes(
    offsets: Index,
    data: Bytes,
    bounds: Index,
    tokens: npt.NDArray[np.uint32],
    spelt_at: Index,
    spelt: Bytes,
    codes: Bytes,
    ends: npt.NDArray[np.uint32],
) -> int:
    """Write the codes of n texts, and where in its text each of their tokens ends.

    Text i is `data[offsets[i]:offsets[i + 1]]`, its tokens `tokens[bounds[i]:bounds[i + 1]]`; token t is
    spelt `spelt[spelt_at[t]:spelt_at[t + 1]]`. A text without tokens is not looked at, and has no codes or
    marks. Returns the first other text that its tokens do not spell, -1 where there is none.
    """
    to = integer(0)
    for i in range(len(offsets) - 1):
        at, end = offsets[i], offsets[i + 1]
        if bounds[i] < bounds[i + 1]:
            codes[to : to + MARKS] = MARK
            to += MARKS
        for place in range(bounds[i], bounds[i + 1]):
            token = integer(tokens[place])
            if token + 1 >= len(spelt_at):
                return i
            first, size = spelt_at[token], spelt_at[token + 1] - spelt_at[token]
            if size == 0 or at + size > end:
                return i
            for byte in range(size):
                if data[at + byte] != spelt[first + byte]:
                    return i
            at += size
            ends[place] = at - offsets[i]
            for digit in range(DIGITS):
                codes[to + digit] = (token >> (7 * digit)) & 127
            codes[to + DIGITS : to + CODE] = MARK
            to += CODE
        if at != end and bounds[i] < bounds[i + 1]:
            return i
    return -1


def spans_of_text(
    first: Index, last: Index, starts: Index, ends: npt.NDArray[np.uint32]
) -> tuple[Index, Index]:
    """From spans of codes, bytes `first` to `last`, to the spans of text that their whole tokens are.

    The tokens of span k end in its text at `ends[starts[k]:]`. Int64[m] each; each span has a whole token.
    """
    opening = np.maximum(-((MARKS - first) // CODE), 0)  # the first whole code, and the one after the last
    closing = (last - MARKS - DIGITS) // CODE + 1
    before = ends[starts + np.maximum(opening - 1, 0)].astype(np.int64)
    return np.where(opening > 0, before, 0), ends[starts + closing - 1].astype(np.int64)
