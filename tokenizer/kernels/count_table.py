"""The hash table that counts pre-tokens: byte strings stored once, found by two numbers.

Legend: slots uint64[2**k, 4], columns KEY, EXTRA (0 = free), COUNT and PLACE, where the string stands: its
start in the arena over its length (`LENGTH_BITS` bits); arena uint8[...], the bytes of all strings; used
int64[2], strings and arena bytes in use.

KEY and EXTRA of at most 15 bytes are those bytes and their number, mixed one-to-one, so that equal numbers
are equal strings and a slot is all that need be read. Of more bytes both are hashes, and the bytes decide.
They depend on the bytes alone, on every machine, and KEY also orders the rows of count tables. A slot is
found from KEY's top bits; linear probing, at most half full.

Strings come in blocks uint64[b, 4], columns KEY, EXTRA, LENGTH and START in the data: all numbers are worked
out first, so that a slot is fetched before it is its string's turn. A table of 400,000 different pre-tokens,
which no near cache holds, is filled in half the time by that; ordinary text takes as long as without.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled, integer
from corpusmill.pipelines.text.kernels.memory import address, eight_at, prefetch
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.mixing import GOLDEN

KEY, EXTRA, COUNT, PLACE = 0, 1, 2, 3
LENGTH, START = 2, 3  # of a block
SLOT_BYTES = 32
AHEAD = 16  # strings or slots between asking for memory and reading it
LENGTH_BITS = 28

_FINISH = np.uint64(0xD6E8FEB86659FD93)  # odd
_LONG = np.uint64(0xFF00000000000000)
_LENGTH = np.uint64(2**LENGTH_BITS - 1)
_BITS = np.uint64(LENGTH_BITS)
# Which bytes of the first eight, and of the eight after those, a string of so many bytes has.
_REST = np.array([0] * 8 + [2 ** (8 * n) - 1 for n in range(8)], np.uint64)
_FIRST = np.array([2 ** (8 * min(n, 8)) - 1 for n in range(16)], np.uint64)


@compiled
def _short_numbers(first: Any, rest: Any, length: int) -> Any:
    """KEY and EXTRA of at most 15 bytes: the `first` eight and the `rest`, as little-endian numbers."""
    extra = rest | np.uint64(length) << np.uint64(56)
    return mix(first ^ mix(extra)), extra


@compiled
def _last_numbers(data: Any, at: int, length: int) -> Any:
    """`_short_numbers` where fewer than 16 bytes of `data` follow `at`."""
    first, rest = np.uint64(0), np.uint64(0)
    for i in range(min(length, 8)):
        first |= np.uint64(data[at + i]) << np.uint64(8 * i)
    for i in range(8, length):
        rest |= np.uint64(data[at + i]) << np.uint64(8 * (i - 8))
    return _short_numbers(first, rest, length)


@compiled
def _long_numbers(data: Any, at: int, length: int) -> Any:
    """KEY and EXTRA of 16 bytes or more."""
    key = np.uint64(length) * _FINISH
    extra = key
    last = integer(at + length - 8)
    here = integer(at)
    while True:
        if here > last:
            here = last  # the last eight bytes, some of them perhaps again
        word = eight_at(address(data) + here)
        key = mix(key ^ word)
        extra = (extra ^ word) * GOLDEN
        extra ^= extra >> np.uint64(31)
        if here == last:
            break
        here += 8
    return key, (mix(extra) >> np.uint64(8)) | _LONG


@compiled
def number_block(data: Any, block: Any, many: int) -> None:
    """Fill KEY and EXTRA of the first `many` strings of `block`, none of them empty."""
    safe = len(data) - 16
    for i in range(many):
        at, length = integer(block[i, START]), integer(block[i, LENGTH])
        if length < 16:
            if at <= safe:
                first = eight_at(address(data) + at) & _FIRST[length]
                rest = eight_at(address(data) + at + 8) & _REST[length]
                key, extra = _short_numbers(first, rest, length)
            else:
                key, extra = _last_numbers(data, at, length)
        else:
            key, extra = _long_numbers(data, at, length)
        block[i, KEY], block[i, EXTRA] = key, extra


@compiled
def key_of(data: Any, at: int, length: int) -> Any:
    """KEY, uint64, of the bytes `data[at : at + length]`, of which there is at least one."""
    if length < 16:
        return _last_numbers(data, at, length)[0]
    return _long_numbers(data, at, length)[0]


@compiled
def same_bytes(a: Any, at: int, b: Any, bt: int, length: int) -> bool:
    """Whether `length` >= 8 bytes of `a` from `at` equal those of `b` from `bt`."""
    first, second = address(a) + at, address(b) + bt
    last = length - 8
    for i in range(0, last, 8):
        if eight_at(first + i) != eight_at(second + i):
            return False
    return bool(eight_at(first + last) == eight_at(second + last))


@compiled
def shift_of(slots: Any) -> Any:
    """How far to shift a key so that its top bits number one of `slots`."""
    shift, size = np.uint64(64), len(slots)
    while size > 1:
        size >>= 1
        shift -= np.uint64(1)
    return shift


@compiled
def _insert(
    slots: Any,
    arena: Any,
    used: Any,
    data: Any,
    at: int,
    length: int,
    key: Any,
    extra: Any,
    where: Any,
) -> bool:
    """Enter a string, not yet counted, in the free slot `where`; False where no room is left."""
    start = used[1]
    if 2 * (used[0] + 1) > len(slots) or start + length > len(arena):
        return False
    for i in range(length):
        arena[start + i] = data[at + i]
    slots[where, KEY] = key
    slots[where, EXTRA] = extra
    slots[where, COUNT] = np.uint64(0)
    slots[where, PLACE] = np.uint64(start) << _BITS | np.uint64(length)
    used[0] += 1
    used[1] = start + length
    return True


@compiled
def count_block(slots: Any, arena: Any, used: Any, data: Any, block: Any, start: int, end: int) -> int:
    """Count strings start to end of `block` once each; returns the first that found no room, or `end`."""
    shift, mask = shift_of(slots), np.uint64(len(slots) - 1)
    for i in range(start, end):
        if i + AHEAD < end:
            prefetch(slots, integer(4 * (block[i + AHEAD, KEY] >> shift)))
        key, extra = block[i, KEY], block[i, EXTRA]
        where = key >> shift
        while True:
            if slots[where, KEY] == key and slots[where, EXTRA] == extra:
                if extra < _LONG:
                    break
                length, place = block[i, LENGTH], slots[where, PLACE]
                if place & _LENGTH == length and same_bytes(
                    arena, integer(place >> _BITS), data, integer(block[i, START]), integer(length)
                ):
                    break
            elif slots[where, EXTRA] == 0:
                at, size = integer(block[i, START]), integer(block[i, LENGTH])
                if not _insert(slots, arena, used, data, at, size, key, extra, where):
                    return i
                break
            where = (where + np.uint64(1)) & mask
        slots[where, COUNT] += np.uint64(1)
    return end


@compiled
def refill(slots: Any, wider: Any) -> None:
    """Enter everything of a table into one of more, empty slots; the arena serves both."""
    mask, shift = np.uint64(len(wider) - 1), shift_of(wider)
    for slot in range(len(slots)):
        if slots[slot, EXTRA] == 0:
            continue
        where = slots[slot, KEY] >> shift
        while wider[where, EXTRA] != 0:
            where = (where + np.uint64(1)) & mask
        wider[where] = slots[slot]


@compiled
def take_rows(slots: Any, arena: Any, offsets: Any, data: Any, counts: Any) -> None:
    """All strings as rows, in the slots' order: offsets int64[n + 1], data uint8[bytes], counts int64[n]."""
    row, end = 0, np.int64(0)
    offsets[0] = 0
    for slot in range(len(slots)):
        if slot + AHEAD < len(slots):
            prefetch(arena, integer(slots[slot + AHEAD, PLACE] >> _BITS))
        if slots[slot, EXTRA] == 0:
            continue
        place = slots[slot, PLACE]
        start, length = np.int64(place >> _BITS), np.int64(place & _LENGTH)
        for i in range(length):
            data[end + i] = arena[start + i]
        end += length
        counts[row] = np.int64(slots[slot, COUNT])
        row += 1
        offsets[row] = end
