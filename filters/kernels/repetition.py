"""Repeated lines, paragraphs and word n-grams of each document.

Every count is over 64-bit hashes, each known by the place of the first one equal to it. Places are found in
an open-addressed table of 8 bytes a slot, so that a look at it costs one cache line. Arrays belong to the
kernel's call and grow with the largest document (up to 75 bytes a token); a document clears as much of the
table as it needs.

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
from corpusmill.pipelines.text.compiled import compiled, integer

MIX_A = np.uint64(0xBF58476D1CE4E5B9)
MIX_B = np.uint64(0x94D049BB133111EB)
STEP = np.uint64(0x9E3779B97F4A7C15)
SHIFT_A, SHIFT_B, SHIFT_C = np.uint64(30), np.uint64(27), np.uint64(31)

UPPER = np.uint64(0xFFFFFFFF00000000)
LOWER = np.uint64(0x00000000FFFFFFFF)


@compiled
def mix(value: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads every bit over all bits."""
    value = (value ^ (value >> SHIFT_A)) * MIX_A
    value = (value ^ (value >> SHIFT_B)) * MIX_B
    return value ^ (value >> SHIFT_C)


@compiled
def first_place(slots: Hashes, mask: int, keys: Hashes, place: int, key: np.uint64) -> int:
    """The first place of `key` among the keys entered; where it is new, enter it and return `place`.

    `keys[place]` is `key`, and stays so until the slots are cleared. `slots` uint64[> mask]: 0 where free,
    else the upper half of a key and one more than its place.
    """
    slot = integer(key) & mask
    while slots[slot] != 0:
        if (slots[slot] ^ key) & UPPER == 0:
            earlier = integer(slots[slot] & LOWER) - 1
            if keys[earlier] == key:
                return earlier
        slot = (slot + 1) & mask
    slots[slot] = (key & UPPER) | np.uint64(place + 1)
    return place


@compiled
def table_size(entries: int) -> int:
    """Slots, a power of 2, that hold so many entries at half load."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@compiled
def most_pieces(data: Bytes, at: int, end: int) -> int:
    """One more than the runs of line feeds in `data[at:end]`: no fewer than its lines that are not empty."""
    most, inside = 1, False
    while at < end:
        feed = data[at] == 0x0A
        most += feed and not inside
        inside = feed
        at += 1
    return most


@compiled
def repeated_pieces(slots: Hashes, size: int, keys: Hashes, lengths: Offsets, pieces: int) -> tuple[int, int]:
    """How many of a document's pieces equal an earlier one, and the sum of their `lengths`.

    Clears and uses the first `size` slots. All keys are worked out before, so that looks at slots overlap.
    """
    slots[:size] = 0
    repeated = characters = 0
    for p in range(pieces):
        if first_place(slots, size - 1, keys, p, keys[p]) < p:
            repeated += 1
            characters += lengths[p]
    return repeated, characters


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
    keys, lengths, slots = np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.uint64)
    for i in range(n):
        at, end = offsets[i], offsets[i + 1]
        if strip:
            at = strip_left(table, data, at, end)
            end = strip_right(table, data, at, end)
        # One piece may end with every run of line feeds, and one with the document.
        most = most_pieces(data, at, end)
        size = table_size(most)
        if len(slots) < size:
            slots = np.empty(size, np.uint64)
            keys, lengths = np.empty(size // 2, np.uint64), np.empty(size // 2, np.int64)
        pieces = 0
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
            keys[pieces], lengths[pieces] = mix(value), length
            pieces += 1
        repeated, characters = repeated_pieces(slots, size, keys, lengths, pieces)
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
    grams, firsts = np.empty(room, np.uint64), np.empty(room, np.int64)
    counts, passed = np.empty(room, np.int32), np.empty(room, np.bool_)
    slots = np.empty(table_size(room), np.uint64)
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
            grams, firsts = np.empty(room, np.uint64), np.empty(room, np.int64)
            counts, passed = np.empty(room, np.int32), np.empty(room, np.bool_)
            slots = np.empty(table_size(room), np.uint64)
        grams[:n_words] = words[:n_words]
        # firsts[p]: the first place of the n-gram at word p, or -1 when it is known to occur only there.
        kept = 0
        for k in range(1, deepest + 1):
            places = n_words - k + 1
            if places < 1:
                break
            if k == 1 and not (top[1] or repeated[1]):
                continue
            # Bigrams are all counted: single words repeat nearly everywhere.
            size = table_size(kept if k > 2 else places)
            slots[:size] = 0
            candidates = 0
            for p in range(places):
                if k > 2 and (firsts[p] < 0 or firsts[p + 1] < 0):
                    firsts[p] = -1
                    continue
                gram = grams[p]
                if k > 1:
                    gram = mix(gram * STEP + words[p + k - 1])
                    grams[p] = gram
                first = first_place(slots, size - 1, grams, p, gram)
                if first == p:
                    counts[p], passed[p] = 1, False
                else:
                    counts[first] += 1
                firsts[p] = first
                candidates += 1
            best, best_place, kept = 1, 0, candidates
            for p in range(places):
                first = firsts[p]
                if first < 0:
                    continue
                if counts[first] > best:
                    best, best_place = counts[first], p
                if counts[first] < 2:
                    firsts[p] = -1
                    kept -= 1
            if top[k]:
                tops[i, k] = (ends[best_place + k] - ends[best_place] + k - 1) * best
            if repeated[k] and candidates:
                p, characters = 0, 0
                while p < places:
                    first = firsts[p]
                    if first >= 0 and passed[first]:
                        characters += ends[p + k] - ends[p]
                        p += k
                    else:
                        if first >= 0:
                            passed[first] = True
                        p += 1
                duplicates[i, k] = characters
            if candidates == 0 and k > 2:
                # Nothing repeats any more: longer n-grams neither; the top one is the first, once.
                for longer in range(k + 1, deepest + 1):
                    if top[longer] and n_words >= longer:
                        tops[i, longer] = ends[longer] + longer - 1
                break
    return tops, duplicates
