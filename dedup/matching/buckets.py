"""One partition of MinHash rows to verified pairs, in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.similarity import bucket_pairs
from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.stage import Sides
from corpusmill.pipelines.contract.survivors import FACTS, Index, duplicates, order

# A piece is as many whole buckets as fit these; a larger single bucket is a piece of its own.
PIECE_MEMBERS = 1 << 17
PIECE_SHINGLES = 1 << 25
# Side rows are fetched this many shingles at a time, and sets seen before are let go at once.
TAKE_SHINGLES = 1 << 23


@dataclass(frozen=True)
class Rules:
    """What makes a pair: see `Minhash`."""

    verify: bool
    threshold: float
    max_bucket: int
    priority: tuple[str, ...]
    reason: str


def find_pairs(rows: pa.Table, sides: Sides, rules: Rules) -> pa.Table:
    """`DUPLICATES` rows of all pairs in one partition's rows (sorted by key)."""
    key = rows.column("key").to_numpy()
    address = rows.column("unit").to_numpy().astype(np.uint64) << np.uint64(32)
    address |= rows.column("row").to_numpy().astype(np.uint64)
    size = rows.column("size").to_numpy().astype(np.int64)
    found = [
        _pairs_of_piece(key, address, size, buckets, sides, rules) for buckets in _pieces(key, address, size)
    ]
    return pa.concat_tables([DUPLICATES.empty_table(), *found])


def _pieces(key: npt.NDArray[np.uint64], address: npt.NDArray[np.uint64], size: Index) -> Iterator[Index]:
    """Bounds int64[G, 2] of buckets of two or more rows, piece by piece."""
    if len(key) == 0:
        return
    cuts = np.flatnonzero(key[1:] != key[:-1]) + 1
    bounds = np.stack([np.append(0, cuts), np.append(cuts, len(key))], axis=1).astype(np.int64)
    bounds = bounds[bounds[:, 1] - bounds[:, 0] > 1]
    members = np.cumsum(bounds[:, 1] - bounds[:, 0])
    shingles = np.append(0, np.cumsum(size))
    weight = np.cumsum(shingles[bounds[:, 1]] - shingles[bounds[:, 0]])
    first = 0
    while first < len(bounds):
        before = (members[first - 1], weight[first - 1]) if first else (0, 0)
        last = min(
            np.searchsorted(members, before[0] + PIECE_MEMBERS, "right"),
            np.searchsorted(weight, before[1] + PIECE_SHINGLES, "right"),
        )
        last = max(int(last), first + 1)
        yield bounds[first:last]
        first = last


def _pairs_of_piece(
    key: npt.NDArray[np.uint64],
    address: npt.NDArray[np.uint64],
    size: Index,
    buckets: Index,
    sides: Sides,
    rules: Rules,
) -> pa.Table:
    count = buckets[:, 1] - buckets[:, 0]
    start = np.append(0, np.cumsum(count)).astype(np.int64)
    bucket = np.repeat(np.arange(len(buckets)), count)
    inside = np.arange(start[-1]) + (buckets[:, 0] - start[:-1])[bucket]
    wanted, where, member = np.unique(address[inside], return_index=True, return_inverse=True)
    facts, keys, digest, ends, values = _fetch(wanted, size[inside][where], sides)
    best_first = order(facts, rules.priority)
    rank = np.empty(len(best_first), np.int64)
    rank[best_first] = np.arange(len(best_first))
    member_rank = rank[member]
    member_rank = member_rank[np.lexsort((member_rank, bucket))]
    pairs, similarity = bucket_pairs(
        key[buckets[:, 0]],
        start,
        member_rank,
        keys[best_first],
        digest[best_first],
        ends,
        values,
        rules.verify,
        rules.threshold,
        rules.max_bucket,
    )
    return duplicates(facts, best_first[pairs[:, 0]], best_first[pairs[:, 1]], similarity, rules.reason)


def _fetch(
    wanted: npt.NDArray[np.uint64], size: Index, sides: Sides
) -> tuple[pa.Table, npt.NDArray[np.uint64], Index, Index, npt.NDArray[np.uint32]]:
    """Facts, band keys [N, B] and set number of the wanted documents, and each distinct set once.

    Documents whose digests are equal have one shingle set (but for a chance of 2^-64 a pair), and it is
    held once, so a bucket of a million copies costs one set.
    """
    unit, row = (wanted >> np.uint64(32)).astype(np.uint32), wanted.astype(np.uint32)
    facts, keys, set_of, lengths, values = [], [], [], [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    seen: dict[int, int] = {}
    first = 0
    total = np.append(0, np.cumsum(size))
    while first < len(wanted):
        last = max(int(np.searchsorted(total, total[first] + TAKE_SHINGLES, "right")) - 1, first + 1)
        side = sides.take(unit[first:last], row[first:last])
        light = side.select([name for name in FACTS if name in side.column_names])
        facts.append(
            light.append_column("unit", pa.array(unit[first:last])).append_column(
                "row", pa.array(row[first:last])
            )
        )
        bands = contiguous(side.column("bands"))
        keys.append(bands.flatten().to_numpy().reshape(last - first, -1))
        shingles = contiguous(side.column("shingles"))
        fresh = []
        for i, digest in enumerate(side.column("digest").to_pylist()):
            if digest not in seen:
                seen[digest] = len(seen)
                fresh.append(i)
            set_of.append(seen[digest])
        new = shingles.take(pa.array(fresh, pa.int64()))
        lengths.append(np.diff(new.offsets.to_numpy()))
        values.append(new.flatten().to_numpy())
        first = last
    ends = np.append(0, np.cumsum(np.concatenate(lengths))).astype(np.int64)
    return (
        pa.concat_tables(facts).select(FACTS),
        np.concatenate(keys),
        np.array(set_of, np.int64),
        ends,
        np.concatenate(values),
    )
