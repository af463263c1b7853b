"""Items put together into units of work such that one more item, or one less, changes few units.

Filling units one after the other would move every later bound. Here an item ends its unit by a draw of
its own name, the likelier the larger it is, so that the bounds after a change are soon the old
ones: about two units of three end before they are full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

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
