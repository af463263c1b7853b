"""Where each of many keys occurs first: an open-addressed table of 8 bytes a slot, one cache line a look."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled, inlined, integer

UPPER = np.uint64(0xFFFFFFFF00000000)
LOWER = np.uint64(0x00000000FFFFFFFF)


@compiled
def table_size(entries: int) -> int:
    """Slots, a power of 2, that hold so many entries at half load."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@inlined
def first_place(slots: Any, mask: int, keys: Any, place: int, key: Any) -> int:
    """The first place of `key` among the keys entered; where it is new, enter it and return `place`.

    `keys[place]` is `key`, and stays so until the slots are cleared. `slots` uint64[> mask]: 0 where free,
    else the upper half of a key and one more than its place. Keys are mixed: their lowest bits choose a slot.
    """
    # Unsigned indices need no look at whether they count from the end.
    within, first = np.uint64(mask), place
    slot = key & within
    held = slots[slot]
    while held != 0:
        if (held ^ key) & UPPER == 0:
            earlier = (held & LOWER) - np.uint64(1)
            if keys[earlier] == key:
                first = integer(earlier)
                break
        slot = (slot + np.uint64(1)) & within
        held = slots[slot]
    if held == 0:
        slots[slot] = (key & UPPER) | np.uint64(place + 1)
    return first
