"""One merge in the words that hold its pair, and what it changes beside it.

Merging (left, right) into `new` turns a neighbour pair (x, left) into (x, new) and (right, y) into (new, y).
So the changes of one merge are sums by neighbour and side, kept in a slot each. A merge touches few
neighbours; their slots stay in the cache, where the table of all pairs would not.

`merge_places` is one long loop on purpose: numba counts references at every call that passes an array, which
tripled its time when it was written in small functions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer
from corpusmill.pipelines.text.kernels.memory import prefetch
from corpusmill.tokenizer.kernels.word_segments import (
    HEADER,
    MORE,
    SEGMENT,
    place_after,
    token_before,
)

Tokens = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]

BEFORE, AFTER = 0, 1  # sides on which a neighbour stands
NEIGHBOUR, CHANGE, PLACES, LATEST = 0, 1, 2, 3  # columns of `slots`
SLOTS, ARRIVALS = 0, 1  # what `n` counts
AHEAD = 12  # places from the one at work to the one fetched meanwhile
ROOM = 2 * SEGMENT + 2  # neighbours that the merges of one segment can have


@compiled
def merge_places(
    flat: Tokens,
    places: Tokens,
    done: int,
    left: int,
    right: int,
    new: int,
    slot_of: Tokens,
    slots: Integers,
    n: Integers,
    arrivals: Tokens,
    met: Integers,
) -> tuple[int, int]:
    """Merge (left, right) into `new` at `places` (int32, ascending) from the `done`-th on.

    `slot_of` int32[V, 2]: the slot of a neighbour on a side, or -1. `slots` int64[2 V, 4], the slots:
    `token << 1 | side`; the sum of counts of occurrences; at how many places the new pair arose, and the
    latest. `n` int64[2]: slots and arrivals in use. `arrivals` int32[A, 2]: (slot, place) of each place
    counted. `met` int64[ROOM, 2] is scratch: (`token << 1 | side`, place) of the neighbours in one segment.
    Returns occurrences merged times their words' counts, and the places done: fewer than all when there was
    no more room in `arrivals`.
    """
    merged = 0
    while done < len(places) and n[ARRIVALS] + ROOM <= len(arrivals):
        place = integer(places[done])
        if done + AHEAD < len(places):
            prefetch(flat, integer(places[done + AHEAD]))
            prefetch(flat, integer(places[done + AHEAD]) + 16)
        done += 1
        count = (integer(flat[place + 1]) << 32) | (integer(flat[place]) & 0xFFFFFFFF)
        continues = count < 0
        count = abs(count)
        first = place + HEADER
        at, to, n_met = first, first, 0
        token = integer(flat[at])
        while token >= 0:
            following = integer(flat[at + 1])
            if token != left or (following != right and following != MORE):
                if to < at:
                    flat[to] = token
                to += 1
                at += 1
                token = following
                continue
            after = -1
            if following == MORE:  # does the pair stand across the end of the segment?
                after = place_after(flat, place)
                if after < 0 or flat[after + HEADER] != right:
                    flat[to] = token
                    to += 1
                    token = following
                    continue
                gap = after + HEADER
                while flat[gap] >= 0:
                    flat[gap] = flat[gap + 1]
                    gap += 1
                at += 1
            else:
                at += 2
            token = integer(flat[at])
            merged += count
            if to > first:
                met[n_met, 0], met[n_met, 1] = integer(flat[to - 1]) << 1, place
                n_met += 1
            elif continues:
                neighbour, before = token_before(flat, place)
                met[n_met, 0], met[n_met, 1] = neighbour << 1, before
                n_met += 1
            flat[to] = new
            to += 1
            neighbour = token
            if token == MORE:
                after = place_after(flat, place)
                neighbour = integer(flat[after + HEADER]) if after >= 0 else -1
            if neighbour >= 0:
                met[n_met, 0], met[n_met, 1] = (neighbour << 1) | AFTER, place
                n_met += 1
        flat[to] = token

        for i in range(n_met):
            neighbour, where = met[i, 0], met[i, 1]
            slot = integer(slot_of[neighbour >> 1, neighbour & 1])
            if slot < 0:
                slot = n[SLOTS]
                n[SLOTS] = slot + 1
                slot_of[neighbour >> 1, neighbour & 1] = slot
                slots[slot, NEIGHBOUR] = neighbour
                slots[slot, CHANGE], slots[slot, PLACES], slots[slot, LATEST] = 0, 0, -1
            slots[slot, CHANGE] += count
            if slots[slot, LATEST] != where:
                slots[slot, LATEST] = where
                slots[slot, PLACES] += 1
                arrivals[n[ARRIVALS], 0], arrivals[n[ARRIVALS], 1] = slot, where
                n[ARRIVALS] += 1
    return merged, done
