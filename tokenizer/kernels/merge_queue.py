"""A max-queue of candidate merges: high counts in a heap, the others waiting by the class of their count.

A candidate is a row of three int64: the count it was given, the pair (`pair_table.pair_key`), and the name
of the list of its places (`position_lists`). Larger counts come first, of equal ones smaller pairs. Class k
holds counts of k bits. Only when the heap is empty is the next class put into it, so that the many rare
pairs cost no more than being written down.

The waiting are kept in chunks of CHUNK rows, linked by class; chunks are used again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer

Rows = npt.NDArray[np.int64]

CHUNK = 256
CLASSES = 65
ARITY = 4


class Queue(NamedTuple):
    """`heap` int64[H, 3]; `pool` int64[C * CHUNK, 3]; `link` int64[C]: the next chunk of a class or of the
    free ones, or -1; `filling` int64[CLASSES, 2]: the chunk a class writes into, or -1, and the rows in it;
    `state` int64[4]: rows in the heap, lowest class of the heap, first free chunk or -1, chunks ever used.

    Functions called often take the arrays one by one: a tuple of them costs a reference count each.
    """

    heap: Rows
    pool: Rows
    link: Rows
    filling: Rows
    state: Rows


SIZE, OPEN, FREE, CHUNKS = 0, 1, 2, 3


@compiled
def new_queue() -> Queue:
    """An empty queue."""
    filling = np.zeros((CLASSES, 2), np.int64)
    filling[:, 0] = -1
    state = np.zeros(4, np.int64)
    state[OPEN] = CLASSES
    state[FREE] = -1
    return Queue(
        np.empty((1024, 3), np.int64),
        np.empty((CLASSES * CHUNK, 3), np.int64),
        np.empty(CLASSES, np.int64),
        filling,
        state,
    )


@compiled
def _copy(rows: Rows, first: int, n: int, to: Rows, at: int) -> None:
    """Rows by rows: to compile an assignment of slices takes numba two seconds."""
    for row in range(n):
        for column in range(3):
            to[at + row, column] = rows[first + row, column]


@compiled
def _wider(rows: Rows, least: int) -> Rows:
    wider = np.empty((max(least, len(rows) + (len(rows) >> 1)), 3), np.int64)
    _copy(rows, integer(0), len(rows), wider, integer(0))
    return wider


@compiled
def reserve(queue: Queue, more: int) -> Queue:
    """The queue with room to push `more` candidates. The queue given must not be used again."""
    heap, pool, link = queue.heap, queue.pool, queue.link
    if queue.state[SIZE] + more > len(heap):
        heap = _wider(heap, queue.state[SIZE] + more)
    # Each class can need one chunk more than its candidates fill.
    chunks = queue.state[CHUNKS] + more // CHUNK + CLASSES + 1
    if chunks > len(link):
        pool = _wider(pool, chunks * CHUNK)
        link = np.empty(len(pool) // CHUNK, np.int64)
        for chunk in range(len(queue.link)):
            link[chunk] = queue.link[chunk]
    return Queue(heap, pool, link, queue.filling, queue.state)


@compiled
def bit_length(count: int) -> int:
    """Bits of a count, its class."""
    bits = 0
    while count > 0:
        bits += 1
        count >>= 1
    return bits


@compiled
def _sift_down(heap: Rows, size: int, at: int) -> None:
    count, key, name = heap[at, 0], heap[at, 1], heap[at, 2]
    while ARITY * at + 1 < size:
        best = ARITY * at + 1
        for child in range(best + 1, min(ARITY * at + ARITY + 1, size)):
            if heap[child, 0] > heap[best, 0] or (
                heap[child, 0] == heap[best, 0] and heap[child, 1] < heap[best, 1]
            ):
                best = child
        if count > heap[best, 0] or (count == heap[best, 0] and key < heap[best, 1]):
            break
        heap[at, 0], heap[at, 1], heap[at, 2] = heap[best, 0], heap[best, 1], heap[best, 2]
        at = best
    heap[at, 0], heap[at, 1], heap[at, 2] = count, key, name


@compiled
def push(heap: Rows, pool: Rows, link: Rows, filling: Rows, state: Rows, candidates: Rows, n: int) -> None:
    """Add `candidates` int64[n, 3] to a queue with room."""
    for candidate in range(n):
        count, key, name = candidates[candidate, 0], candidates[candidate, 1], candidates[candidate, 2]
        bits = bit_length(count)
        if bits >= state[OPEN]:
            at = state[SIZE]
            state[SIZE] = at + 1
            while at > 0:
                above = (at - 1) // ARITY
                if heap[above, 0] > count or (heap[above, 0] == count and heap[above, 1] < key):
                    break
                heap[at, 0], heap[at, 1], heap[at, 2] = heap[above, 0], heap[above, 1], heap[above, 2]
                at = above
            heap[at, 0], heap[at, 1], heap[at, 2] = count, key, name
            continue
        if filling[bits, 0] < 0 or filling[bits, 1] == CHUNK:
            chunk = state[FREE]
            if chunk >= 0:
                state[FREE] = link[chunk]
            else:
                chunk = state[CHUNKS]
                state[CHUNKS] = chunk + 1
            link[chunk] = filling[bits, 0]
            filling[bits, 0] = chunk
            filling[bits, 1] = 0
        at = filling[bits, 0] * CHUNK + filling[bits, 1]
        pool[at, 0], pool[at, 1], pool[at, 2] = count, key, name
        filling[bits, 1] += 1


@compiled
def drop_first(heap: Rows, state: Rows) -> None:
    """Take `heap[0]` out."""
    size = state[SIZE] - 1
    state[SIZE] = size
    for column in range(3):
        heap[0, column] = heap[size, column]
    _sift_down(heap, size, integer(0))


@compiled
def recount_first(queue: Queue, count: int) -> Queue:
    """Give `heap[0]` a smaller count and its new place. The queue given must not be used again."""
    heap, state = queue.heap, queue.state
    if bit_length(count) >= state[OPEN]:
        heap[0, 0] = count
        _sift_down(heap, state[SIZE], integer(0))
        return queue
    candidate = np.empty((1, 3), np.int64)
    candidate[0, 0], candidate[0, 1], candidate[0, 2] = count, heap[0, 1], heap[0, 2]
    drop_first(heap, state)
    queue = reserve(queue, integer(1))
    push(queue.heap, queue.pool, queue.link, queue.filling, queue.state, candidate, integer(1))
    return queue


@compiled
def ready(queue: Queue) -> tuple[Queue, bool]:
    """The queue with its first candidate at `heap[0]`, and whether there is one."""
    state = queue.state
    bits = state[OPEN] - 1
    while bits >= 0 and queue.filling[bits, 0] < 0:
        bits -= 1
    if bits < 0:
        return queue, False
    state[OPEN] = bits
    return _open(queue, bits), True


@compiled
def _open(queue: Queue, bits: int) -> Queue:
    """Move a class into the empty heap."""
    heap, pool, link, filling, state = queue
    size = filling[bits, 1]
    chunk = link[filling[bits, 0]]
    while chunk >= 0:
        size += CHUNK
        chunk = link[chunk]
    if size > len(heap):
        heap = np.empty((size + (size >> 3), 3), np.int64)
    chunk, rows, to = filling[bits, 0], filling[bits, 1], integer(0)
    while chunk >= 0:
        _copy(pool, chunk * CHUNK, rows, heap, to)
        to += rows
        rows = CHUNK
        following = link[chunk]
        link[chunk] = state[FREE]
        state[FREE] = chunk
        chunk = following
    filling[bits, 0] = -1
    state[SIZE] = size
    for at in range((size - 2) // ARITY, -1, -1):
        _sift_down(heap, size, at)
    return Queue(heap, pool, link, filling, state)
