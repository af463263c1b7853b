"""Blocks of a page: texts that no break parts, with what can be counted in each.

A block is what the content model judges: the texts between two breaks (ends and beginnings of elements that
stand on lines of their own, and `br`), as far as they are shown and hold more than white space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.extraction.kernels.outline import Outline
from corpusmill.pipelines.extraction.kernels.word_weights import WordWeights, weight_of
from corpusmill.pipelines.extraction.tags import BREAKS, INLINE, NUMBERS
from corpusmill.pipelines.text.compiled import compiled, integer

if TYPE_CHECKING:
    import numpy.typing as npt

# Columns of `Counts.table`.
COUNTED = (
    "words", "characters", "link_share", "links", "digit_share", "capitalised", "sentence_ends", "commas",
    "last_sign", "first_sign", "letters_a_word", "non_ascii", "copyright", "bars", "repeats", "word_weight",
    "least_word_weight", "greatest_word_weight",
)  # fmt: skip
WORDS, LINK_SHARE, SENTENCE_ENDS, COMMAS, LAST_SIGN, WORD_WEIGHT = (
    COUNTED.index(name)
    for name in ("words", "link_share", "sentence_ends", "commas", "last_sign", "word_weight")
)
_REPEATS = COUNTED.index("repeats")


_LI = NUMBERS["li"]


class Blocks(NamedTuple):
    """Blocks in document order."""

    first_text: npt.NDArray[np.int32]
    """The texts of block b are `first_text[b]:end_text[b]`; those not shown among them say nothing."""
    end_text: npt.NDArray[np.int32]
    element: npt.NDArray[np.int32]
    """The innermost element with lines of its own that block b stands in."""
    first_of: npt.NDArray[np.int32]
    """[texts + 1]: the first block that begins at text t or after it."""


@compiled
def blocks_of(data: npt.NDArray[np.uint8], page: Outline) -> Blocks:  # pragma: no cover - compiled
    """The blocks of a page, `data` being its written-out markup."""
    texts = len(page.begin)
    first, end = np.zeros(texts, np.int32), np.zeros(texts, np.int32)
    element, first_of = np.zeros(texts, np.int32), np.zeros(texts + 1, np.int32)
    count = 0
    for t in range(texts):
        first_of[t] = count
        if not page.shown[t] or _blank(data, page.begin[t], page.end[t]):
            continue
        if count > 0 and page.breaks[first[count - 1], 0] == page.breaks[t, 0]:
            end[count - 1] = t + 1
            continue
        first[count], end[count] = t, t + 1
        e = page.element[t]
        while e > 0 and BREAKS[page.tag[e]] == INLINE:
            e = page.parent[e]
        element[count] = e
        count += 1
    first_of[texts] = count
    return Blocks(first[:count], end[:count], element[:count], first_of)


@compiled
def _blank(data: npt.NDArray[np.uint8], begin: int, end: int) -> bool:  # pragma: no cover - compiled
    """Whether a text is white space and no-break spaces, which are written `&nbsp;`."""
    i = begin
    while i < end:
        if data[i] == 38 and i + 5 < end and data[i + 1] == 110 and data[i + 2] == 98:
            i += 6
        elif data[i] <= 32:
            i += 1
        else:
            return False
    return True


@compiled
def begins_item(page: Outline, blocks: Blocks) -> npt.NDArray[np.bool_]:  # pragma: no cover - compiled
    """bool[blocks]: whether a block is the first of an item of a list."""
    found = np.zeros(len(blocks.element), np.bool_)
    for e in range(1, len(page.tag)):
        if page.tag[e] == _LI:
            b = blocks.first_of[page.first_text[e]]
            if b < blocks.first_of[page.end_text[e]]:
                found[b] = True
    return found


@compiled
def counts_of(
    data: npt.NDArray[np.uint8], page: Outline, blocks: Blocks, weights: WordWeights
) -> npt.NDArray[np.float32]:  # pragma: no cover - compiled
    """float32[blocks, len(COUNTED)]: what each block's text holds; shares are of characters or of words.

    A word is a run of letters and digits, and every ideograph and kana and hangul syllable is one.
    `first_sign`: 0, or 1 capital, 2 digit, 3 not ASCII. `last_sign`: 1 end of a sentence, 2 colon.
    `repeats`: blocks of the page with the same text.
    """
    n = len(blocks.element)
    table = np.zeros((n, len(COUNTED)), np.float32)
    prints = np.zeros(n, np.int64)
    for b in range(n):
        prints[b] = _count(data, page, blocks.first_text[b], blocks.end_text[b], weights, table[b])
    repeats = equal_keys(prints)[0]
    for b in range(n):
        table[b, _REPEATS] = repeats[b]
    return table


@compiled
def _count(
    data: npt.NDArray[np.uint8],
    page: Outline,
    first: int,
    end: int,
    weights: WordWeights,
    row: npt.NDArray[np.float32],
) -> int:  # pragma: no cover - compiled
    """Fill a block's row; returns the hash of its text without white space."""
    words = characters = linked = links = digits = capitals = ends = commas = wide = bars = letters = 0
    copyright_sign = last = opening = last_link = 0
    total = least = greatest = 0.0
    text_hash, word_hash = 1469598103934665603, 2166136261
    in_word = False
    for t in range(first, end):
        if not page.shown[t]:
            continue
        link = page.link[t]
        if link > 0 and link != last_link:
            links += 1
            last_link = link
        i, stop = page.begin[t], page.end[t]
        while i < stop:
            c = integer(data[i])
            if c == 38:  # an entity: &amp; &lt; &gt; &nbsp;
                c = integer(32 if i + 1 < stop and data[i + 1] == 110 else 38)
                while i < stop and data[i] != 59:
                    i += 1
            elif c == 0xC2 and i + 1 < stop:
                copyright_sign |= data[i + 1] == 0xA9
            if c > 32:
                text_hash = (text_hash ^ c) * 1099511628211
                last = c
                if c & 0xC0 != 0x80:
                    characters += 1
                    linked += link > 0
                    opening = c if opening == 0 else opening
            digit, lower = 48 <= c <= 57, c | 32
            if digit or c >= 128 or 97 <= lower <= 122:
                syllable = 0xE3 <= c <= 0xED
                if syllable or (not in_word and c & 0xC0 != 0x80):
                    words += 1
                    capitals += 65 <= c <= 90
                wide += c >= 0xC0
                digits += digit
                letters += not digit and c & 0xC0 != 0x80
                word_hash = ((word_hash ^ (lower if c < 128 and not digit else c)) * 16777619) & 0xFFFFFFFF
                in_word = not syllable
            else:
                if in_word:
                    weight = weight_of(weights, word_hash)
                    total, least, greatest = total + weight, min(least, weight), max(greatest, weight)
                in_word, word_hash = False, 2166136261
                ends += c == 46 or c == 33 or c == 63
                commas += c == 44
                bars += c == 124
            i += 1
    if in_word:
        weight = weight_of(weights, word_hash)
        total, least, greatest = total + weight, min(least, weight), max(greatest, weight)
    by_word, by_character = np.float32(max(words, 1)), np.float32(max(characters, 1))
    row[0], row[1], row[2], row[3] = words, characters, linked / by_character, links
    row[4], row[5], row[6], row[7] = (
        digits / by_character,
        capitals / by_word,
        ends / by_word,
        commas / by_word,
    )
    # The last byte of an ideographic full stop is 0x82, of a full-width exclamation mark 0x81, ...
    row[8] = 1 if last == 46 or last == 33 or last == 63 or last == 0x82 else 2 if last == 58 else 0
    row[9] = 1 if 65 <= opening <= 90 else 2 if 48 <= opening <= 57 else 3 if opening >= 128 else 0
    row[10], row[11], row[12], row[13] = (
        letters / by_word,
        wide / by_character,
        copyright_sign,
        bars / by_word,
    )
    row[15], row[16], row[17] = total / by_word, least, greatest
    return text_hash


@compiled
def equal_keys(
    keys: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:  # pragma: no cover - compiled
    """(count, position): how many keys equal each one, and how many of these stand before it."""
    n = len(keys)
    size = 16
    while size < 2 * n:
        size *= 2
    first = np.full(size, -1, np.int32)
    leader, position, count = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int32)
    for i in range(n):
        slot = ((keys[i] * 0x1E3779B97F4A7C15) >> 40) & (size - 1)
        while first[slot] >= 0 and keys[first[slot]] != keys[i]:
            slot = (slot + 1) & (size - 1)
        if first[slot] < 0:
            first[slot] = i
        leader[i] = first[slot]
        position[i] = count[leader[i]]
        count[leader[i]] += 1
    for i in range(n):
        count[i] = count[leader[i]]
    return count, position
