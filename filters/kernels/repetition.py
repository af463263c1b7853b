"""Repeated lines, paragraphs and word n-grams of each document.

Every count is over 64-bit hashes in an open-addressed table that belongs to the kernel's call, is reused
from document to document by stamping its slots, and grows with the largest document (32 bytes a token).

n-grams are counted from the shortest up: a word n-gram can only repeat where both (n-1)-grams inside it
repeat, so after bigrams only those places are looked at. The result is that of counting all of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.filters.kernels.lines import strip_left, strip_right
from corpusmill.filters.kernels.words import (
    BUFFER,
    FNV_PRIME,
    FNV_START,
    Bytes,
    Hashes,
    Offsets,
    Table,
    buffer,
    fill_words,
    new_place,
)  # fmt: skip
from corpusmill.pipelines.kernels.compiled import compiled, integer

MIX_A = np.uint64(0xBF58476D1CE4E5B9)
MIX_B = np.uint64(0x94D049BB133111EB)
STEP = np.uint64(0x9E3779B97F4A7C15)
SHIFT_A, SHIFT_B, SHIFT_C = np.uint64(30), np.uint64(27), np.uint64(31)

Slots = npt.NDArray[np.int32]


@compiled
def mix(value: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads every bit over all bits."""
    value = (value ^ (value >> SHIFT_A)) * MIX_A
    value = (value ^ (value >> SHIFT_B)) * MIX_B
    return value ^ (value >> SHIFT_C)


@compiled
def find_slot(keys: Hashes, stamps: Slots, mask: int, stamp: int | np.int32, key: np.uint64) -> int:
    """Slot of `key` among the `mask + 1` first; free (stamps[slot] != stamp) where it is not there yet."""
    slot = integer(key & np.uint64(mask))
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def _table_size(entries: int) -> int:
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@compiled
def table_for_lines(offsets: Offsets, data: Bytes) -> int:
    """Slots that hold the lines of the document with most line feeds at half load."""
    most = 0
    for i in range(len(offsets) - 1):
        feeds = 0
        for at in range(offsets[i], offsets[i + 1]):
            feeds += data[at] == 0x0A
        most = max(most, feeds)
    return _table_size(most + 1)


@compiled
def duplicate_spans(
    table: Table, offsets: Offsets, data: Bytes, breaks: int, strip: bool
) -> npt.NDArray[np.int64]:
    """int64[n, 3] of each document cut at every run of `breaks` or more line feeds:
    pieces, pieces seen before in it, code points of those.

    `strip`: cut white space off both ends of the document first. Pieces before a leading and behind a
    trailing run of line feeds are empty and count, as `re.split` yields them.
    """
    n = len(offsets) - 1
    result = np.zeros((n, 3), np.int64)
    size = table_for_lines(offsets, data)
    keys, stamps = np.empty(size, np.uint64), np.full(size, -1, np.int32)
    for i in range(n):
        at, end = offsets[i], offsets[i + 1]
        if strip:
            at = strip_left(table, data, at, end)
            end = strip_right(table, data, at, end)
        pieces = repeated = characters = 0
        more = True
        while more:
            value, length = FNV_START, 0
            more = False
            while at < end:
                byte = data[at]
                if byte == 0x0A:
                    run = at + 1
                    while run < end and data[run] == 0x0A:
                        run += 1
                    if run - at >= breaks:
                        at = run
                        more = True
                        break
                value = (value ^ np.uint64(byte)) * FNV_PRIME
                length += (byte & 0xC0) != 0x80
                at += 1
            pieces += 1
            key = mix(value)
            slot = find_slot(keys, stamps, size - 1, i, key)
            if stamps[slot] == i:
                repeated += 1
                characters += length
            else:
                keys[slot], stamps[slot] = key, i
        result[i, 0], result[i, 1], result[i, 2] = pieces, repeated, characters
    return result


