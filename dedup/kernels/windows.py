"""Which windows around anchors of equal bytes equal one another, byte for byte.

A member of a group is a stretch of text around an anchor: all windows of `length` bytes whose anchor it is.
Stretches that are equal as a whole are looked at once. Of the others, windows are equal only if they are
equally far before their anchor. Where the stretches that differ are few, each pair is extended from the
anchor in both directions. Where they are many, windows are looked at distance by distance: the window of each
member that has one goes into a table by its hash, which rolls on from the distance before. A hash only finds
where to look; bytes are compared, and where the window before had the same partner, one byte is enough.

Time: bytes of stretches, windows of those that differ, and bytes of a stretch for each partner that it has.
Hashes are polynomials modulo 2^64, of which many different texts of one value are known from a length of
1,024 on; for texts made of these, the time grows with the square of their number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.anchors import BASE, equal_bytes, grown, power
from corpusmill.dedup.kernels.murmur import murmur3_128
from corpusmill.pipelines.text.compiled import compiled, integer
from corpusmill.pipelines.text.kernels.first_places import table_size
from corpusmill.pipelines.text.kernels.memory import address, byte_at, eight_at
from corpusmill.pipelines.text.kernels.mixing import mix

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
NONE = -2
ALL = -1


class Members(NamedTuple):
    """m stretches of `data`, group after group, in the order of their documents; arrays int64[m].

    Bytes of stretch i: `data[begins[i]:begins[i] + sizes[i]]`. It has a window at each of its first
    `counts[i]` bytes, and its anchor stands `leads[i]` bytes after its beginning.
    """

    begins: Index
    sizes: Index
    leads: Index
    counts: Index


class Runs(NamedTuple):
    """Runs of windows that repeat; arrays of equal length, of which the first `used[0]` entries count."""

    member: Index
    first: Index
    """The first window of the run, counted from that at which the stretch begins, and the last."""
    last: Index
    partner: Index
    """A member before it that has these windows; -1 where it does not matter which."""
    used: Index


@compiled
def _with_room(runs: Runs, more: int) -> Runs:
    """`runs` with room for so many more."""
    while runs.used[0] + more > len(runs.member):
        runs = Runs(grown(runs.member), grown(runs.first), grown(runs.last), grown(runs.partner), runs.used)
    return runs


@compiled
def _add(runs: Runs, member: int, first: int, last: int, partner: int) -> None:
    n = runs.used[0]
    runs.member[n], runs.first[n], runs.last[n], runs.partner[n] = member, first, last, partner
    runs.used[0] = n + 1


@compiled
def _first_alike(
    data: int, members: Members, low: int, high: int, slots: Index, hashes: Hashes, alike: Index, apart: Index
) -> int:
    """Of members `low` to `high`: `alike`, the first whose stretch has the same bytes around its anchor; and
    `apart`, those that are the first, whose number is returned."""
    begins, sizes, leads, _ = members
    mask = table_size(high - low) - 1
    slots[: mask + 1] = 0
    n = 0
    for i in range(low, high):
        at = data + begins[i]
        hashed = murmur3_128(at, sizes[i])[0]
        hashes[i] = hashed
        slot = integer(hashed) & mask
        alike[i] = i
        while slots[slot] != 0:
            j = slots[slot] - 1
            same = hashes[j] == hashed and leads[j] == leads[i] and sizes[j] == sizes[i]
            if same and equal_bytes(at, data + begins[j], sizes[i]):
                alike[i] = j
                break
            slot = (slot + 1) & mask
        if alike[i] == i:
            slots[slot] = i + 1
            apart[n] = i
            n += 1
    return n


@compiled
def _equal_after(one: int, other: int, most: int) -> int:
    """How many bytes, at most `most`, are equal from two addresses on."""
    at = 0
    while at + 8 <= most and eight_at(one + at) == eight_at(other + at):
        at += 8
    while at < most and byte_at(one + at) == byte_at(other + at):
        at += 1
    return at


@compiled
def _equal_before(one: int, other: int, most: int) -> int:
    """How many bytes, at most `most`, are equal before two addresses."""
    at = 0
    while at + 8 <= most and eight_at(one - at - 8) == eight_at(other - at - 8):
        at += 8
    while at < most and byte_at(one - at - 1) == byte_at(other - at - 1):
        at += 1
    return at


@compiled
def _pairs(
    data: int,
    members: Members,
    apart: Index,
    count: int,
    length: int,
    first_stays: bool | np.bool_,
    runs: Runs,
) -> Runs:
    """Add the runs of a few stretches that differ, by extending each pair."""
    begins, sizes, leads, counts = members
    for k in range(1, count):
        i = apart[k]
        known_first, known_last = 0, -1  # a run of windows of i that is found
        for m in range(k):
            j = apart[m]
            one, other = data + begins[i] + leads[i], data + begins[j] + leads[j]
            after = _equal_after(one, other, min(sizes[i] - leads[i], sizes[j] - leads[j]))
            before = _equal_before(one, other, min(leads[i], leads[j]))
            nearest = max(length - after, leads[i] - counts[i] + 1, leads[j] - counts[j] + 1)
            if nearest > before:
                continue
            first, last = leads[i] - before, leads[i] - nearest
            runs = _with_room(runs, 2)
            if not first_stays:
                _add(runs, j, leads[j] - before, leads[j] - nearest, ALL)
            elif first >= known_first and last <= known_last:
                continue
            _add(runs, i, first, last, j if first_stays else ALL)
            known_first, known_last = first, last
    return runs


@compiled
def _by_distance(
    data: int,
    members: Members,
    apart: Index,
    count: int,
    length: int,
    first_stays: bool | np.bool_,
    slots: Index,
    hashes: Hashes,
    state: Index,
    runs: Runs,
) -> Runs:
    """Add the runs of many stretches that differ, by the hashes of their windows. `state`: int64[5, m]."""
    begins, _, leads, counts = members
    partners, found_now, shared, run_first, run_partner = state
    gone = power(BASE, length - 1)
    farthest, nearest = leads[apart[0]], leads[apart[0]]
    for k in range(count):
        i = apart[k]
        farthest = max(farthest, leads[i])
        nearest = min(nearest, leads[i] - counts[i] + 1)
        shared[i] = -1
    mask = table_size(count) - 1
    for distance in range(farthest, nearest - 1, -1):
        slots[: mask + 1] = 0
        for k in range(count):
            i = apart[k]
            window = leads[i] - distance
            if window < 0 or window >= counts[i]:
                continue
            at = data + begins[i] + window
            if window == 0:
                hashed = np.uint64(0)
                for byte in range(length):
                    hashed = hashed * BASE + np.uint64(byte_at(at + byte))
            else:
                hashed = hashes[i] - gone * np.uint64(byte_at(at - 1))
                hashed = hashed * BASE + np.uint64(byte_at(at + length - 1))
            hashes[i] = hashed
            slot = integer(mix(hashed)) & mask
            partner = NONE
            while slots[slot] != 0:
                j = slots[slot] - 1
                if hashes[j] == hashed:
                    other = data + begins[j] + leads[j] - distance
                    if window > 0 and partners[i] == j:
                        same = byte_at(at + length - 1) == byte_at(other + length - 1)
                    else:
                        same = equal_bytes(at, other, length)
                    if same:
                        partner = j
                        break
                slot = (slot + 1) & mask
            if partner == NONE:
                slots[slot] = i + 1
            else:
                shared[partner] = distance
            found_now[i] = partner
        for k in range(count):
            i = apart[k]
            window = leads[i] - distance
            if window < 0 or window >= counts[i]:
                continue
            partner = found_now[i]
            partners[i] = partner
            if not first_stays:
                partner = ALL if partner != NONE or shared[i] == distance else NONE
            runs = _with_room(runs, 2)
            if window == 0 or partner != run_partner[i]:
                if window > 0 and run_partner[i] != NONE:
                    _add(runs, i, run_first[i], window - 1, run_partner[i])
                run_first[i], run_partner[i] = window, partner
            if window == counts[i] - 1 and partner != NONE:
                _add(runs, i, run_first[i], window, partner)
    return runs


@compiled
def repeated_windows(
    data: Bytes, members: Members, groups: Index, length: int, few: int, first_stays: bool | np.bool_
) -> Runs:
    """Runs of windows that an earlier member of the group has, or without `first_stays` any other.

    Group g are members `groups[g]` to `groups[g + 1]`. `few`: stretches that differ of which each pair is
    looked at. Runs may overlap. Memory: 80 bytes a member.
    """
    m = len(members.begins)
    largest = 0
    for g in range(len(groups) - 1):
        largest = max(largest, groups[g + 1] - groups[g])
    slots, apart = np.empty(table_size(largest), np.int64), np.empty(largest, np.int64)
    hashes, alike = np.empty(m, np.uint64), np.empty(m, np.int64)
    state = np.empty((5, m), np.int64)
    room = 1024
    runs = Runs(
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.zeros(1, np.int64),
    )
    begin = address(data)
    for g in range(len(groups) - 1):
        low, high = groups[g], groups[g + 1]
        if high - low < 2:
            continue
        count = _first_alike(begin, members, low, high, slots, hashes, alike, apart)
        if count > few:
            runs = _by_distance(begin, members, apart, count, length, first_stays, slots, hashes, state, runs)
        elif count > 1:
            runs = _pairs(begin, members, apart, count, length, first_stays, runs)
        for i in range(low, high):
            j = alike[i]
            if j == i:
                continue
            runs = _with_room(runs, 2)
            _add(runs, i, 0, members.counts[i] - 1, j if first_stays else ALL)
            if not first_stays:
                _add(runs, j, 0, members.counts[j] - 1, ALL)
    return runs
