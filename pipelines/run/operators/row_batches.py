"""The batches of a file of rows: which rows lie in each, and between which keys.

Rows of a partition lie document by document (`row_order`), in one batch. Where they are many, ranges of keys
make several, of a few MiB each, so that a part of the partition reads few of them; there rows of a range lie
document by document. Where keys are so uneven that one range has more rows than a batch may have, all rows
are sorted by key instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.taken_rows import taken
from corpusmill.pipelines.run.operators.row_order import by_document, in_order, places_by_number

_MOST_RANGES = 2**20  # of all partitions together

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]


class Piece(NamedTuple):
    """Rows `start` up to `end` of those of a batch's `number`; `several`: there are other batches of it."""

    number: int
    start: int
    end: int
    several: bool


def partition_of(keys: Keys, partitions: int) -> Numbers:
    """(key * partitions) >> 64 without overflow, uint32[n]; partitions < 2^32."""
    high, low = keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)
    count = np.uint64(partitions)
    return ((high * count + ((low * count) >> np.uint64(32))) >> np.uint64(32)).astype(np.uint32)


def laid_out(rows: pa.Table, partitions: int, width: int, most: int) -> tuple[pa.Table, list[Piece]]:
    """Rows, of which there are some, in the order in which they lie in a file, and their batches, those of
    `width` partitions in one, or of one partition in several of `most` rows."""
    rows = by_document(rows)
    key = rows.column("key").to_numpy()
    number = partition_of(key, partitions) // np.uint32(width)
    first, last = int(number.min()), int(number.max())
    count = np.bincount(number - np.uint32(first), minlength=last - first + 1)
    ranges = 1
    if width == 1:
        while ranges * most < 2 * int(count.max()) and 2 * ranges * partitions <= _MOST_RANGES:
            ranges *= 2
    if ranges > 1:
        number = partition_of(key, partitions * ranges)
        count = np.bincount(number - np.uint32(first * ranges), minlength=(last - first + 1) * ranges)
        if int(count.max()) > most:
            rows = in_order(rows)
            return rows, list(_runs(count.reshape(-1, ranges).sum(axis=1), first, most))
    if len(count) > 1:
        rows = taken(rows, places_by_number(number - np.uint32(first * ranges), len(count)))
    return rows, list(_ranges(count.reshape(-1, ranges), first, most if width == 1 else len(key)))


def _runs(count: npt.NDArray[np.int64], first: int, most: int) -> Iterator[Piece]:
    """So many rows of each number, those of one in runs of at most so many, about as many in each."""
    start = 0
    for number, here in enumerate(count.tolist(), first):
        several = -(-here // most)
        for low, high in pairwise([here * place // max(1, several) for place in range(several + 1)]):
            yield Piece(number, start + low, start + high, several > 1)
        start += here


def _ranges(count: npt.NDArray[np.int64], first: int, most: int) -> Iterator[Piece]:
    """So many rows of each number and range, the ranges of one number together as long as they are at most so
    many."""
    start = 0
    for number, by_range in enumerate(count.tolist(), first):
        end, several = start, sum(by_range) > most
        for here in by_range:
            if end > start and end + here - start > most:
                yield Piece(number, start, end, several)
                start = end
            end += here
        if end > start:
            yield Piece(number, start, end, several)
        start = end
