"""The loop of byte-pair encoding's training over counted words. `bpe.learn` says what it computes.

Here `integer(0)` is not 0: numba compiles a function once more for each constant that it is called with.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer
from corpusmill.tokenizer.kernels.merge_queue import (
    SIZE,
    Queue,
    drop_first,
    new_queue,
    push,
    ready,
    recount_first,
    reserve,
)
from corpusmill.tokenizer.kernels.merge_word import (
    AFTER,
    ARRIVALS,
    BEFORE,
    CHANGE,
    LATEST,
    NEIGHBOUR,
    PLACES,
    ROOM,
    SLOTS,
    merge_places,
)
from corpusmill.tokenizer.kernels.pair_table import insert, look, new_cells, pair_key, subtract, with_room
from corpusmill.tokenizer.kernels.position_lists import compact, read_list
from corpusmill.tokenizer.kernels.word_segments import HEADER, MORE, end_of, place_after, signed_count

Tokens = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]

BYTES = 256


@compiled
def _segment_end(flat: Tokens, place: int) -> tuple[int, int]:
    """Index of a segment's end mark, and of the token that its last one stands before, or -1."""
    at = end_of(flat, place)
    after = place_after(flat, place) if flat[at] == MORE else -1
    return at, after + HEADER if after >= 0 else -1


