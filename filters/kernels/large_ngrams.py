"""Repeated word n-grams of one large document, counted bin by bin.

The result is that of `ngrams`, whose one table no cache holds once a document has millions of words: each
look misses twice, and it takes up to 62 bytes a token. Here n-grams are brought into bins by the first bits
of their keys, a part of them at a time, and a bin is counted in a table that a cache holds.

Of an n-gram its first place is kept, no hash. An (n+1)-gram is two n-grams, and where both are known by the
place of the first one equal to them, these two places are its key. One that repeats is made of two that
repeat: of others no place is kept. Most memory: 20 bytes a token, which are 4 for the ends of words, and for
bigrams 8 for hashes, 4 for places and 3 for bins, then 8 for two lists of places and 8 for bins; of English
3 to 4 bytes a byte of text, of Chinese 6 to 7.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer
from corpusmill.pipelines.text.kernels.first_places import first_place, table_size
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.large_texts import LargeText
from corpusmill.pipelines.text.mixing import GOLDEN

BIN_BITS, MOST_BIN_BITS = 14, 14
"""A bin is of about 2 to the power of the first n-grams; keys are told apart by at most so many bits."""
AT_ONCE = 1 << 20
"""N-grams that are put into bins at a time, at least."""
USUAL = 1 << 18
"""N-grams of a bin that is counted in a table for all of them; of a larger one few may be distinct."""
BLOCK = 4096
"""N-grams that are counted together of a bin for which there is no room."""
NONE = np.uint32(0xFFFFFFFF)
"""In place of the first place of an n-gram that does not repeat."""

Chosen = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.uint32]

_HALF = np.uint64(32)


class Table(NamedTuple):
    """The distinct keys of a large bin: `slots` as in `first_places`, of which `size` are used, and by number
    the key, first place and count of each of the `distinct` ones."""

    slots: Hashes
    keys: Hashes
    places: Places
    counts: Places
    size: int
    distinct: int


class Most(NamedTuple):
    """The most frequent n-gram, the earliest among equals: how often it occurs, and its first place."""

    times: int
    place: int


def ngram_characters(text: LargeText, top: Chosen, repeated: Chosen) -> tuple[Counts, Counts]:
    """As `ngrams.ngram_characters` of one document: int64[N + 1] each, for which `top` and `repeated`,
    bool[N + 1], say what to compute.

    Raises OverflowError for 2**32 - 1 words and more.
    """
    n = text.word_count()
    if n >= int(NONE):
        raise OverflowError(
            f"a document of {n:,} words: n-grams of up to {int(NONE) - 1:,} words are counted"
        )
    hashes, ends = np.empty(n, np.uint64), np.zeros(n + 1, np.uint32)
    done, characters = 0, 0
    for _, words, _ in text.words():
        many = int(words.lasts[0])
        hashes[done : done + many] = words.hashes[:many]
        sums = np.cumsum(words.characters[:many]) + characters
        ends[done + 1 : done + many + 1] = sums.astype(np.uint32)  # modulo 2**32: only differences are asked
        done, characters = done + many, int(sums[-1]) if many else characters
    tops, duplicates = np.zeros(len(top), np.int64), np.zeros(len(top), np.int64)
    wanted = np.flatnonzero(top | repeated)
    shorter, firsts = np.empty(0, np.uint32), np.empty(n, np.uint32)
    for k in range(1, min(int(wanted.max(initial=0)), n) + 1):
        if k == 1 and not (top[1] or repeated[1]):
            continue
        if k == 3:
            hashes = np.empty(0, np.uint64)
            shorter, firsts = firsts, np.empty(n, np.uint32)
        elif k > 3:
            shorter, firsts = firsts, shorter
        most = find_firsts(k, n, hashes, shorter, firsts, AT_ONCE)
        if top[k]:
            length = int(ends[most.place + k] - ends[most.place])
            tops[k] = (length + k - 1) * most.times
        if repeated[k]:
            duplicates[k] = read(firsts, ends, k)
    return tops, duplicates


@compiled
def find_firsts(k: int, n_words: int, hashes: Hashes, shorter: Places, firsts: Places, at_once: int) -> Most:
    """Fill `firsts` uint32[n_words] with the place of the first k-gram equal to that of each place, `NONE`
    for one that does not repeat; returns the most frequent one, 1 and 0 where none repeats.

    `hashes` uint64[n_words] of words are asked for up to bigrams, then `shorter`: `firsts` for k - 1. A
    quarter of the n-grams, of longer ones than bigrams two thirds, and `at_once` if that is more, are put
    into bins at a time.
    """
    end = n_words - k + 1
    bits = 1
    while bits < MOST_BIN_BITS and end >> bits > 1 << BIN_BITS:
        bits += 1
    bins, shift = 1 << bits, np.uint64(64 - bits)
    bounds = np.zeros(bins + 1, np.int64)
    _bin_sizes(k, hashes, shorter, end, shift, bounds)
    firsts[:] = NONE
    total = bounds[bins]
    room = min(max(total // 4 if k <= 2 else 2 * total // 3, at_once), total)
    keys, places = np.empty(room, np.uint64), np.empty(room, np.uint32)
    slots, counts = np.empty(table_size(USUAL), np.uint64), np.empty(USUAL, np.uint32)
    most, table = Most(1, 0), _new_table(1 << 10)
    low = 0
    while low < bins:
        high = low
        while high < bins and bounds[high + 1] - bounds[low] <= room:
            high += 1
        if high == low:
            table, most = _count_bin_in_blocks(k, hashes, shorter, end, shift, low, table, firsts, most)
            low += 1
            continue
        _fill_bins(k, hashes, shorter, end, shift, low, high, bounds, keys, places)
        for b in range(low, high):
            first, last = bounds[b] - bounds[low], bounds[b + 1] - bounds[low]
            if last - first <= USUAL:
                most = _count_bin(keys, places, first, last, slots, counts, firsts, most)
            else:
                table, most = _count(_cleared(table), keys, places, first, last, firsts, most)
        low = high
    return most


@compiled
def _bin_sizes(k: int, hashes: Hashes, shorter: Places, end: int, shift: Any, bounds: Counts) -> None:
    """Fill `bounds` with the numbers at which bins begin and end, if n-grams are ordered by bin."""
    if k <= 2:
        for p in range(end):
            key = mix(hashes[p] * GOLDEN + hashes[p + 1]) if k == 2 else hashes[p]
            bounds[np.uint64(key >> shift) + np.uint64(1)] += 1
    else:
        for p in range(end):
            one, two = shorter[p], shorter[p + 1]
            if one != NONE and two != NONE:
                key = mix(np.uint64(one) << _HALF | np.uint64(two))
                bounds[np.uint64(key >> shift) + np.uint64(1)] += 1
    for b in range(len(bounds) - 1):
        bounds[b + 1] += bounds[b]


@compiled
def _fill_bins(
    k: int,
    hashes: Hashes,
    shorter: Places,
    end: int,
    shift: Any,
    low: int,
    high: int,
    bounds: Counts,
    keys: Hashes,
    places: Places,
) -> None:
    """Put the n-grams of bins `low` to `high` into `keys` and `places` by bin, their places ascending."""
    fill = bounds[low:high] - bounds[low]
    for p in range(end):
        if k <= 2:
            key = mix(hashes[p] * GOLDEN + hashes[p + 1]) if k == 2 else hashes[p]
        else:
            one, two = shorter[p], shorter[p + 1]
            if one == NONE or two == NONE:
                continue
            key = mix(np.uint64(one) << _HALF | np.uint64(two))
        b = integer(key >> shift) - low
        if 0 <= b < high - low:
            at = np.uint64(fill[b])
            keys[at], places[at] = key, p
            fill[b] += 1


@compiled
def _count_bin(
    keys: Hashes,
    places: Places,
    start: int,
    stop: int,
    slots: Hashes,
    counts: Places,
    firsts: Places,
    most: Most,
) -> Most:
    """Count the n-grams `start` to `stop`, at most `USUAL`, and write `firsts` of those that repeat."""
    best, at = most
    size = table_size(stop - start)
    slots[:size] = 0
    bin_keys, bin_places = keys[start:stop], places[start:stop]
    for j in range(stop - start):
        number = first_place(slots, size - 1, bin_keys, j, bin_keys[j])
        if number == j:
            counts[j] = 1
            continue
        first, count = bin_places[number], integer(counts[number]) + 1
        counts[number] = count
        firsts[bin_places[j]] = first
        if count == 2:
            firsts[first] = first
        if count > best or (count == best and first < at):
            best, at = count, integer(first)
    return Most(best, at)


@compiled
def _count_bin_in_blocks(
    k: int,
    hashes: Hashes,
    shorter: Places,
    end: int,
    shift: Any,
    chosen: int,
    table: Table,
    firsts: Places,
    most: Most,
) -> tuple[Table, Most]:
    """Count the n-grams of one bin, however many there are, without a list of them."""
    keys, places = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint32)
    table, n = _cleared(table), 0
    for p in range(end):
        if k <= 2:
            key = mix(hashes[p] * GOLDEN + hashes[p + 1]) if k == 2 else hashes[p]
        else:
            one, two = shorter[p], shorter[p + 1]
            if one == NONE or two == NONE:
                continue
            key = mix(np.uint64(one) << _HALF | np.uint64(two))
        if integer(key >> shift) == chosen:
            keys[n], places[n] = key, p
            n += 1
            if n == BLOCK:
                table, most = _count(table, keys, places, 0, n, firsts, most)
                n = 0
    return _count(table, keys, places, 0, n, firsts, most)


@compiled
def _new_table(room: int) -> Table:
    """A table for `room` distinct keys."""
    slots = np.zeros(table_size(room), np.uint64)
    counts = np.empty(room, np.uint32)
    return Table(slots, np.empty(room, np.uint64), np.empty(room, np.uint32), counts, len(slots), 0)


@compiled
def _cleared(table: Table) -> Table:
    """The table without keys."""
    size = min(16, len(table.slots))
    table.slots[:size] = 0
    return Table(table.slots, table.keys, table.places, table.counts, size, 0)


@compiled
def _wider(table: Table) -> Table:
    """The table with twice as many slots in use, in new arrays where it has no more."""
    size, room = 2 * table.size, len(table.keys)
    slots, keys, places, counts = table.slots, table.keys, table.places, table.counts
    if size > len(slots):
        slots, room = np.empty(size, np.uint64), 2 * room
        keys, places, counts = np.empty(room, np.uint64), np.empty(room, np.uint32), np.empty(room, np.uint32)
        for d in range(table.distinct):
            keys[d], places[d], counts[d] = table.keys[d], table.places[d], table.counts[d]
    slots[:size] = 0
    for d in range(table.distinct):
        first_place(slots, size - 1, keys, d, keys[d])
    return Table(slots, keys, places, counts, size, table.distinct)


@compiled
def _count(
    table: Table, keys: Hashes, places: Places, start: int, stop: int, firsts: Places, most: Most
) -> tuple[Table, Most]:
    """Enter the n-grams `start` to `stop`, whose places ascend, and write `firsts` of those that repeat."""
    # An array is counted as a reference whenever it is taken out of a tuple: once here, not in the loop.
    slots, known, known_at, counts, size, distinct = table
    best, at = most
    for j in range(start, stop):
        if 2 * distinct >= size:
            slots, known, known_at, counts, size, distinct = _wider(
                Table(slots, known, known_at, counts, size, distinct)
            )
        key, place = keys[j], places[j]
        known[distinct] = key
        number = first_place(slots, size - 1, known, distinct, key)
        if number == distinct:
            known_at[distinct], counts[distinct] = place, 1
            distinct += 1
            continue
        first, count = known_at[number], integer(counts[number]) + 1
        counts[number] = count
        firsts[place] = first
        if count == 2:
            firsts[first] = first
        if count > best or (count == best and first < at):
            best, at = count, integer(first)
    return Table(slots, known, known_at, counts, size, distinct), Most(best, at)


@compiled
def read(firsts: Places, ends: Places, k: int) -> int:
    """Code points of the k-grams seen before, read from left to right: `ngrams.ngram_characters`."""
    n = len(firsts) - k + 1
    passed = np.zeros((n >> 3) + 1, np.uint8)
    characters = free = 0
    for p in range(n):
        first = firsts[p]
        if first == NONE or p < free:
            continue
        byte, bit = first >> np.uint32(3), np.uint8(1 << (integer(first) & 7))
        if passed[byte] & bit:
            characters += integer(np.uint32(ends[p + k] - ends[p]))
            free = p + k
        else:
            passed[byte] |= bit
    return characters
