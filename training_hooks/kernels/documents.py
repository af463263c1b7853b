"""Marks the documents of batches of sequences from the pieces of their rows, one call a batch.

Arguments are those of `kernels.sequences`, as is the meaning of what is returned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer
from corpusmill.pipelines.text.kernels.memory import four_at, two_at
from corpusmill.training_hooks.kernels.sequences import place_of

Integers = npt.NDArray[np.int64]


@compiled
def mark_documents(
    first: int,
    n: int,
    half: int,
    keys: npt.NDArray[np.uint64],
    windows_a_row: int,
    ends_S: Integers,
    sizes_S: Integers,
    firsts_S: Integers,
    parts_B4: Integers,
    context: int,
    ids_NW: npt.NDArray[Any],
    places_NW: npt.NDArray[Any],
) -> int:
    """For every token of a sample the number of its document there, from 0, and its place in that document's
    part of the sample; padding has number -1 and places of its own."""
    width = ids_NW.shape[1]
    for i in range(len(ids_NW)):
        batch, within, start = place_of(
            first + i, n, half, keys, windows_a_row, context, ends_S, sizes_S, firsts_S
        )  # fmt: skip
        if parts_B4[batch, 0] == 0:
            return i
        bounds, starts, lengths = parts_B4[batch, 0], parts_B4[batch, 1], parts_B4[batch, 2]
        ids_W, places_W = ids_NW[i], places_NW[i]
        number, at = integer(0), integer(0)
        for p in range(four_at(bounds + 4 * within), four_at(bounds + 4 * within + 4)):
            begin = four_at(starts + 4 * p) - start
            low, high = max(begin, 0), min(begin + four_at(lengths + 4 * p), width)
            if high <= low:
                continue
            ids_W[low:high] = number
            for t in range(high - low):
                places_W[low + t] = t
            number += 1
            at = high
        ids_W[at:] = -1
        for t in range(width - at):
            places_W[at + t] = t
    return len(ids_NW)


@compiled
def ignore_borders(
    first: int,
    n: int,
    half: int,
    keys: npt.NDArray[np.uint64],
    windows_a_row: int,
    ends_S: Integers,
    sizes_S: Integers,
    firsts_S: Integers,
    parts_B4: Integers,
    context: int,
    ignored: int,
    labels_NT: npt.NDArray[Any],
) -> int:
    """Write `ignored` over every label that is the first token of a document."""
    width = labels_NT.shape[1]
    for i in range(len(labels_NT)):
        batch, within, start = place_of(
            first + i, n, half, keys, windows_a_row, context, ends_S, sizes_S, firsts_S
        )  # fmt: skip
        if parts_B4[batch, 0] == 0:
            return i
        bounds, starts, lengths = parts_B4[batch, 0], parts_B4[batch, 1], parts_B4[batch, 2]
        for p in range(four_at(bounds + 4 * within), four_at(bounds + 4 * within + 4)):
            begin = four_at(starts + 4 * p) - start
            if 0 < begin <= width and four_at(lengths + 4 * p) > 0:
                labels_NT[i, begin - 1] = ignored
    return len(labels_NT)


@compiled
def mark_sources(
    first: int,
    n: int,
    half: int,
    keys: npt.NDArray[np.uint64],
    windows_a_row: int,
    ends_S: Integers,
    sizes_S: Integers,
    firsts_S: Integers,
    parts_B4: Integers,
    context: int,
    shards_B: Integers,
    codes_SN: Integers,
    out_NW: npt.NDArray[Any],
) -> int:
    """For every token of a sample `codes[shard, source of its piece]`; padding is left as it is. `shards_B`:
    the shard of a record batch."""
    width = out_NW.shape[1]
    for i in range(len(out_NW)):
        batch, within, start = place_of(
            first + i, n, half, keys, windows_a_row, context, ends_S, sizes_S, firsts_S
        )  # fmt: skip
        if parts_B4[batch, 0] == 0:
            return i
        bounds, starts, lengths = parts_B4[batch, 0], parts_B4[batch, 1], parts_B4[batch, 2]
        for p in range(four_at(bounds + 4 * within), four_at(bounds + 4 * within + 4)):
            code = codes_SN[shards_B[batch], two_at(parts_B4[batch, 3] + 2 * p)]
            begin = four_at(starts + 4 * p) - start
            for t in range(max(begin, 0), min(begin + four_at(lengths + 4 * p), width)):
                out_NW[i, t] = code
    return len(out_NW)
