"""The words of a document that benchmark items are told by, and those that are no numbers: its plain words.

Legend: W words of a document, V those that are plain.

What is left of markup is no word: an entity of HTML (`&nbsp;`, `&#39;`), and the name in a tag without
attributes (`<b>`, `</p>`, `<br />`).

A word is a number if its first or its last character is a decimal digit: 12, 2x, 7am, x1; or if it is a
numeral of English or Chinese: seventeen, 七. Texts that differ in their numbers alone have the same plain
words, however many words the numbers are (1,200 is two, 95 one).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.words import DIGIT, MULTIPLIER, SKIP, words
from corpusmill.pipelines.text.compiled import compiled, inlined
from corpusmill.pipelines.text.kernels.decode import decode
from corpusmill.pipelines.text.mixing import MURMUR3, mixed

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

NUMERALS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
    *("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
    *("hundred", "thousand", "million", "billion", *"零〇一二两三四五六七八九十百千万亿"),
)


def _hashes_of(found: tuple[str, ...]) -> Hashes:
    """The hashes that `words.words` gives these words, which are in their normal form, ascending."""
    hashes = np.zeros(len(found), np.uint64)
    with np.errstate(over="ignore"):
        for i, word in enumerate(found):
            for char in word:
                hashes[i] = (hashes[i] ^ np.uint64(ord(char))) * MULTIPLIER
        return np.sort(mixed(hashes, MURMUR3))


_NUMERALS = _hashes_of(NUMERALS)
_SIEVE = np.zeros(4096, np.bool_)
_SIEVE[_NUMERALS & np.uint64(4095)] = True


@inlined
def _is_numeral(hashed: np.uint64) -> bool:
    if not _SIEVE[hashed & np.uint64(4095)]:
        return False
    at = np.searchsorted(_NUMERALS, hashed)
    return bool(at < len(_NUMERALS) and _NUMERALS[at] == hashed)


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
        if not entry & DIGIT and not _is_numeral(hash_W[w]):
            hash_V[n] = hash_W[w]
            word_V[n] = w
            n += 1
        before = end
    return n


LONGEST_NAME = 31  # characters of an entity of HTML
AMPERSAND, HASH, SEMICOLON = ord("&"), ord("#"), ord(";")
LESS, GREATER, SLASH, SPACE = ord("<"), ord(">"), ord("/"), ord(" ")


@inlined
def _is_letter_or_digit(byte: int) -> bool:
    return 48 <= byte <= 57 or 97 <= byte | 32 <= 122


@inlined
def _is_markup(data: Bytes, start: int, at: int, end: int) -> bool:
    """Whether the word before `at` is of an entity or a tag of the text `data[start:end]`."""
    if at == end:
        return False
    entity = data[at] == SEMICOLON
    if not entity:
        slash = at + 1 if data[at] == SPACE else at
        closed = slash + 1 < end and data[slash] == SLASH and data[slash + 1] == GREATER
        if data[at] != GREATER and not closed:
            return False
    first = at
    while first > start and at - first <= LONGEST_NAME and _is_letter_or_digit(data[first - 1]):
        first -= 1
    if first in (start, at) or at - first > LONGEST_NAME:
        return False
    before = data[first - 1]
    if entity:
        return bool(
            before == AMPERSAND or (before == HASH and first - 1 > start and data[first - 2] == AMPERSAND)
        )
    return bool(before == LESS or (before == SLASH and first - 1 > start and data[first - 2] == LESS))


@compiled
def item_words(
    data: Bytes,
    start: int,
    end: int,
    table: npt.NDArray[np.uint32],
    hash_W: Hashes,
    end_W: Integers,
    hash_V: Hashes,
    word_V: Integers,
) -> tuple[int, int]:
    """Hashes of the words of `data[start:end]` and the bytes after each; of the plain ones their hashes and
    places among the words. Returns the numbers of both.

    Room as for `words.words`. What is left of markup is left out.
    """
    n = words(data, start, end, table, np.bool_(False), hash_W, end_W)
    n_plain = plain_words(data, start, hash_W, end_W, n, table, hash_V, word_V)
    kept, kept_plain, v = 0, 0, 0
    for w in range(n):
        plain = v < n_plain and word_V[v] == w
        if not _is_markup(data, start, end_W[w], end):
            hash_W[kept], end_W[kept] = hash_W[w], end_W[w]
            if plain:
                hash_V[kept_plain], word_V[kept_plain] = hash_V[v], kept
                kept_plain += 1
            kept += 1
        v += plain
    return kept, kept_plain
