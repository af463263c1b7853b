"""Blocks of a page: texts that no break parts, with what can be counted in each.

A block is what the content model judges: the texts between two breaks (ends and beginnings of elements that
stand on lines of their own, and `br`), as far as they are shown and hold more than white space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.extraction.kernels.outline import Outline
from corpusmill.pipelines.extraction.kernels.word_weights import WordWeights, slot_of
from corpusmill.pipelines.extraction.tags import BREAKS, INLINE, NUMBERS
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import address, byte_at

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


_LI, _OL, _UL, _MENU, _DIR = (NUMBERS[name] for name in ("li", "ol", "ul", "menu", "dir"))
_START, _VALUE, _REVERSED = (int.from_bytes(name, "big") for name in (b"start", b"value", b"reversed"))
NO_ITEM, NO_NUMBER = -2, -1


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
        if not page.shown[t] or _blank(address(data) + page.begin[t], address(data) + page.end[t]):
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
def _blank(place: int, end: int) -> bool:  # pragma: no cover - compiled
    """Whether what stands between two addresses is white space and no-break spaces, written `&nbsp;`."""
    while place < end:
        c = byte_at(place)
        if c == 38 and place + 5 < end and byte_at(place + 1) == 110 and byte_at(place + 2) == 98:
            place += 6
        elif c <= 32:
            place += 1
        else:
            return False
    return True


@compiled
def items_of(
    data: npt.NDArray[np.uint8], page: Outline, blocks: Blocks
) -> npt.NDArray[np.int32]:  # pragma: no cover - compiled
    """int32[blocks]: of the first block of an item of a list the item's number, or `NO_NUMBER`; `NO_ITEM` of
    every other block."""
    found = np.full(len(blocks.element), NO_ITEM, np.int32)
    numbers = numbers_of(data, page)
    for e in range(1, len(page.tag)):
        if page.tag[e] == _LI:
            b = blocks.first_of[page.first_text[e]]
            if b < blocks.first_of[page.end_text[e]]:
                found[b] = numbers[e]
    return found


@compiled
def numbers_of(
    data: npt.NDArray[np.uint8], page: Outline
) -> npt.NDArray[np.int32]:  # pragma: no cover - compiled
    """int32[elements]: the number of each item of an `ol`, `NO_NUMBER` of every other element.

    Numbers are those of HTML ("The ol element", 4.4.5): they begin with `start`, or 1, or where the list is
    `reversed` with the number of its items, and go on from an item's `value`. One below zero or of more than
    eight digits counts as not given, and items that count down beyond zero have none.
    """
    elements = len(page.tag)
    found = np.full(elements, NO_NUMBER, np.int32)
    owner, items = np.zeros(elements, np.int32), np.zeros(elements, np.int32)
    for e in range(1, elements):
        kind = page.tag[e]
        owner[e] = e if kind in (_OL, _UL, _MENU, _DIR) else owner[page.parent[e]]
        items[owner[e]] += kind == _LI
    following, step = np.full(elements, NO_NUMBER, np.int32), np.ones(elements, np.int32)
    for e in range(1, elements):
        kind = page.tag[e]
        if kind == _OL:
            start = _number_given(data, page.opening[e], _START, 5)
            following[e] = start if start >= 0 else 1
            if _value_of(data, page.opening[e], _REVERSED, 8) >= 0:
                step[e] = -1
                following[e] = start if start >= 0 else items[e]
        elif kind == _LI and page.tag[owner[e]] == _OL:
            value = _number_given(data, page.opening[e], _VALUE, 5)
            number = value if value >= 0 else following[owner[e]]
            found[e] = number
            following[owner[e]] = max(NO_NUMBER, number + step[owner[e]])
    return found


@compiled
def _number_given(
    data: npt.NDArray[np.uint8], opening: int, name: int, length: int
) -> int:  # pragma: no cover - compiled
    """The number that a tag gives as an attribute, -1 where it gives none of 1 to 8 digits.

    As HTML reads integers, white space and `+` may stand before it, and anything behind it.
    """
    place = _value_of(data, opening, name, length)
    if place < 0:
        return -1
    while data[place] in (9, 10, 12, 13, 32):
        place += 1
    place += data[place] == 43
    number = digits = 0
    while 48 <= data[place] <= 57 and digits < 9:
        number, digits = number * 10 + data[place] - 48, digits + 1
        place += 1
    return number if 0 < digits < 9 else -1


@compiled
def _value_of(
    data: npt.NDArray[np.uint8], opening: int, name: int, length: int
) -> int:  # pragma: no cover - compiled
    """Where the value of a tag's attribute begins, -1 where it has none; `name` is `length` bytes.

    The tag's name begins at `opening`; in written-out markup `>` stands in values, quotes only around them.
    """
    place, quoted = opening, False
    while place + length + 3 < len(data) and (quoted or data[place] != 62):
        if data[place] == 34:
            quoted = not quoted
        elif not quoted and data[place] == 32:
            read = 0
            for k in range(1, length + 1):
                read = (read << 8) | data[place + k]
            if read == name and data[place + length + 1] == 61 and data[place + length + 2] == 34:
                return place + length + 3
        place += 1
    return -1


@compiled
def counts_of(
    data: npt.NDArray[np.uint8], page: Outline, blocks: Blocks, weights: WordWeights
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:  # pragma: no cover - compiled
    """float32[blocks, len(COUNTED)], what each block's text holds, and a hash of it without white space.

    Shares are of characters or of words.
    A word is a run of letters and digits, and every ideograph and kana and hangul syllable is one.
    `first_sign`: 0, or 1 capital, 2 digit, 3 not ASCII. `last_sign`: 1 end of a sentence, 2 colon.
    `repeats`: blocks of the page with the same text.
    """
    n = len(blocks.element)
    table = np.zeros((n, len(COUNTED)), np.float32)
    prints = np.zeros(n, np.int64)
    at = address(data)
    begins, ends_of_texts, shown, links_of = page.begin, page.end, page.shown, page.link
    firsts, afters = blocks.first_text, blocks.end_text
    keys, values, last_slot = address(weights.keys), weights.values, len(weights.keys) - 1
    for b in range(n):
        words = characters = linked = links = digits = capitals = ends = commas = wide = bars = letters = 0
        copyright_sign = last = opening = last_link = 0
        total = least = greatest = 0.0
        text_hash, word_hash = 1469598103934665603, 2166136261  # of the text without white space
        in_word = False
        for t in range(firsts[b], afters[b]):
            if not shown[t]:
                continue
            link = links_of[t]
            if link > 0 and link != last_link:
                links += 1
                last_link = link
            place, stop = at + begins[t], at + ends_of_texts[t]
            while place < stop:
                c = byte_at(place)
                if c == 38:  # an entity: &amp; &lt; &gt; &nbsp;
                    c = 32 if place + 1 < stop and byte_at(place + 1) == 110 else 38
                    while place < stop and byte_at(place) != 59:
                        place += 1
                elif c == 0xC2 and place + 1 < stop:
                    copyright_sign |= byte_at(place + 1) == 0xA9
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
                    letter = lower if c < 128 and not digit else c
                    word_hash = ((word_hash ^ letter) * 16777619) & 0xFFFFFFFF
                    in_word = not syllable
                else:
                    if in_word:
                        weight = float(values[slot_of(keys, last_slot, word_hash)])
                        total += weight
                        least, greatest = min(least, weight), max(greatest, weight)
                    in_word, word_hash = False, 2166136261
                    ends += c == 46 or c == 33 or c == 63
                    commas += c == 44
                    bars += c == 124
                place += 1
        if in_word:
            weight = float(values[slot_of(keys, last_slot, word_hash)])
            total, least, greatest = total + weight, min(least, weight), max(greatest, weight)
        prints[b] = text_hash
        by_word, by_character = np.float32(max(words, 1)), np.float32(max(characters, 1))
        table[b, 0], table[b, 1], table[b, 2], table[b, 3] = words, characters, linked / by_character, links
        table[b, 4], table[b, 5] = digits / by_character, capitals / by_word
        table[b, 6], table[b, 7] = ends / by_word, commas / by_word
        # The last byte of an ideographic full stop is 0x82, of a full-width exclamation mark 0x81, ...
        table[b, 8] = 1 if last == 46 or last == 33 or last == 63 or last == 0x82 else 2 if last == 58 else 0
        table[b, 9] = 1 if 65 <= opening <= 90 else 2 if 48 <= opening <= 57 else 3 if opening >= 128 else 0
        table[b, 10], table[b, 11] = letters / by_word, wide / by_character
        table[b, 12], table[b, 13] = copyright_sign, bars / by_word
        table[b, 15], table[b, 16], table[b, 17] = total / by_word, least, greatest
    repeats = equal_keys(prints)[0]
    for b in range(n):
        table[b, _REPEATS] = repeats[b]
    return table, prints


@compiled
def equal_keys(
    keys: npt.NDArray[np.int64],
) -> tuple[
    npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]
]:  # pragma: no cover - compiled
    """(count, position, first): how many keys equal each one, how many of them stand before it, the first."""
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
    return count, position, leader
