"""Counts of pairs of tokens, in an open-addressing table of two columns so that one look is one cache line.

A pair is the integer `left << 32 | right`. A pair that is absent counts zero; one whose count became zero
stays until the table is rebuilt, which drops it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer
from corpusmill.pipelines.text.kernels.memory import prefetch

Cells = npt.NDArray[np.int64]

EMPTY = -1
SPREAD = -7046029254386353131  # 2**64 / golden ratio, odd, as a signed integer
AHEAD = 8  # pairs from the one at work to the one whose cell is fetched meanwhile
FULLEST = 0.7  # share of cells in use at which the table is rebuilt


@compiled
def pair_key(left: int, right: int) -> int:
    """The integer of a pair; smaller for the pair that comes first in the order (left, right)."""
    return (integer(left) << 32) | integer(right)


@compiled
def new_cells(n_pairs: int) -> Cells:
    """An empty table, int64[S, 2] of (pair, count), S a power of two, that holds `n_pairs` pairs."""
    size = 1024
    while size * FULLEST < n_pairs:
        size *= 2
    cells = np.empty((size, 2), np.int64)
    cells[:, 0] = EMPTY
    cells[:, 1] = 0
    return cells


@compiled
def spread(key: int) -> int:
    """An integer whose lowest bits depend on all of the pair: where to begin to look for it."""
    mixed = key * SPREAD
    return mixed ^ (mixed >> 32)


@compiled
def look(cells: Cells, key: int) -> int:
    """The cell that holds the pair, or the empty one where it would go."""
    mask = len(cells) - 1
    at: int = spread(key) & mask
    while cells[at, 0] != key and cells[at, 0] != EMPTY:
        at = (at + 1) & mask
    return at


@compiled
def subtract(cells: Cells, changes: Cells, n: int, least: int) -> None:
    """Take `changes` int64[n, 2] of (pair, count) from the table, where they are in it.

    A pair that falls under `least` counts zero from then on.
    """
    mask = len(cells) - 1
    for change in range(n):
        if change + AHEAD < n:
            prefetch(cells, 2 * (spread(changes[change + AHEAD, 0]) & mask))
        key = changes[change, 0]
        at = spread(key) & mask
        while cells[at, 0] != key and cells[at, 0] != EMPTY:
            at = (at + 1) & mask
        count = cells[at, 1] - changes[change, 1]
        cells[at, 1] = count if count >= least else 0


@compiled
def insert(cells: Cells, candidates: Cells, n: int) -> None:
    """Put the pairs of `candidates` int64[n, 3], (count, pair, name), none of them known, into a table."""
    mask = len(cells) - 1
    for candidate in range(n):
        if candidate + AHEAD < n:
            prefetch(cells, 2 * (spread(candidates[candidate + AHEAD, 1]) & mask))
        key = candidates[candidate, 1]
        at = spread(key) & mask
        while cells[at, 0] != EMPTY:
            at = (at + 1) & mask
        cells[at, 0], cells[at, 1] = key, candidates[candidate, 0]


@compiled
def with_room(cells: Cells, used: int, more: int) -> tuple[Cells, int]:
    """A table with room for `more` new pairs beside the `used` ones, and how many it holds.

    The same table where there is room, else a new one without the pairs of count zero.
    """
    if used + more <= len(cells) * FULLEST:
        return cells, used
    live = 0
    for at in range(len(cells)):
        if cells[at, 1] != 0:
            live += 1
    # A quarter to spare, or the next rebuild would come at once.
    grown = new_cells(live + more + (live >> 2))
    for at in range(len(cells)):
        if cells[at, 1] != 0:
            to = look(grown, cells[at, 0])
            grown[to, 0] = cells[at, 0]
            grown[to, 1] = cells[at, 1]
    return grown, live
