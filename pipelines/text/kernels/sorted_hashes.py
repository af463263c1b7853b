"""Looking up a number among sorted ones."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.text.compiled import inlined


@inlined
def place_of(sorted_hashes: Any, value: Any, low: int, high: int) -> int:
    """The first place of `value` in `sorted_hashes[low:high]`, ascending, or -1."""
    left, right = low, high
    while left < right:
        middle = (left + right) >> 1
        if sorted_hashes[middle] < value:
            left = middle + 1
        else:
            right = middle
    return left if left < high and sorted_hashes[left] == value else -1
