"""Best-fit-decreasing bin packing of lengths into rows of one capacity."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.pipelines.text.compiled import compiled


@compiled
def _set(tree: Any, leaf: int, value: bool) -> None:
    """Mark a leaf of the binary tree `tree` (bool[2 * leaves]) and refresh the nodes above it."""
    node = leaf + len(tree) // 2
    tree[node] = value
    node >>= 1
    while node >= 1:
        tree[node] = tree[2 * node] or tree[2 * node + 1]
        node >>= 1


@compiled
def _next_set(tree: Any, leaf: int) -> int:
    """The smallest marked leaf that is >= `leaf`, or -1."""
    leaves = len(tree) // 2
    node = leaf + leaves
    if tree[node]:
        return leaf
    while node > 1:
        if node % 2 == 0 and tree[node + 1]:
            node += 1
            while node < leaves:
                node = 2 * node if tree[2 * node] else 2 * node + 1
            return node - leaves
        node >>= 1
    return -1


@compiled
def best_fit_decreasing(lengths: Any, capacity: int) -> Any:
    """Place items, longest first, each in the fullest row it fits, or in a new row where it fits none.

    lengths int64[m], each in 1..capacity. Returns (row int64[m], start int64[m], rows): rows are numbered
    as they are opened, equal lengths are taken in order, and of equally full rows the latest is used.
    Time O(m log capacity): open rows are stacks by remaining space under a binary tree of the non-empty ones.
    """
    m = len(lengths)
    row, start = np.empty(m, np.int64), np.empty(m, np.int64)
    leaves = 1
    while leaves < capacity + 1:
        leaves *= 2
    tree = np.zeros(2 * leaves, np.bool_)
    head = np.full(capacity + 1, -1, np.int64)  # latest row with this much space left
    below = np.empty(m, np.int64)  # the row under it in that stack
    rows = 0
    # Counting sort by decreasing length, stable.
    place = np.zeros(capacity + 2, np.int64)
    for i in range(m):
        place[capacity - lengths[i] + 1] += 1
    for size in range(1, capacity + 2):
        place[size] += place[size - 1]
    order = np.empty(m, np.int64)
    for i in range(m):
        bucket = capacity - lengths[i]
        order[place[bucket]] = i
        place[bucket] += 1
    for step in range(m):
        i = order[step]
        space = _next_set(tree, lengths[i])
        if space < 0:
            here = rows
            rows += 1
            space = capacity
        else:
            here = head[space]
            head[space] = below[here]
            if head[space] < 0:
                _set(tree, space, False)
        row[i] = here
        start[i] = capacity - space
        left = space - lengths[i]
        if left > 0:
            below[here] = head[left]
            if head[left] < 0:
                _set(tree, left, True)
            head[left] = here
    return row, start, rows
