"""The order of rows of an exchange by key and address, in a few passes over them.

Rows are sorted by the leading 22 bits in which their keys differ, by two passes of counting. Of hashes few
agree in these: such runs are sorted by insertion. Longer runs, as of keys that come in clusters, are divided
by the next bits in which they differ, again and again, and by the address where all of their keys are equal.
Time: linear, at most 64 / 5 divisions of a row by its key and as many by its address. Memory: 16 bytes a row,
32 more of longer runs, and the 8 that are returned.

Legend: N rows; G numbers of them; P places in their order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.int64]

SMALL = 32  # rows that are sorted by insertion
_DIGIT = 11  # bits of a pass over all rows
_BITS = 8  # of a division of a run
_HALF = 32
_LOW = 0xFFFFFFFF


@compiled
def sorted_places(key_N: Keys, unit_N: Numbers, row_N: Numbers) -> Integers:
    """The rows sorted by (key, unit, row), int64[N]; equal ones stay in their order. N is below 2^32."""
    leading_P = _by_leading_bits(key_N)  # 32 bits of a key, and a row
    count = len(key_N)
    shift = np.uint64(2 * _HALF - 2 * _DIGIT)
    place_P = np.empty(count, np.int64)
    start = integer(0)
    while start < count:
        end = start + 1
        while end < count and leading_P[end] >> shift == leading_P[start] >> shift:
            end += 1
        if end - start > SMALL:
            place_P[start:end] = _divided(leading_P[start:end], key_N, unit_N, row_N)
            start = end
            continue
        for p in range(start, end):
            n = leading_P[p] & np.uint64(_LOW)
            q = p
            while q > start and _follows(place_P[q - 1], n, key_N, unit_N, row_N):
                place_P[q] = place_P[q - 1]
                q -= 1
            place_P[q] = n
        start = end
    return place_P


@compiled
def counted_places(number_N: Numbers, numbers: int) -> Integers:
    """The rows sorted by their numbers, all below `numbers`, int64[N]; equal ones stay in their order."""
    start_G = np.zeros(numbers + 1, np.int64)
    for n in range(len(number_N)):
        start_G[number_N[n] + np.uint32(1)] += 1
    for g in range(numbers):
        start_G[g + 1] += start_G[g]
    place_P = np.empty(len(number_N), np.int64)
    for n in range(len(number_N)):
        place_P[start_G[number_N[n]]] = n
        start_G[number_N[n]] += 1
    return place_P


@compiled
def _follows(m: int, n: int, key_N: Keys, unit_N: Numbers, row_N: Numbers) -> bool:
    """Whether row m comes after row n."""
    if key_N[m] != key_N[n]:
        return bool(key_N[m] > key_N[n])
    if unit_N[m] != unit_N[n]:
        return bool(unit_N[m] > unit_N[n])
    return bool(row_N[m] > row_N[n])


@compiled
def _by_leading_bits(key_N: Keys) -> Keys:
    """32 bits of each key, from the first one in which some differ, above the number of its row; sorted by
    the first 22 of them."""
    count = len(key_N)
    leading_P, other_P = np.empty(count, np.uint64), np.empty(count, np.uint64)
    differ = np.uint64(0)
    for n in range(1, count):
        differ |= key_N[n] ^ key_N[0]
    left = np.uint64(0)
    while differ and not (differ << left) >> np.uint64(2 * _HALF - 1):
        left += np.uint64(1)
    room = np.uint64(_HALF)
    digits = integer(1) << _DIGIT
    end_2D = np.zeros((2, digits), np.int64)
    last = np.uint64(digits - 1)
    for n in range(count):
        leading_P[n] = ((key_N[n] << left) >> room) << room | np.uint64(n)
        end_2D[0, (leading_P[n] >> np.uint64(2 * _HALF - 2 * _DIGIT)) & last] += 1
        end_2D[1, leading_P[n] >> np.uint64(2 * _HALF - _DIGIT)] += 1
    for turn in range(2):
        at = integer(0)
        for d in range(digits):
            here = end_2D[turn, d]
            end_2D[turn, d] = at
            at += here
        right = np.uint64(2 * _HALF - (2 - turn) * _DIGIT)
        for p in range(count):
            digit = (leading_P[p] >> right) & last
            other_P[end_2D[turn, digit]] = leading_P[p]
            end_2D[turn, digit] += 1
        leading_P, other_P = other_P, leading_P
    return leading_P


@compiled
def _divided(leading_P: Keys, key_N: Keys, unit_N: Numbers, row_N: Numbers) -> Integers:
    """The rows of a longer run, by their numbers in the lower half of `leading_P`, sorted, int64[P]."""
    count = len(leading_P)
    place_P, place_2 = np.empty(count, np.int64), np.empty(count, np.int64)
    key_P, key_2 = np.empty(count, np.uint64), np.empty(count, np.uint64)
    for p in range(count):
        place_P[p] = leading_P[p] & np.uint64(_LOW)
        key_P[p] = key_N[place_P[p]]
    end_B = np.empty((1 << _BITS) + 1, np.int64)
    todo = np.empty((count // SMALL + 1, 3), np.int64)  # start, end, and 1 where `key_P` has addresses
    todo[0, 0], todo[0, 1], todo[0, 2] = 0, count, 0
    waiting = integer(1)
    while waiting:
        waiting -= 1
        start, end, by_address = todo[waiting]
        least = greatest = key_P[start]
        for p in range(start + 1, end):
            least, greatest = min(least, key_P[p]), max(greatest, key_P[p])
        if least == greatest:
            if not by_address:
                for p in range(start, end):
                    n = place_P[p]
                    key_P[p] = np.uint64(unit_N[n]) << np.uint64(_HALF) | np.uint64(row_N[n])
                todo[waiting, 2] = 1
                waiting += 1
            continue
        shift = np.uint64(0)
        while (greatest - least) >> shift >> np.uint64(_BITS):
            shift += np.uint64(1)
        end_B[:] = 0
        for p in range(start, end):
            end_B[integer((key_P[p] - least) >> shift) + 1] += 1
        end_B[0] = start
        for b in range(1 << _BITS):
            end_B[b + 1] += end_B[b]
        for p in range(start, end):
            b = integer((key_P[p] - least) >> shift)
            key_2[end_B[b]], place_2[end_B[b]] = key_P[p], place_P[p]
            end_B[b] += 1
        key_P[start:end], place_P[start:end] = key_2[start:end], place_2[start:end]
        first = start
        for b in range(1 << _BITS):
            last = end_B[b]
            if last - first > SMALL:
                todo[waiting, 0], todo[waiting, 1], todo[waiting, 2] = first, last, by_address
                waiting += 1
            else:
                for p in range(first + 1, last):
                    n = place_P[p]
                    q = p
                    while q > first and _follows(place_P[q - 1], n, key_N, unit_N, row_N):
                        place_P[q] = place_P[q - 1]
                        q -= 1
                    place_P[q] = n
            first = last
    return place_P
