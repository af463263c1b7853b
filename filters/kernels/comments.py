"""How much of a source file is comment, one pass over its bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import address, byte_at
from corpusmill.pipelines.text.views import Texts

Counts = npt.NDArray[np.int64]

# What begins a comment, as bits. Behind a mark it lasts to the end of the line, else to what closes it.
HASH, SLASHES, DASHES, PERCENT, SEMICOLON, BLOCK, MARKUP, TRIPLE = 1, 2, 4, 8, 16, 32, 64, 128


@compiled
def comment_bytes(texts: Texts, styles: Counts) -> Counts:
    """int64[n]: bytes in comments, marks included; `styles[i]` says how the language of text i writes them.

    Between quotation marks that close in the same line nothing begins a comment. A comment that is never
    closed lasts to the end. Three quotation marks (`TRIPLE`) begin a comment where only white space stands
    before them in the line.
    """
    n = len(texts.starts)
    begin = address(texts.data)
    found = np.zeros(n, np.int64)
    for i in range(n):
        style = styles[i]
        if style == 0:
            continue
        at, end = begin + texts.starts[i], begin + texts.ends[i]
        blank = True  # nothing but white space in this line so far
        while at < end:
            byte = byte_at(at)
            second = byte_at(at + 1) if at + 1 < end else 0
            if byte == 0x0A:
                blank = True
                at += 1
                continue
            stop = at
            if (
                (byte == 0x23 and style & HASH)
                or (byte == 0x2F and second == 0x2F and style & SLASHES)
                or (byte == 0x2D and second == 0x2D and style & DASHES)
                or (byte == 0x25 and style & PERCENT)
                or (byte == 0x3B and style & SEMICOLON)
            ):
                while stop < end and byte_at(stop) != 0x0A:
                    stop += 1
            elif byte == 0x2F and second == 0x2A and style & BLOCK:
                stop += 2
                while stop < end and not (
                    byte_at(stop - 1) == 0x2A and byte_at(stop) == 0x2F and stop > at + 2
                ):
                    stop += 1
                stop = min(stop + 1, end)
            elif byte == 0x3C and second == 0x21 and style & MARKUP:
                stop += 4
                while stop < end and not (
                    byte_at(stop) == 0x3E and byte_at(stop - 1) == 0x2D and byte_at(stop - 2) == 0x2D
                ):
                    stop += 1
                stop = min(stop + 1, end)
            elif (
                (byte == 0x22 or byte == 0x27) and second == byte and at + 2 < end and byte_at(at + 2) == byte
            ):
                stop += 3
                while stop < end and not (
                    byte_at(stop) == byte
                    and byte_at(stop - 1) == byte
                    and byte_at(stop - 2) == byte
                    and stop > at + 4
                ):
                    stop += 1
                stop = min(stop + 1, end)
                if not (blank and style & TRIPLE):
                    at = stop
                    blank = False
                    continue
            elif byte == 0x22 or byte == 0x27 or byte == 0x60:
                close = at + 1
                while close < end and byte_at(close) != byte and byte_at(close) != 0x0A:
                    close += 2 if byte_at(close) == 0x5C else 1
                if close < end and byte_at(close) == byte:
                    at = close
            if stop > at:
                found[i] += stop - at
                at = stop
                continue
            blank = blank and (byte == 0x20 or byte == 0x09)
            at += 1
    return found
