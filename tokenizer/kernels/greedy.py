"""Packing of lengths into rows of one capacity in the order they come, without looking back."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled


@compiled
def greedy(lengths: Any, capacity: int) -> Any:
    """Place each item behind the one before it, or in a new row where it does not fit (next fit).

    lengths int64[m], each in 1..capacity. Returns (row int64[m], start int64[m], rows). Time O(m).
    """
    m = len(lengths)
    row, start = np.empty(m, np.int64), np.empty(m, np.int64)
    rows = 0
    filled = capacity
    for i in range(m):
        if filled + lengths[i] > capacity:
            rows += 1
            filled = 0
        row[i] = rows - 1
        start[i] = filled
        filled += lengths[i]
    return row, start, rows
