"""Anchors: places of a text that follow from the bytes around them, so that equal windows have equal anchors.

Of every window of `length` bytes the anchor is, among its `width`-grams, the last one of the smallest hash
(winnowing: Schleimer, Wilkerson and Aiken, SIGMOD 2003; minimizers: Roberts et al. 2004). It depends on
nothing but the window, so wherever the same window stands, the same bytes at the same place in it are its
anchor. Windows that follow one another mostly share one: a text has about 2 / (length - width + 2) anchors a
byte.

In a periodic text, such as a run of one byte, an anchor whose windows all equal those of the anchor before is
left out: what they cover repeats what stands just before it. So such a text has a few anchors, not one a
byte.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at
from corpusmill.pipelines.text.kernels.mixing import avalanche, mix
from corpusmill.pipelines.text.mixing import GOLDEN

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

BASE = GOLDEN
ZERO = np.uint64(0)


class Anchors(NamedTuple):
    """Anchors of texts one after the other, and what repeats the bytes just before it.

    Places count bytes of a text.
    """

    text: Index
    """Of each anchor: the number of its text."""
    key: Hashes
    """The hash of its `width`-gram."""
    place: Index
    first: Index
    """Where its first window begins, and where its last one does."""
    last: Index
    again_text: Index
    """Of each span that repeats the bytes just before it: the number of its text."""
    again_start: Index
    again_end: Index


@forced
def power(base: Any, exponent: int) -> Any:
    """`base` to a power, modulo 2^64."""
    found = np.uint64(1)
    for _ in range(exponent):
        found *= base
    return found


@compiled
def equal_bytes(one: int, other: int, size: int) -> bool:
    """Whether `size` bytes at two addresses are equal."""
    at = 0
    while at + 8 <= size:
        if eight_at(one + at) != eight_at(other + at):
            return False
        at += 8
    while at < size:
        if byte_at(one + at) != byte_at(other + at):
            return False
        at += 1
    return True


@compiled
def grown(values: Any) -> Any:
    """`values` with as much room again behind them."""
    found = np.empty(2 * len(values), values.dtype)
    found[: len(values)] = values
    return found


@compiled
def find_anchors(
    offsets: Index, data: Bytes, length: int, width: int, first_stays: bool | np.bool_
) -> Anchors:
    """The anchors of the windows of n texts, `data[offsets[i]:offsets[i + 1]]`; 0 < width <= length.

    Without `first_stays`, what repeats in a periodic text takes in its first period. Memory: 40 bytes an
    anchor, and 16 a byte of a window.
    """
    room = 1024
    text, key, place = np.empty(room, np.int64), np.empty(room, np.uint64), np.empty(room, np.int64)
    first, last = np.empty(room, np.int64), np.empty(room, np.int64)
    room_again = 64
    again_text, again_start = np.empty(room_again, np.int64), np.empty(room_again, np.int64)
    again_end = np.empty(room_again, np.int64)
    n, n_again = 0, 0
    grams = length - width + 1  # of a window
    ring_size = 1
    while ring_size < grams + 1:
        ring_size *= 2
    mask = ring_size - 1
    ring = np.empty(ring_size, np.uint64)
    gone = power(BASE, width - 1)
    begin = address(data)
    for i in range(len(offsets) - 1):
        start = begin + offsets[i]
        size = offsets[i + 1] - offsets[i]
        if size < length:
            continue
        # The anchor being looked at, and the one before, whether or not that was left out.
        best, best_hash, opened, open_first, open_hash = -1, ZERO, -1, 0, ZERO
        before, before_first, before_last, before_hash = -1, 0, 0, ZERO
        rolling = ZERO
        for at in range(width - 1):
            rolling = rolling * BASE + np.uint64(byte_at(start + at))
        closing = False
        gram = 0
        while True:
            if gram <= size - width:
                rolling = rolling * BASE + np.uint64(byte_at(start + gram + width - 1))
                hashed = avalanche(rolling)
                rolling -= gone * np.uint64(byte_at(start + gram))
                ring[gram & mask] = hashed
                if best < 0 or hashed <= best_hash:
                    best, best_hash = gram, hashed
                window = gram - grams + 1
                gram += 1
                if window < 0:
                    continue
                if best < window:
                    best, best_hash = window, ring[window & mask]
                    for other in range(window + 1, gram):
                        if ring[other & mask] <= best_hash:
                            best, best_hash = other, ring[other & mask]
                if best == opened:
                    continue
            else:
                window = size - length + 1
                closing = True
            if opened >= 0:
                final = window - 1
                back = opened - before
                if (
                    before >= 0
                    and open_hash == before_hash
                    and open_first - back >= before_first
                    and final - back <= before_last
                    and equal_bytes(
                        start + open_first, start + open_first - back, final - open_first + length
                    )
                ):
                    from_ = open_first if first_stays else open_first - back
                    # Windows that follow one another are one span: every byte of it lies whole in a window.
                    joins = n_again > 0 and again_text[n_again - 1] == i
                    if joins and from_ + length <= again_end[n_again - 1] + 1:
                        again_end[n_again - 1] = final + length
                    else:
                        if n_again == room_again:
                            room_again *= 2
                            again_text, again_start = grown(again_text), grown(again_start)
                            again_end = grown(again_end)
                        again_text[n_again], again_start[n_again] = i, from_
                        again_end[n_again] = final + length
                        n_again += 1
                else:
                    if n == room:
                        room *= 2
                        text, key, place = grown(text), grown(key), grown(place)
                        first, last = grown(first), grown(last)
                    text[n], key[n], place[n] = i, mix(open_hash), opened
                    first[n], last[n] = open_first, final
                    n += 1
                before, before_first, before_last, before_hash = opened, open_first, final, open_hash
            if closing:
                break
            opened, open_first, open_hash = best, window, best_hash
    return Anchors(
        text[:n], key[:n], place[:n], first[:n], last[:n],
        again_text[:n_again], again_start[:n_again], again_end[:n_again],
    )  # fmt: skip


@compiled
def copy_spans(
    offsets: Index, data: Bytes, text: Index, start: Index, end: Index, to: Index, out: Bytes
) -> int:
    """Write bytes `start[k]` to `end[k]` of text `text[k]` to `out[to[k]:]`; returns how many in all."""
    n = 0
    for k in range(len(text)):
        size = end[k] - start[k]
        out[to[k] : to[k] + size] = data[offsets[text[k]] + start[k] : offsets[text[k]] + end[k]]
        n += integer(size)
    return n
