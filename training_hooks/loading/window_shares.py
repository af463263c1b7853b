"""Tokens of every source in every sample, from the pieces alone, and their shares in windows of samples.

One pass over the pieces of the shards in the order they lie in (some 35 bytes a piece; tokens are not
read), then one over the samples in the order of the loader: linear time. Memory: 2 or 4 bytes a sample and
source, beyond 64 MiB in a temporary file that is mapped into memory, and some blocks of samples. N samples,
S sources.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.errors import REPAIR, IntegrityError
from corpusmill.tokenizer.shards.reader import Shard

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_IN_MEMORY = 64 * 2**20  # bytes of a table that needs no file
_BLOCK = 2**16  # samples looked at together


@dataclass(frozen=True)
class Extremes:
    """By source, [S], the least and most share that a window holds, and the place that this window begins at;
    infinite where no window holds a token."""

    least: Floats
    least_at: Integers
    most: Floats
    most_at: Integers


def source_tokens(shards: Sequence[Shard], context: int, names: Sequence[str]) -> npt.NDArray[Any]:
    """Tokens of each source `names` in each sample of `context` tokens, in stored order: uint16 or
    uint32[N, S].

    Raises IntegrityError naming a shard whose pieces are damaged, or give other sums than it counts.
    """
    length = shards[0].sequence_length
    windows = -(-length // context)
    codes = {name: code for code, name in enumerate(names)}
    total = sum(shard.rows for shard in shards) * windows
    table_NS = _table((total, len(names)), np.uint16 if context < 2**16 else np.uint32)
    done = 0
    for shard in shards:
        code_s = np.array([codes[name] for name in shard.metadata["sources"]], np.int64)
        sums_S = np.zeros(len(names), np.int64)
        begun = done
        for column in shard.pieces_alone():
            block_NS = _block(shard, column, code_s, context, windows, len(names))
            table_NS[done : done + len(block_NS)] = block_NS
            sums_S += block_NS.sum(axis=0)
            done += len(block_NS)
        counted = shard.metadata["counts"]["tokens_by_source"]
        told = {name: int(sums_S[codes[name]]) for name in counted if name in codes}
        if told != dict(counted) or done - begun != shard.rows * windows:
            raise _damaged(shard, f"its pieces hold {told} tokens in {done - begun} samples, not {counted}")
    return table_NS


def _table(shape: tuple[int, int], kind: type[np.unsignedinteger[Any]]) -> npt.NDArray[Any]:
    if shape[0] * shape[1] * np.dtype(kind).itemsize <= _IN_MEMORY:
        return np.zeros(shape, kind)
    with tempfile.TemporaryFile() as file:  # the map outlives its name
        return np.memmap(file, kind, "w+", shape=shape)


def _block(
    shard: Shard, column: pa.ListArray, code_s: Integers, context: int, windows: int, sources: int
) -> Integers:
    """Tokens of each source in the samples of one record batch, int64[rows * windows, S]."""
    offsets = column.offsets.to_numpy().astype(np.int64)
    values = column.values
    if (np.diff(offsets) < 0).any() or offsets[0] < 0 or offsets[-1] > len(values):
        raise _damaged(shard, "its rows have no pieces that follow one another")
    row, part = np.repeat(np.arange(len(column)), np.diff(offsets)), slice(offsets[0], offsets[-1])
    start, size, source = (
        values.field(name).to_numpy()[part].astype(np.int64) for name in ("start", "length", "source")
    )
    if len(row) and (
        start.min() < 0
        or size.min() < 0
        or (start + size).max() > shard.sequence_length
        or source.max() >= len(code_s)
    ):
        raise _damaged(shard, "a piece lies outside of its row, or is of no source")
    some = size > 0
    row, start, end, source = row[some], start[some], (start + size)[some], source[some]
    first = start // context
    count = (end - 1) // context - first + 1
    of = np.repeat(np.arange(len(row)), count)
    window = first[of] + np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    held = np.minimum(end[of], (window + 1) * context) - np.maximum(start[of], window * context)
    cell = (row[of] * windows + window) * sources + code_s[source[of]]
    cells = len(column) * windows * sources
    block_NS = np.bincount(cell, weights=held, minlength=cells).astype(np.int64).reshape(-1, sources)
    if len(block_NS) and block_NS.sum(axis=1).max() > context:
        raise _damaged(shard, "pieces lie over one another")
    return block_NS


def _damaged(shard: Shard, what: str) -> IntegrityError:
    return IntegrityError(f"{shard.path}: {what}; cure: copy it again from its run, or there `{REPAIR}`")


def extremes(
    table_NS: npt.NDArray[Any], order: Callable[[Integers], Integers], sizes: Sequence[int]
) -> dict[int, Extremes]:
    """Of all windows of so many samples that follow one another in `order` (place -> sample), the extremes of
    each source's share. Every size is in 1..N."""
    samples, sources = table_NS.shape
    found = {
        size: Extremes(
            np.full(sources, np.inf), np.zeros(sources, np.int64),
            np.full(sources, -np.inf), np.zeros(sources, np.int64),
        )
        for size in sizes
    }  # fmt: skip
    before = max(sizes, default=1) - 1
    kept_NS = np.zeros((0, sources), np.int64)
    for first in range(0, samples, _BLOCK):
        places = np.arange(first, min(first + _BLOCK, samples))
        block_NS = np.concatenate([kept_NS, table_NS[order(places)].astype(np.int64)])
        sums_NS = np.concatenate([np.zeros((1, sources), np.int64), np.cumsum(block_NS, axis=0)])
        begins = first - len(kept_NS)  # the place of the block's first sample
        for size, extreme in found.items():
            end = max(size, len(kept_NS) + 1)  # of the first window that ends among the new samples
            if end <= len(block_NS):
                window_NS = sums_NS[end:] - sums_NS[end - size : len(sums_NS) - size]
                _take(extreme, window_NS, begins + end - size)
        kept_NS = block_NS[len(block_NS) - min(before, len(block_NS)) :]
    return found


def _take(extreme: Extremes, window_NS: Integers, first: int) -> None:
    """Take windows into account, which begin at places `first`, `first + 1`, ..."""
    total_N = window_NS.sum(axis=1)
    some = np.flatnonzero(total_N)
    if len(some) == 0:
        return
    share_NS = window_NS[some] / total_N[some, None]
    for code in range(share_NS.shape[1]):
        low, high = int(share_NS[:, code].argmin()), int(share_NS[:, code].argmax())
        if share_NS[low, code] < extreme.least[code]:
            extreme.least[code], extreme.least_at[code] = share_NS[low, code], first + int(some[low])
        if share_NS[high, code] > extreme.most[code]:
            extreme.most[code], extreme.most_at[code] = share_NS[high, code], first + int(some[high])
