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
    open_, filled = False, 0
    for item in items:
        bytes_ = size(item)
        if not open_ or filled + bytes_ > most_bytes or len(found[-1]) >= most_items:
            found.append([])
            filled = 0
        found[-1].append(item)
        filled += bytes_
        share = bytes_ / most_bytes + 1 / most_items
        open_ = xxhash.xxh3_64_intdigest(name(item).encode("utf-8", "surrogateescape")) >= share * 2**64
    return found
