"""The last round of MinHash: from documents and their sets to verified pairs, some buckets at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.similarity import bucket_pairs
from corpusmill.dedup.matching.rules import Rules
from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.known import known_rows
from corpusmill.pipelines.contract.survivors import FACTS, Index, duplicates, order, ranks
from corpusmill.pipelines.contract.taken_rows import taken

# A piece is as many whole buckets as have so many rows; a larger single bucket is a piece of its own.
PIECE_MEMBERS = 1 << 17


def find_pairs(rows: pa.Table, rules: Rules) -> pa.Table:
    """`DUPLICATES` rows of all pairs among rows that `bring` gave, sorted by key."""
    sets, copies = with_sets(rows, True), with_sets(rows, False)
    return pa.concat_tables(
        [pairs_of_sets(sets, rules), pairs_of_copies(copies, best_twins(rows, copies, rules), rules)]
    )


def with_sets(rows: pa.Table, there: bool) -> pa.Table:
    """The rows that have a set, or those that have none, being of copies."""
    return taken(
        rows,
        np.flatnonzero(
            contiguous(rows.column("shingles")).is_valid().to_numpy(zero_copy_only=False) == there
        ),
    )


def pairs_of_sets(rows: pa.Table, rules: Rules, shown: npt.NDArray[np.bool_] | None = None) -> pa.Table:
    """Pairs of rows with sets, sorted by key; `shown` bool[n]: of which as worse documents; None: of all."""
    found = [DUPLICATES.empty_table()]
    for start, end in _pieces(rows.column("key").to_numpy()):
        found.append(
            _pairs_of_piece(
                rows.slice(start, end - start), rules, None if shown is None else shown[start:end]
            )
        )
    return pa.concat_tables(found)


def best_twins(rows: pa.Table, copies: pa.Table, rules: Rules) -> pa.Table:
    """Of rows the best of each key and digest that copies have."""
    twins = taken(rows, np.flatnonzero(places_of(copies, rows) >= 0))
    key, digest = (twins.column(name).to_numpy() for name in ("key", "digest"))
    by = np.lexsort((ranks(twins.select(FACTS), rules.priority), digest, key))
    new = np.append(True, (key[by][1:] != key[by][:-1]) | (digest[by][1:] != digest[by][:-1]))[: len(by)]
    return taken(twins, by[new])


def places_of(known: pa.Table, rows: pa.Table) -> Index:
    """The place of a row of `known` with the key and the digest of each row, int64[n]; -1 without one."""
    key, digest = (np.concatenate([table.column(name).to_numpy() for table in (known, rows)])
                   for name in ("key", "digest"))  # fmt: skip
    by = np.lexsort((np.arange(len(key)) >= len(known), digest, key))
    new = np.append(True, (key[by][1:] != key[by][:-1]) | (digest[by][1:] != digest[by][:-1]))[: len(by)]
    first = by[np.maximum.accumulate(np.where(new, np.arange(len(by)), 0))]
    found = np.empty(len(by), np.int64)
    found[by] = np.where(first < len(known), first, -1)
    return found[len(known) :]


def pairs_of_copies(copies: pa.Table, twins: pa.Table, rules: Rules) -> pa.Table:
    """Each copy in the bucket of its first band with the best document of its set, at 1.0."""
    if not len(copies):
        return DUPLICATES.empty_table()
    best = places_of(twins, copies)
    facts = pa.concat_tables([copies.select(FACTS), twins.select(FACTS)]).combine_chunks()
    address = (
        facts.column("unit").to_numpy().astype(np.uint64) << np.uint64(32) | facts.column("row").to_numpy()
    )
    first = _by_band(copies, "bands")[:, 0] == copies.column("key").to_numpy()
    worse = np.flatnonzero(
        first & ~known_rows(copies) & (address[: len(copies)] != address[len(copies) + best])
    )
    return duplicates(facts, worse, len(copies) + best[worse], np.ones(len(worse)), rules.reason)


def _pieces(key: npt.NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Bounds of runs of whole buckets."""
    ends = np.append(np.flatnonzero(key[1:] != key[:-1]) + 1, len(key)) if len(key) else np.zeros(0, int)
    first = 0
    while first < len(key):
        last = int(np.searchsorted(ends, first + PIECE_MEMBERS, "right"))
        end = int(ends[max(last - 1, int(np.searchsorted(ends, first, "right")))])
        yield first, end
        first = end


def _pairs_of_piece(rows: pa.Table, rules: Rules, shown: npt.NDArray[np.bool_] | None) -> pa.Table:
    key = rows.column("key").to_numpy()
    start = np.append(0, np.flatnonzero(key[1:] != key[:-1]) + 1)
    bucket = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(key))))
    facts = rows.select(FACTS)
    best_first = order(facts, rules.priority)
    member = np.empty(len(best_first), np.int64)
    member[best_first] = np.arange(len(best_first))
    member = member[np.lexsort((member, bucket))]
    keys, crowded = (_by_band(rows, name)[best_first] for name in ("bands", "crowded"))
    set_of, bounds, values = _sets(rows)
    pairs, similarity = bucket_pairs(
        key[start],
        np.append(start, len(key)),
        member,
        keys,
        crowded,
        known_rows(rows)[best_first],
        set_of[best_first],
        bounds,
        values,
        rules.verify,
        rules.containment,
        rules.threshold,
        rules.max_bucket,
    )
    if shown is not None:
        mine = shown[best_first[pairs[:, 0]]]
        pairs, similarity = pairs[mine], similarity[mine]
    return duplicates(facts, best_first[pairs[:, 0]], best_first[pairs[:, 1]], similarity, rules.reason)


def _by_band(rows: pa.Table, name: str) -> npt.NDArray[Any]:
    """A column of lists of one length, [n, bands]."""
    values = contiguous(rows.column(name)).flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values.reshape(rows.num_rows, -1))


def _sets(rows: pa.Table) -> tuple[Index, Index, npt.NDArray[np.uint32]]:
    """The number of each row's set; bounds int64[S, 2] of each set among the values; and the values.

    Documents whose digests are equal have one shingle set (but for a chance of 2^-64 a pair): the first that
    was sent counts. Bounds are equal where none was sent.
    """
    shingles = contiguous(rows.column("shingles"))
    offsets, there = shingles.offsets.to_numpy(), shingles.is_valid().to_numpy(zero_copy_only=False)
    digest = rows.column("digest").to_numpy()
    by = np.lexsort((~there, digest))
    new = np.append(True, digest[by][1:] != digest[by][:-1])
    set_of = np.empty(len(by), np.int64)
    set_of[by] = np.cumsum(new) - 1
    chosen = by[new]
    begin = offsets[chosen]
    bounds = np.stack([begin, np.where(there[chosen], offsets[chosen + 1], begin)], axis=1)
    return set_of, bounds.astype(np.int64), shingles.values.to_numpy()
