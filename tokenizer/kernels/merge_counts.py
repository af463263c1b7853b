"""Sorted rows of pre-tokens and their counts: in order of key (`count_table.key_of`), equal keys by bytes.

Rows are offsets int64[n + 1] (absolute into data), data uint8[...], counts int64[n].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.tokenizer.kernels.count_table import key_of


@compiled
def row_keys(offsets: Any, data: Any, keys: Any) -> None:
    """Fill keys uint64[n]."""
    for row in range(len(keys)):
        keys[row] = key_of(data, offsets[row], offsets[row + 1] - offsets[row])


@compiled
def first_row(offsets: Any, data: Any, key: Any) -> int:
    """The first of these sorted rows whose key is not below `key`."""
    low, high = 0, len(offsets) - 1
    while low < high:
        middle = (low + high) // 2
        if key_of(data, offsets[middle], offsets[middle + 1] - offsets[middle]) < key:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _below(offsets: Any, data: Any, a: int, b: int) -> bool:
    """Whether row a's bytes sort before row b's."""
    a_size, b_size = offsets[a + 1] - offsets[a], offsets[b + 1] - offsets[b]
    for i in range(min(a_size, b_size)):
        x, y = data[offsets[a] + i], data[offsets[b] + i]
        if x != y:
            return bool(x < y)
    return bool(a_size < b_size)


@compiled
def order_ties(keys: Any, order: Any, offsets: Any, data: Any) -> None:
    """Put rows of equal key, which `order` int64[n] has side by side, in order of their bytes."""
    for here in range(1, len(order)):
        row, to = order[here], here
        while to > 0 and keys[order[to - 1]] == keys[row] and _below(offsets, data, row, order[to - 1]):
            order[to] = order[to - 1]
            to -= 1
        order[to] = row


@compiled
def merge_rows(
    order: Any,
    keys: Any,
    offsets: Any,
    data: Any,
    counts: Any,
    out_offsets: Any,
    out_data: Any,
    out_counts: Any,
    rows: int,
) -> int:
    """Append rows in `order`, equal ones summed, to the first `rows` of `out_*`; returns the new number."""
    first, end = rows, out_offsets[rows]
    last = -1
    for row in order:
        start, size = offsets[row], offsets[row + 1] - offsets[row]
        if rows > first and keys[row] == keys[last] and size == offsets[last + 1] - offsets[last]:
            same = True
            for i in range(size):
                if data[start + i] != data[offsets[last] + i]:
                    same = False
                    break
            if same:
                out_counts[rows - 1] += counts[row]
                continue
        for i in range(size):
            out_data[end + i] = data[start + i]
        end += size
        out_counts[rows] = counts[row]
        rows += 1
        out_offsets[rows] = np.int64(end)
        last = row
    return rows