@compiled
def _first_candidates(flat: Tokens, least: int) -> tuple[Queue, Integers, int, Tokens, int]:
    """Queue, pair table, pairs in it, position lists and their length, of words not merged in yet."""
    count = np.zeros(BYTES * BYTES, np.int64)
    places = np.zeros(BYTES * BYTES, np.int64)
    last = np.full(BYTES * BYTES, -1, np.int64)
    place = integer(0)
    while place < len(flat):
        weight = abs(signed_count(flat, place))
        end, beyond = _segment_end(flat, place)
        for at in range(place + HEADER, end):
            right = at + 1 if at + 1 < end else beyond
            if right >= 0:
                pair = integer(flat[at]) * BYTES + integer(flat[right])
                count[pair] += weight
                if last[pair] != place:
                    last[pair] = place
                    places[pair] += 1
        place = end + 1
    total, n_pairs = 0, 0
    for pair in range(BYTES * BYTES):
        if count[pair] >= least:
            n_pairs += 1
            total += places[pair]
    cells = new_cells(2 * n_pairs)
    candidates = np.empty((n_pairs, 3), np.int64)
    lists = np.empty(max(1024, total + (total >> 2)), np.int32)
    start = np.full(BYTES * BYTES, -1, np.int64)
    filled, n = integer(0), integer(0)
    for pair in range(BYTES * BYTES):
        if count[pair] < least:
            continue
        candidates[n, 0], candidates[n, 1] = count[pair], pair_key(pair // BYTES, pair % BYTES)
        candidates[n, 2] = -1 - last[pair]
        if places[pair] > 1:
            candidates[n, 2], start[pair] = filled, filled
            filled += places[pair]
        n += 1
    insert(cells, candidates, n)
    queue = reserve(new_queue(), n)
    push(queue.heap, queue.pool, queue.link, queue.filling, queue.state, candidates, n)
    last[:] = -1
    place = integer(0)
    while place < len(flat):
        end, beyond = _segment_end(flat, place)
        for at in range(place + HEADER, end):
            right = at + 1 if at + 1 < end else beyond
            if right >= 0:
                pair = integer(flat[at]) * BYTES + integer(flat[right])
                if last[pair] != place and start[pair] >= 0:
                    last[pair] = place
                    places[pair] -= 1
                    lists[start[pair]] = place if places[pair] > 0 else -1 - place
                    start[pair] += 1
        place = end + 1
    return queue, cells, n_pairs, lists, filled


@compiled
def _ended(
    slot_of: Tokens, slots: Integers, n_slots: int, left: int, right: int, new: int, changes: Integers
) -> None:
    """Into `changes` int64[n_slots, 2] the pairs a merge ended, and the counts lost; frees all of `slot_of`.

    Column CHANGE is then the count of the pair that arose with the slot's neighbour.
    """
    ending, ended = slot_of[new, BEFORE], slot_of[left, AFTER]
    for slot in range(n_slots):
        neighbour, side = slots[slot, NEIGHBOUR] >> 1, slots[slot, NEIGHBOUR] & 1
        slot_of[neighbour, side] = -1
        changes[slot, 0] = pair_key(neighbour, left) if side == BEFORE else pair_key(right, neighbour)
        changes[slot, 1] = slots[slot, CHANGE]
    if ending >= 0:
        # In "abab" the first merge makes (new, a), which the second ends again by making (new, new).
        slots[ended, CHANGE] -= slots[ending, CHANGE]


@compiled
def _arisen(
    slots: Integers,
    n: Integers,
    arrivals: Tokens,
    new: int,
    least: int,
    length: Integers,
    length_limit: int,
    candidates: Integers,
    lists: Tokens,
    filled: int,
) -> tuple[int, int]:
    """Into `candidates` int64[n_slots, 3] the pairs a merge brought about that may ever be merged.

    Their places go into `lists`. Returns how many candidates, and the length of `lists` in use.
    """
    n_candidates = 0
    for slot in range(n[SLOTS]):
        neighbour, side = slots[slot, NEIGHBOUR] >> 1, slots[slot, NEIGHBOUR] & 1
        start = -1
        if slots[slot, CHANGE] >= least and length[neighbour] + length[new] < length_limit:
            name = -1 - slots[slot, LATEST]
            if slots[slot, PLACES] > 1:
                name, start = filled, filled
                filled += slots[slot, PLACES]
            candidates[n_candidates, 0] = slots[slot, CHANGE]
            candidates[n_candidates, 1] = (
                pair_key(neighbour, new) if side == BEFORE else pair_key(new, neighbour)
            )
            candidates[n_candidates, 2] = name
            n_candidates += 1
        slots[slot, LATEST] = start  # from here on: where the next place goes
    for arrival in range(n[ARRIVALS]):
        slot = integer(arrivals[arrival, 0])
        start = slots[slot, LATEST]
        if start >= 0:
            slots[slot, LATEST] = start + 1
            slots[slot, PLACES] -= 1
            place = arrivals[arrival, 1]
            lists[start] = place if slots[slot, PLACES] > 0 else -1 - place
    return n_candidates, filled


@compiled
def _with_list_room(
    queue: Queue, lists: Tokens, filled: int, dead: int, more: int
) -> tuple[Tokens, int, int]:
    """Position lists with room for `more` places, their length in use, and how much of that is dead."""
    if filled + more <= len(lists):
        return lists, filled, dead
    live = filled - dead
    if dead >= filled // 3:
        return compact(queue, lists, live + (live >> 1) + more), live, 0
    wider = np.empty(filled + (filled >> 1) + more, np.int32)
    for at in range(filled):
        wider[at] = lists[at]
    return wider, filled, dead


@compiled
def _doubled(arrivals: Tokens) -> Tokens:
    longer = np.empty((2 * len(arrivals), 2), np.int32)
    for arrival in range(len(arrivals)):
        longer[arrival, 0], longer[arrival, 1] = arrivals[arrival, 0], arrivals[arrival, 1]
    return longer


@compiled
def learn(flat: Tokens, entries: int, least: int, length_limit: int) -> tuple[Tokens, Integers]:
    """Learn merges from `flat` (`word_segments`; merged in place), at most `entries`.

    Pairs counted less than `least` (>= 1) times are not merged; a pair that would be `length_limit` bytes
    long or longer is never counted (pairs of two bytes always are). Returns pairs int32[m, 2], of which the
    i-th became token 256 + i, and saved int64[m], the occurrences merged.
    """
    most = BYTES + entries
    length = np.ones(most, np.int64)
    pairs = np.empty((entries, 2), np.int32)
    saved = np.empty(entries, np.int64)
    queue, cells, used, lists, filled = _first_candidates(flat, least)
    dead = 0  # of the `filled` elements of `lists`, those no candidate names any more
    slot_of = np.full((most, 2), -1, np.int32)
    slots = np.empty((2 * most, 4), np.int64)
    changes = np.empty((2 * most, 2), np.int64)
    candidates = np.empty((2 * most, 3), np.int64)
    n = np.zeros(2, np.int64)
    arrivals = np.empty((16 * ROOM, 2), np.int32)
    met = np.empty((ROOM, 2), np.int64)
    new = integer(BYTES)
    while new < most:
        if queue.state[SIZE] == 0:
            queue, any_left = ready(queue)
            if not any_left:
                break
        key, name = queue.heap[0, 1], queue.heap[0, 2]
        cell = look(cells, key)
        count = cells[cell, 1]
        if count != queue.heap[0, 0] and count > 0:
            queue = recount_first(queue, count)
            continue
        drop_first(queue.heap, queue.state)
        places = read_list(lists, name)
        dead += len(places) if name >= 0 else 0
        if count == 0:
            continue
        cells[cell, 1] = 0  # merged, it occurs no more
        left, right = key >> 32, key & 0xFFFFFFFF
        length[new] = length[left] + length[right]
        n[:] = 0
        merged, done = 0, integer(0)
        while done < len(places):
            if n[ARRIVALS] + ROOM > len(arrivals):
                arrivals = _doubled(arrivals)
            more, done = merge_places(flat, places, done, left, right, new, slot_of, slots, n, arrivals, met)
            merged += more
        pairs[new - BYTES, 0], pairs[new - BYTES, 1] = left, right
        saved[new - BYTES] = merged

        _ended(slot_of, slots, n[SLOTS], left, right, new, changes)
        subtract(cells, changes, n[SLOTS], least)
        lists, filled, dead = _with_list_room(queue, lists, filled, dead, n[ARRIVALS])
        added, filled = _arisen(
            slots, n, arrivals, new, least, length, length_limit, candidates, lists, filled
        )
        cells, used = with_room(cells, used, added)
        insert(cells, candidates, added)
        used += added
        queue = reserve(queue, added)
        push(queue.heap, queue.pool, queue.link, queue.filling, queue.state, candidates, added)
        new += 1
    return pairs[: new - BYTES], saved[: new - BYTES]
