"""Groups of equal pieces, their copies in the one order of documents, and the edits that cut some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.addresses import EDITS
from corpusmill.pipelines.contract.stage import Sides
from corpusmill.pipelines.contract.survivors import ranks

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
    facts: pa.Table
    """`id` and `source` of the document of each."""


def same_key_twice(rows: pa.Table) -> pa.Table:
    """Of rows sorted by `key`, those whose key another row has too."""
    key = rows.column("key").to_numpy()
    equal = key[1:] == key[:-1]
    return rows.filter(pa.array(np.append(equal, False) | np.append(False, equal))) if len(key) else rows


def group_starts(rows: pa.Table) -> Mask:
    """bool[m]: where a group of equal (`key`, `check`) begins, of rows that are sorted by both."""
    key, check = rows.column("key").to_numpy(), rows.column("check").to_numpy()
    return np.append(np.full(min(1, len(key)), True), (key[1:] != key[:-1]) | (check[1:] != check[:-1]))


def copies(rows: pa.Table, sides: Sides, priority: Sequence[str]) -> Copies:
    """The groups of these rows, which are sorted by (key, unit, row).

    Memory: of the documents among them a row of `facts`, about 100 bytes, and 60 bytes a row.
    """
    unit, row = (rows.column(name).to_numpy() for name in ("unit", "row"))
    address = unit.astype(np.uint64) << np.uint64(32) | row
    distinct, of = np.unique(address, return_inverse=True)
    units, places = (distinct >> np.uint64(32)).astype(np.uint32), distinct.astype(np.uint32)
    known = sides.take(units, places)
    rank = ranks(
        known.append_column("unit", pa.array(units)).append_column("row", pa.array(places)), priority
    )
    key, check, start = (rows.column(name).to_numpy() for name in ("key", "check", "start"))
    by = np.lexsort((start, rank[of], check, key))
    rows = rows.take(pa.array(by))
    new = group_starts(rows)
    first = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
    begins = np.flatnonzero(new)
    sizes = np.diff(np.append(begins, len(new)))
    return Copies(rows, first, np.repeat(sizes, sizes), known.select(["id", "source"]).take(pa.array(of[by])))


def edits(found: Copies, chosen: Mask, reason: str, *, first_stays: bool) -> pa.Table:
    """`EDITS` rows that cut the chosen copies; `first_stays`: in favour of the first of their group."""
    cut = found.rows.filter(pa.array(chosen)).select(["unit", "row", "start", "end"])
    columns = {name: cut.column(name) for name in cut.column_names}
    columns["reason"] = pa.array([reason], pa.string()).take(pa.array(np.zeros(len(cut), np.int64)))
    if first_stays:
        survivor = pa.array(found.first[chosen])
        columns |= {f"survivor_{name}": found.rows.column(name).take(survivor) for name in ("unit", "row")}
        columns |= {f"survivor_{name}": found.facts.column(name).take(survivor) for name in ("id", "source")}
    return pa.table({name: columns[name] for name in EDITS.names if name in columns})
