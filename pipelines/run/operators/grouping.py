"""Items put together into units of work such that one more item, or one less, changes few units.

Filling units one after the other would move every later bound. Here an item ends its unit by a draw of
its own name, the likelier the larger it is, so that the bounds after a change are soon the old
ones: about two units of three end before they are full. `runs` does so for items that count alike, such as
the files of a level of a tree.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

Item = TypeVar("Item")


def grouped(
    items: Iterable[Item],
    name: Callable[[Item], str],
    size: Callable[[Item], int],
    most_bytes: int,
    most_items: int,
) -> list[list[Item]]:
    """Runs of items in their order, of at most `most_items` and, unless it is a single one, `most_bytes`."""
    found: list[list[Item]] = []
    bounds = Bounds(most_bytes, most_items)
    for item in items:
        if bounds.begins(name(item), size(item)):
            found.append([])
        found[-1].append(item)
    return found


class Bounds:
    """Where the runs of `grouped` begin, of items that are shown one after the other."""

    def __init__(self, most_bytes: int, most_items: int) -> None:
        self._most_bytes, self._most_items = most_bytes, most_items
        self._open, self._filled, self._items = False, 0, 0

    def begins(self, name: str, size: int) -> bool:
        """Whether the next item, of this name and size in bytes, is the first of a run."""
        full = self._filled + size > self._most_bytes or self._items >= self._most_items
        first = full or not self._open
        if first:
            self._filled = self._items = 0
        self._filled += size
        self._items += 1
        share = size / self._most_bytes + 1 / self._most_items
        draw = xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogateescape"))
        self._open = draw >= share * 2**64
        return first


def runs(names: npt.NDArray[np.uint64], size: int) -> list[int]:
    """Where runs of items begin, and where the last one ends, given a hash of each item's name, uint64[n].

    A run has half to three halves of `size` items, at least two, the last one perhaps fewer; three halves of
    `size` or fewer are one run. From a `size` of 16 on it has about as many on average, and an item that is
    put in or taken out anywhere changes 1.5 runs on average, where names differ.
    """
    least, most = max(2, size - size // 2), max(2, size + size // 2)
    if len(names) <= most:
        return [0, len(names)] if len(names) else [0]
    ends = (np.flatnonzero(names % np.uint64(max(2, (most - least) * 2 // 3)) == 0) + 1).tolist()
    found = [0]
    while found[-1] < len(names):
        start = found[-1]
        at = bisect_left(ends, start + least)
        end = ends[at] if at < len(ends) else len(names)
        found.append(min(end, start + most, len(names)))
    return found


def hashes_of(digests: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """The first 64 bits of each SHA-256, for `runs`."""
    return np.frombuffer(b"".join(digest[:8] for digest in digests), "<u8")
