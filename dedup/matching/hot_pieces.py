"""Repeated pieces where the copies of one are more than should be in memory: what must be known of all rows,
and what becomes of some of them (`contract.windows.InWindows`).

Memory: of keys 9 bytes each, of pieces the copies that stay; and a window of rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from corpusmill.dedup.matching.repeats import Copies, Mask, copies

STANDS_FOR = "stands_for"  # a column: how many copies of its group a row stands for


def learn_keys(known: pa.Table | None, rows: pa.Table) -> pa.Table:
    """The keys of all rows seen, `key`, and whether several rows have each, `twice`."""
    key, count = np.unique(rows.column("key").to_numpy(), return_counts=True)
    if known is not None:
        key = np.concatenate([known.column("key").to_numpy(), key])
        count = np.concatenate([known.column("twice").to_numpy(zero_copy_only=False) + 1, count])
        by = np.argsort(key, kind="stable")
        begins = np.flatnonzero(np.append(True, key[by][1:] != key[by][:-1])[: len(by)])
        key, count = key[by][begins], np.add.reduceat(count[by], begins)
    return pa.table({"key": key, "twice": count > 1})


def known_twice(known: pa.Table, rows: pa.Table) -> pa.Table:
    """Of some rows those whose key several of all rows have."""
    wanted = known.filter(known.column("twice")).column("key").to_numpy()
    return rows.filter(pa.array(np.isin(rows.column("key").to_numpy(), wanted)))


def learn_copies(known: pa.Table | None, rows: pa.Table, priority: Sequence[str], most: int) -> pa.Table:
    """The first `most` copies of each group of all rows seen, the first of which stands for all of them."""
    every = rows.append_column(STANDS_FOR, pa.array(np.ones(len(rows), np.int64)))
    if known is not None:
        every = pa.concat_tables([known, every.select(known.column_names)])
    found = _counted(every, priority)
    place = np.arange(len(found.first)) - found.first
    stands_for = pa.array(np.where(place == 0, found.count, 0))
    at = found.rows.column_names.index(STANDS_FOR)
    return found.rows.set_column(at, STANDS_FOR, stands_for).filter(pa.array(place < most)).combine_chunks()


def copies_among(known: pa.Table, rows: pa.Table, priority: Sequence[str]) -> tuple[Copies, Mask]:
    """Some rows among the copies that `learn_copies` gave, with counts of all; and which are the rows."""
    mine, theirs = _both(known, rows)
    new = rows.filter(pa.array(~theirs))
    new = new.append_column(STANDS_FOR, pa.array(np.zeros(len(new), np.int64)))
    every = pa.concat_tables([known, new.select(known.column_names)])
    every = every.append_column("shown", pa.array(np.append(mine, np.ones(len(new), bool))))
    found = _counted(every, priority)
    return found, found.rows.column("shown").to_numpy(zero_copy_only=False)


def _counted(rows: pa.Table, priority: Sequence[str]) -> Copies:
    """Their copies, where rows stand for others: `count` is of all."""
    found = copies(rows, priority)
    begins = np.flatnonzero(found.first == np.arange(len(found.first)))
    sums = np.add.reduceat(found.rows.column(STANDS_FOR).to_numpy(), begins) if len(begins) else begins
    return Copies(found.rows, found.first, np.repeat(sums, np.diff(np.append(begins, len(found.first)))))


def _both(one: pa.Table, other: pa.Table) -> tuple[Mask, Mask]:
    """Which pieces of each of two tables, in which no piece stands twice, the other has too."""
    columns = [
        np.concatenate([table.column(name).to_numpy() for table in (one, other)])
        for name in ("start", "row", "unit")
    ]
    by = np.lexsort(columns)
    same = np.logical_and.reduce([values[by][1:] == values[by][:-1] for values in columns])
    found = np.zeros(len(by), bool)
    found[by] = np.append(same, False)[: len(by)] | np.append(False, same)[: len(by)]
    return found[: len(one)], found[len(one) :]