@compiled
def ngram_characters(
    table: Table,
    offsets: Offsets,
    data: Bytes,
    top: npt.NDArray[np.bool_],
    repeated: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Code points covered by repeated word n-grams of each document: (top, duplicate), both int64[n, N].

    Column k is about n = k; `top[k]` and `repeated[k]` (bool[N]) say which to compute, the others stay 0.
    Top: those of the most frequent n-gram (the earliest among equals), its words joined by spaces, times
    its number of occurrences, be it 1. Duplicate: read left to right, an n-gram seen before counts with all
    its code points (no spaces) and n words are passed over, else one word is. 0 with under n words.
    """
    n_docs, largest = len(offsets) - 1, len(top) - 1
    tops, duplicates = np.zeros((n_docs, largest + 1), np.int64), np.zeros((n_docs, largest + 1), np.int64)
    deepest = 0
    for k in range(1, largest + 1):
        if top[k] or repeated[k]:
            deepest = k
    hashes, lengths, flags, stops = buffer(BUFFER)
    room = 4 * BUFFER
    words, ends = np.empty(room, np.uint64), np.zeros(room + 1, np.int64)
    grams, slots = np.empty(room, np.uint64), np.empty(room, np.int32)
    size = _table_size(room)
    keys, stamps, counts = np.empty(size, np.uint64), np.full(size, -1, np.int32), np.empty(size, np.int32)
    passed = np.empty(size, np.bool_)
    stamp = np.int32(-1)
    for i in range(n_docs):
        n_words, end = 0, offsets[i + 1]
        place = new_place(offsets[i])
        while place[0] < end:
            if n_words + BUFFER > room:
                room *= 2
                wider, further = np.empty(room, np.uint64), np.zeros(room + 1, np.int64)
                wider[:n_words], further[: n_words + 1] = words[:n_words], ends[: n_words + 1]
                words, ends = wider, further
            found = fill_words(table, data, place, end, hashes, lengths, flags, stops)
            for p in range(found):
                words[n_words] = mix(hashes[p])
                ends[n_words + 1] = ends[n_words] + lengths[p]
                n_words += 1
        if len(grams) < n_words:
            grams, slots = np.empty(room, np.uint64), np.empty(room, np.int32)
            size = _table_size(room)
            keys, stamps = np.empty(size, np.uint64), np.full(size, -1, np.int32)
            counts, passed = np.empty(size, np.int32), np.empty(size, np.bool_)
        mask = _table_size(n_words) - 1
        # slots[p]: where the n-gram at word p stands, or -1 when it is known to occur only there.
        for p in range(n_words):
            grams[p], slots[p] = words[p], 0
        for k in range(1, deepest + 1):
            places = n_words - k + 1
            if places < 1:
                break
            stamp += 1
            candidates = 0
            for p in range(places):
                # Bigrams are all counted: single words repeat nearly everywhere.
                if k > 2 and (slots[p] < 0 or slots[p + 1] < 0):
                    continue
                if k > 1:
                    grams[p] = mix(grams[p] * STEP + words[p + k - 1])
                elif not (top[1] or repeated[1]):
                    continue
                slot = find_slot(keys, stamps, mask, stamp, grams[p])
                if stamps[slot] == stamp:
                    counts[slot] += 1
                else:
                    keys[slot], stamps[slot], counts[slot], passed[slot] = grams[p], stamp, 1, False
                candidates += 1
            best, best_place = 1, 0
            for p in range(places):
                known = k <= 2 or (slots[p] >= 0 and slots[p + 1] >= 0)
                if k == 1 and not (top[1] or repeated[1]):
                    continue
                slot = -1
                if known:
                    slot = find_slot(keys, stamps, mask, stamp, grams[p])
                    if counts[slot] > best:
                        best, best_place = counts[slot], p
                    if counts[slot] < 2:
                        slot = -1
                slots[p] = slot
            if top[k]:
                tops[i, k] = (ends[best_place + k] - ends[best_place] + k - 1) * best
            if repeated[k] and candidates:
                p, characters = 0, 0
                while p < places:
                    slot = slots[p]
                    if slot >= 0 and passed[slot]:
                        characters += ends[p + k] - ends[p]
                        p += k
                    else:
                        if slot >= 0:
                            passed[slot] = True
                        p += 1
                duplicates[i, k] = characters
            if candidates == 0 and k > 2:
                # Nothing repeats any more: longer n-grams neither; the top one is the first, once.
                for longer in range(k + 1, deepest + 1):
                    if top[longer] and n_words >= longer:
                        tops[i, longer] = ends[longer] + longer - 1
                break
    return tops, duplicates
