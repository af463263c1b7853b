"""Lists of word places, one a candidate, in one growing array.

The name of a list: `-1 - p` for a place p alone; else its start in the array, where its places follow one
another and the last stands as `-1 - p`. Lists are written once and read once; `compact` moves those that
a queue still names into a new array.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer
from corpusmill.tokenizer.kernels.merge_queue import CHUNK, CLASSES, SIZE, Queue

Places = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]


@compiled
def list_length(lists: Places, name: int) -> int:
    """Places in a list that stands in the array (0 for a place alone, which does not)."""
    if name < 0:
        return 0
    size = 1
    while lists[name + size - 1] >= 0:
        size += 1
    return size


@compiled
def read_list(lists: Places, name: int) -> Places:
    """The places of a list, int32[k]."""
    if name < 0:
        return np.full(1, -1 - name, np.int32)
    size = list_length(lists, name)
    places = np.empty(size, np.int32)
    for at in range(size):
        places[at] = lists[name + at]
    places[size - 1] = -1 - places[size - 1]
    return places


@compiled
def _move(rows: Integers, first: int, n: int, lists: Places, to: Places, end: int) -> int:
    for row in range(first, first + n):
        name = rows[row, 2]
        if name >= 0:
            size = list_length(lists, name)
            for at in range(size):
                to[end + at] = lists[name + at]
            rows[row, 2] = end
            end += size
    return end


@compiled
def compact(queue: Queue, lists: Places, length: int) -> Places:
    """A new array int32[length] that begins with the lists named in `queue`, whose names it changes."""
    to = np.empty(length, np.int32)
    end = _move(queue.heap, integer(0), queue.state[SIZE], lists, to, integer(0))
    for bits in range(CLASSES):
        chunk, rows = queue.filling[bits, 0], queue.filling[bits, 1]
        while chunk >= 0:
            end = _move(queue.pool, chunk * CHUNK, rows, lists, to, end)
            rows = CHUNK
            chunk = queue.link[chunk]
    return to
