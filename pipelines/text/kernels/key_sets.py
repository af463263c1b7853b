"""Sets of 64-bit keys that grow: open addressing, at most two thirds full, 12 to 24 bytes a key."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, inlined
from corpusmill.pipelines.text.mixing import GOLDEN

Keys = npt.NDArray[np.uint64]


@compiled
def no_keys() -> Keys:
    """The empty set."""
    return np.zeros(1024, np.uint64)


@inlined
def enter(slots: Any, key: Any) -> bool:
    """Enter `key`, mixed; returns whether it is in the set already. `slots` has a free slot (`with_room`).

    0 marks a free slot: the key 0 stands under another one, which is as unlikely as any two equal keys.
    """
    mask = np.uint64(len(slots) - 1)
    key = key if key != 0 else GOLDEN
    slot = key & mask
    while slots[slot] != 0 and slots[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    known: bool = slots[slot] == key
    slots[slot] = key
    return known


@compiled
def with_room(slots: Keys, entered: int, more: int) -> Keys:
    """The set of `entered` keys, perhaps in new slots, so that `more` can be entered."""
    size = len(slots)
    while 2 * size < 3 * (entered + more):
        size *= 2
    if size == len(slots):
        return slots
    wider = np.zeros(size, np.uint64)
    for key in slots:
        if key != 0:
            enter(wider, key)
    return wider
