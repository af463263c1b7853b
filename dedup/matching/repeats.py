"""Groups of equal pieces, their copies in the one order of documents, and the edits that cut some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.addresses import EDITS
from corpusmill.pipelines.contract.survivors import FACTS, ranks

Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Copies:
    """The copies of pieces, group after group; arrays of length m."""

    rows: pa.Table
    """Their rows, as they were sent, in this order: by group, then from the best document to the worst, then
    by place in it."""
    first: Index
    """The number of the first copy of each one's group."""
    count: Index
    """Copies of its group."""


def by_document(rows: pa.Table) -> pa.Table:
    """Rows of pieces for a round with side tables; `piece` is the key."""
    return rows.rename_columns(["piece" if name == "key" else name for name in rows.column_names])


def with_facts(rows: pa.Table, side: pa.Table) -> pa.Table:
    """Rows of `by_document`, sorted by it, with the facts that `side` has of each document, by piece."""
    unit, row = (rows.column(name).to_numpy() for name in ("unit", "row"))
    new = np.append(True, (unit[1:] != unit[:-1]) | (row[1:] != row[:-1]))
    known = side.take(pa.array(np.cumsum(new) - 1))
    rows = rows.drop_columns(["key"])
    rows = rows.rename_columns(["key" if name == "piece" else name for name in rows.column_names])
    for name in known.column_names:
        rows = rows.append_column(name, known.column(name))
    return rows


def same_key_twice(rows: pa.Table) -> pa.Table:
    """Of rows sorted by `key`, those whose key another row has too."""
    key = rows.column("key").to_numpy()
    equal = key[1:] == key[:-1]
    return rows.filter(pa.array(np.append(equal, False) | np.append(False, equal))) if len(key) else rows


def group_starts(rows: pa.Table) -> Mask:
    """bool[m]: where a group of equal (`key`, `check`) begins, of rows that are sorted by both."""
    key, check = rows.column("key").to_numpy(), rows.column("check").to_numpy()
    return np.append(np.full(min(1, len(key)), True), (key[1:] != key[:-1]) | (check[1:] != check[:-1]))


def copies(rows: pa.Table, priority: Sequence[str]) -> Copies:
    """The groups of these rows of `with_facts`, which are sorted by (key, unit, row).

    Memory: about 160 bytes a row.
    """
    unit, row = (rows.column(name).to_numpy() for name in ("unit", "row"))
    address = unit.astype(np.uint64) << np.uint64(32) | row
    _, where, of = np.unique(address, return_index=True, return_inverse=True)
    rank = ranks(rows.select(FACTS).take(pa.array(where)), priority)
    key, check, start = (rows.column(name).to_numpy() for name in ("key", "check", "start"))
    by = np.lexsort((start, rank[of], check, key))
    rows = rows.take(pa.array(by))
    new = group_starts(rows)
    first = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
    begins = np.flatnonzero(new)
    sizes = np.diff(np.append(begins, len(new)))
    return Copies(rows, first, np.repeat(sizes, sizes))


def edits(found: Copies, chosen: Mask, reason: str, *, first_stays: bool) -> pa.Table:
    """`EDITS` rows that cut the chosen copies; `first_stays`: in favour of the first of their group."""
    cut = found.rows.filter(pa.array(chosen)).select(["unit", "row", "start", "end"])
    columns = {name: cut.column(name) for name in cut.column_names}
    columns["reason"] = pa.array([reason], pa.string()).take(pa.array(np.zeros(len(cut), np.int64)))
    if first_stays:
        survivor = pa.array(found.first[chosen])
        known = ("unit", "row", "id", "source")
        columns |= {f"survivor_{name}": found.rows.column(name).take(survivor) for name in known}
    return pa.table({name: columns[name] for name in EDITS.names if name in columns})
