"""Repeated word n-grams of one large document, counted bin by bin.

The result is that of `ngrams`, whose one table no cache holds once a document has millions of words: each
look misses twice, and it takes up to 62 bytes a token. Here n-grams are brought into bins by the first bits
of their keys, a part of them at a time, and a bin is counted in a table that a cache holds.

Of an n-gram its first place is kept, no hash. An (n+1)-gram is two n-grams, and where both are known by the
place of the first one equal to them, these two places are its key. One that repeats is made of two that
repeat: of others no place is kept.

Most memory: 11 bytes a token. The hashes of the shortest n-grams, 8, give way to their first places one by
one, and these and those of one word more then fit where the hashes were; 1 for the length of a word, 2 for
bins. Of English that is 2 to 3 bytes a byte of text, of Chinese 4, of signs that are a token each 11.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, inlined, integer
from corpusmill.pipelines.text.kernels.first_places import first_place, table_size
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.large_texts import LargeText
from corpusmill.pipelines.text.mixing import GOLDEN

BIN_BITS, MOST_BIN_BITS = 14, 14
"""A bin is of about 2 to the power of the first n-grams; keys are told apart by at most so many bits."""
AT_ONCE = 1 << 20
"""N-grams that are put into bins at a time, at least."""
PASSES = 6
"""About how often n-grams are looked at to put them into bins: a sixth of them at a time."""
USUAL = 1 << 18
"""N-grams of a bin that is counted in a table for all of them; of a larger one few may be distinct."""
BLOCK = 4096
"""N-grams that are counted together of a bin for which there is no room."""
NONE = np.uint32(0xFFFFFFFF)
"""In place of the first place of an n-gram that does not repeat."""
LONG = 255
"""Characters of a word from which its length is kept apart."""

Chosen = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.uint32]
Firsts = npt.NDArray[np.uint64] | npt.NDArray[np.uint32]

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


class Lengths(NamedTuple):
    """Code points of n words: `short`, uint8[n], of those of under `LONG`; of the others, whose places are
    `places` in ascending order, `long`, int64 each."""

    short: npt.NDArray[np.uint8]
    places: Counts
    long: Counts


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
    tops, duplicates = np.zeros(len(top), np.int64), np.zeros(len(top), np.int64)
    deepest = min(int(np.flatnonzero(top | repeated).max(initial=0)), n)
    shortest = 1 if top[1] or repeated[1] else 2
    if deepest < shortest:
        return tops, duplicates
    grams, lengths = _words_of(text, n)
    if shortest == 2:
        pair_up(grams)
    halves = grams.view(np.uint32)
    shorter, firsts = halves[:n], halves[n:]
    for k in range(shortest, deepest + 1):
        if k == shortest:
            most = find_firsts(True, k, grams, grams, AT_ONCE)
            keep_low_halves(grams, shorter)
        else:
            most = find_firsts(False, k, shorter, firsts, AT_ONCE)
            shorter, firsts = firsts, shorter
        if top[k]:
            tops[k] = (characters_of(lengths, most.place, k) + k - 1) * most.times
        if repeated[k]:
            duplicates[k] = read(shorter, lengths, k)
    return tops, duplicates


def _words_of(text: LargeText, n: int) -> tuple[Hashes, Lengths]:
    """Hashes and lengths of its `n` words."""
    hashes, short = np.empty(n, np.uint64), np.empty(n, np.uint8)
    places, longer = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    done = 0
    for _, words, _ in text.words():
        many = int(words.lasts[0])
        characters = words.characters[:many]
        hashes[done : done + many] = words.hashes[:many]
        short[done : done + many] = np.minimum(characters, LONG)
        long = np.flatnonzero(characters >= LONG)
        places.append(long + done)
        longer.append(characters[long])
        done += many
    return hashes, Lengths(short, np.concatenate(places), np.concatenate(longer))


@compiled
def pair_up(hashes: Hashes) -> None:
    """Bigrams for words, each in place of its first one; the last word stays."""
    for p in range(len(hashes) - 1):
        hashes[p] = mix(hashes[p] * GOLDEN + hashes[p + 1])


@compiled
def keep_low_halves(grams: Hashes, halves: Places) -> None:
    """The lower halves of `grams` to `halves`, which are its beginning."""
    for p in range(len(grams)):
        halves[p] = np.uint32(grams[p] & np.uint64(NONE))


@compiled
def find_firsts(keyed: bool, k: int, source: Firsts, firsts: Firsts, at_once: int) -> Most:
    """Fill `firsts` [n] with the place of the first k-gram equal to that of each place, `NONE` for one that
    does not repeat; returns the most frequent one, 1 and 0 where none repeats.

    With `keyed`, `source` and `firsts` are one uint64[n] of the keys of k-grams, which first places replace;
    else `source` uint32[n] is `firsts` of k - 1. One n-gram in `PASSES`, and `at_once` if that is more, are
    put into bins at a time.
    """
    end = len(source) - k + 1
    bits = 1
    while bits < MOST_BIN_BITS and end >> bits > 1 << BIN_BITS:
        bits += 1
    bins, shift = 1 << bits, np.uint64(64 - bits)
    bounds = np.zeros(bins + 1, np.int64)
    for p in range(end):
        known, key = _key(keyed, source, p)
        if known:
            bounds[np.uint64(key >> shift) + np.uint64(1)] += 1
    for b in range(bins):
        bounds[b + 1] += bounds[b]
    firsts[end if keyed else 0 :] = NONE
    total = bounds[bins]
    room = min(max(total // PASSES, at_once), total)
    keys, places = np.empty(room, np.uint64), np.empty(room, np.uint32)
    slots, counts = np.empty(table_size(USUAL), np.uint64), np.empty(USUAL, np.uint32)
    most, table = Most(1, 0), _new_table(1 << 10)
    low = 0
    while low < bins:
        high = low
        while high < bins and bounds[high + 1] - bounds[low] <= room:
            high += 1
        if high == low:
            table, most = _count_bin_in_blocks(keyed, source, end, shift, low, table, firsts, most)
            low += 1
            continue
        _fill_bins(keyed, source, end, shift, low, high, bounds, keys, places, firsts)
        for b in range(low, high):
            first, last = bounds[b] - bounds[low], bounds[b + 1] - bounds[low]
            if last - first <= USUAL:
                most = _count_bin(keys, places, first, last, slots, counts, firsts, most)
            else:
                table, most = _count(_cleared(table), keys, places, first, last, firsts, most)
        low = high
    return most


@inlined
def _key(keyed: bool, source: Firsts, p: int) -> tuple[bool, Any]:
    """Whether the n-gram at `p` may repeat, and its key.

    Of keys whose bin is counted only the first place is left, which stands for a key of the first bin: that
    one is counted before all others.
    """
    if keyed:
        return True, np.uint64(source[p])
    one, two = source[p], source[p + 1]
    return one != NONE and two != NONE, mix(np.uint64(one) << _HALF | np.uint64(two))


@compiled
def _fill_bins(
    keyed: bool,
    source: Firsts,
    end: int,
    shift: Any,
    low: int,
    high: int,
    bounds: Counts,
    keys: Hashes,
    places: Places,
    firsts: Firsts,
) -> None:
    """Put the n-grams of bins `low` to `high` into `keys` and `places` by bin, their places ascending."""
    fill = bounds[low:high] - bounds[low]
    for p in range(end):
        known, key = _key(keyed, source, p)
        b = integer(key >> shift) - low
        if known and 0 <= b < high - low:
            at = np.uint64(fill[b])
            keys[at], places[at] = key, p
            fill[b] += 1
            firsts[p] = NONE


@compiled
def _count_bin(
    keys: Hashes,
    places: Places,
    start: int,
    stop: int,
    slots: Hashes,
    counts: Places,
    firsts: Firsts,
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
    keyed: bool,
    source: Firsts,
    end: int,
    shift: Any,
    chosen: int,
    table: Table,
    firsts: Firsts,
    most: Most,
) -> tuple[Table, Most]:
    """Count the n-grams of one bin, however many there are, without a list of them."""
    keys, places = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint32)
    table, n = _cleared(table), 0
    for p in range(end):
        known, key = _key(keyed, source, p)
        if known and integer(key >> shift) == chosen:
            keys[n], places[n] = key, p
            firsts[p] = NONE
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
    table: Table, keys: Hashes, places: Places, start: int, stop: int, firsts: Firsts, most: Most
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
def characters_of(lengths: Lengths, p: int, k: int) -> int:
    """Code points of the `k` words from number `p` on."""
    found = 0
    for q in range(p, p + k):
        length = integer(lengths.short[q])
        if length == LONG:
            length = lengths.long[np.searchsorted(lengths.places, q)]
        found += length
    return found


@compiled
def read(firsts: Places, lengths: Lengths, k: int) -> int:
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
            characters += characters_of(lengths, p, k)
            free = p + k
        else:
            passed[byte] |= bit
    return characters
