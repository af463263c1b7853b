"""The words of a document that are no numbers: its plain words.

Legend: W words of a document, V those that are plain.

A word is a number if its first or its last character is a decimal digit: 12, 2x, 7am, x1. Texts that differ
in their numbers alone have the same plain words, however many words the numbers are (1,200 is two, 95 one).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.words import DIGIT, SKIP
from corpusmill.pipelines.text.compiled import compiled, inlined
from corpusmill.pipelines.text.kernels.decode import decode

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


@inlined
def _entry(data: Bytes, at: int, end: int, table: npt.NDArray[np.uint32]) -> tuple[np.uint32, int]:
    byte = data[at]
    if byte < 128:
        return table[byte], at + 1
    code, after = decode(data, at, end)
    return table[code], after


@compiled
def plain_words(
    data: Bytes,
    start: int,
    hash_W: Hashes,
    end_W: Integers,
    n_words: int,
    table: npt.NDArray[np.uint32],
    hash_V: Hashes,
    word_V: Integers,
) -> int:
    """Hashes of the plain words and their places among the words, into arrays of n_words entries.

    `hash_W` and `end_W` are what `words.words` gave of `data` from `start` on. Returns their number.
    """
    n = 0
    before = start
    for w in range(n_words):
        end = end_W[w]
        last = end
        entry = SKIP
        while entry == SKIP and last > before:
            last -= 1
            while last > before and data[last] & 0xC0 == 0x80:
                last -= 1
            entry, _ = _entry(data, last, end, table)
        if not entry & DIGIT:
            entry, at = _entry(data, before, end, table)
            while entry <= SKIP and at < end:
                entry, at = _entry(data, at, end, table)
        if not entry & DIGIT:
            hash_V[n] = hash_W[w]
            word_V[n] = w
            n += 1
        before = end
    return n
