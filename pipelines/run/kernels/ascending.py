"""Ascending numbers in few bits: what each is more than the one before, by Rice's code.

A list of n distinct numbers below 2^32 has gaps of 2^32 / n on average. A gap is stored as its quotient by
2^k in unary and its remainder in k bits, where 2^k is about 0.69 times that average (Rice 1979; the parameter
after Golomb 1966). Of hashes, whose gaps are geometric, that is within 3% of what is possible: 24 bits of 32
for lists of 500. A list is words of 32 bits, little-endian: its length, then codes from the least significant
bit of each word. Cost: 2 to 4 ns a number.

Legend: N lists, S numbers of all of them, W words.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, inlined, integer

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]

_TYPICAL = 2963527434  # 2^32 times ln 2
_WORD = 32
_LOW = 0xFFFFFFFF
_AT_ONCE = 24  # bits of a unary code written at a time
# Of a power of two below 2^32 the upper five bits of its product with this tell which one it is (Leiserson,
# Prokop and Randall 1998): all runs of five bits in it differ.
_SEQUENCE = 0x077CB531
_PLACE_OF_BIT = np.argsort([((_SEQUENCE << place) & _LOW) >> 27 for place in range(32)])


@inlined
def _remainder_bits(count: int) -> int:
    """k, of a list of so many numbers."""
    left, bits = _TYPICAL // count, 0
    while left > 1:
        left >>= 1
        bits += 1
    return bits


@compiled
def room_for(ends_N1: Integers) -> int:
    """Words that are enough for these lists, whatever is in them."""
    words = np.int64(0)
    for row in range(len(ends_N1) - 1):
        count = ends_N1[row + 1] - ends_N1[row]
        words += 1
        if count:
            k = _remainder_bits(count)
            words += (count * (k + 1) + (np.int64(_LOW) >> k)) // _WORD + 1
    return int(words)


@compiled
def pack(ends_N1: Integers, values_S: Words, starts_N1: Integers, packed_W: Words) -> int:
    """Write each list into `packed_W`, and where it begins into `starts_N1`, in words; the first list that is
    not strictly ascending, -1 where all are."""
    place = np.int64(0)
    for row in range(len(starts_N1) - 1):
        starts_N1[row] = place
        start, end = ends_N1[row], ends_N1[row + 1]
        packed_W[place] = end - start
        place += 1
        if end == start:
            continue
        k = _remainder_bits(end - start)
        mask = (np.int64(1) << k) - 1
        waiting, filled = np.int64(0), np.int64(0)  # bits not yet written, and how many
        before = np.int64(-1)
        for at in range(start, end):
            value = np.int64(values_S[at])
            gap = value - before - 1
            if gap < 0:
                return row
            before = value
            zeros = gap >> k
            while zeros + k >= _WORD:
                some = integer(min(zeros, _AT_ONCE))
                filled += some
                zeros -= some
                if filled >= _WORD:
                    packed_W[place] = waiting & _LOW
                    place += 1
                    waiting >>= _WORD
                    filled -= _WORD
            # What is left has 32 bits at most. Whether they fill a word cannot be guessed: no branch.
            waiting |= (((gap & mask) << 1) | 1) << (filled + zeros)
            filled += zeros + 1 + k
            packed_W[place] = waiting & _LOW
            full = filled >> 5
            place += full
            waiting >>= full << 5
            filled &= _WORD - 1
        if filled:
            packed_W[place] = waiting
            place += 1
    starts_N1[len(starts_N1) - 1] = place
    return -1


@compiled
def packed_lengths(starts_N1: Integers, packed_W: Words, ends_N1: Integers) -> int:
    """Put into `ends_N1` where each list ends among the numbers of all; the first one too short for its
    length, -1 where none is."""
    total = np.int64(0)
    ends_N1[0] = 0
    for row in range(len(starts_N1) - 1):
        words = starts_N1[row + 1] - starts_N1[row]
        if words < 1:
            return row
        count = np.int64(packed_W[starts_N1[row]])
        if count > _WORD * (words - 1):
            return row
        total += count
        ends_N1[row + 1] = total
    return -1


@compiled
def unpack(starts_N1: Integers, packed_W: Words, ends_N1: Integers, values_S: Words) -> int:
    """Write the numbers of each list to where `packed_lengths` says; the first one that is not what `pack`
    writes, -1 where all are."""
    for row in range(len(starts_N1) - 1):
        start, end = ends_N1[row], ends_N1[row + 1]
        place, stop = starts_N1[row] + 1, starts_N1[row + 1]
        if end == start:
            continue
        k = _remainder_bits(end - start)
        mask = (np.int64(1) << k) - 1
        waiting, filled = np.int64(0), np.int64(0)
        before = np.int64(-1)
        for at in range(start, end):
            zeros = np.int64(0)
            if filled < _WORD and place < stop:
                waiting |= np.int64(packed_W[place]) << filled
                filled += _WORD
                place += 1
            while waiting & _LOW == 0:
                some = integer(min(filled, _WORD))
                zeros += some
                waiting >>= some
                filled -= some
                if place < stop:
                    waiting |= np.int64(packed_W[place]) << filled
                    filled += _WORD
                    place += 1
                elif waiting == 0:
                    return row
            lowest = (waiting & _LOW) & -(waiting & _LOW)
            bit = _PLACE_OF_BIT[((lowest * _SEQUENCE) & _LOW) >> 27]
            zeros += bit
            waiting >>= bit + 1
            filled -= bit + 1
            if filled < k:
                if place >= stop:
                    return row
                waiting |= np.int64(packed_W[place]) << filled
                filled += _WORD
                place += 1
            before += (zeros << k) + (waiting & mask) + 1
            waiting >>= k
            filled -= k
            if before > _LOW:
                return row
            values_S[at] = before
    return -1
