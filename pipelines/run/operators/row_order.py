"""The order in which rows of an exchange lie in files and meet: by key, and by address where keys are equal.

Keys are 64 bits. Most are hashes, which differ in their leading half; those that say where a document lies
(`sides.keyed_by_address`) do not, and come in runs that are sorted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.taken_rows import taken

FIRST = ("key", "unit", "row")
_Order = npt.NDArray[np.intp]
_Flags = npt.NDArray[np.bool_]


def in_order(rows: pa.Table) -> pa.Table:
    """`rows` sorted by (key, unit, row); those of one key and address stay in their order."""
    order = order_of(rows)
    return rows.combine_chunks() if order is None else taken(rows, order)


def order_of(rows: pa.Table) -> _Order | None:
    """The order in which `in_order` puts rows, int[n]; None where they are in it.

    Few share a key, or the leading part of it that decides, and most of these come by address: only where
    they do not are they sorted by all of it and by address.
    """
    key, unit, row = (rows.column(name).to_numpy() for name in FIRST)
    rising = key[1:] > key[:-1]
    if rising.all():
        return None
    order, same = _ordered(key, int(np.count_nonzero(rising)))
    tied = _astray(order, same, key, unit, row)
    if len(tied):
        some = order[tied]
        order[tied] = some[np.lexsort([row[some], unit[some], key[some]])]
    return None if (order[1:] > order[:-1]).all() else order


def ties(rows: pa.Table, order: _Order | None = None) -> _Order:
    """Places in the order of `rows`, which they are in or is given, of rows that have the key and the address
    of the next one."""
    same = np.ones(max(0, rows.num_rows - 1), bool)
    for name in FIRST:
        values = rows.column(name).to_numpy()
        values = values if order is None else values[order]
        same &= values[1:] == values[:-1]
    return np.flatnonzero(same)


def _ordered(key: npt.NDArray[np.uint64], rising: int) -> tuple[_Order, _Flags]:
    """A stable order by the key or by its leading half, and which places in it are equal to the next one.
    `rising`: how many keys are greater than the one before.

    numpy sorts 16 bits by counting and merges sorted runs, each several times as fast as it sorts keys.
    """
    if rising < len(key) // 16 * 15:
        leading = (key >> np.uint64(32)).astype(np.uint32)
        order = np.argsort(leading.astype(np.uint16), kind="stable")
        order = order[np.argsort((leading >> np.uint32(16)).astype(np.uint16)[order], kind="stable")]
        same = leading[order][1:] == leading[order][:-1]
        if np.count_nonzero(same) < len(key) // 8:
            return order, same
    order = np.argsort(key, kind="stable")
    return order, key[order][1:] == key[order][:-1]


def _astray(
    order: _Order,
    same: _Flags,
    key: npt.NDArray[np.uint64],
    unit: npt.NDArray[np.uint32],
    row: npt.NDArray[np.uint32],
) -> _Order:
    """Places in the order of all rows of those runs of equal ones that are not sorted by key, unit and
    row."""
    first = np.flatnonzero(same)
    falls = np.zeros(len(first), bool)
    here, following = order[first], order[first + 1]
    for column in (row, unit, key):  # the last one decides
        one, other = column[here], column[following]
        falls = np.where(one == other, falls, one > other)
    if not falls.any():
        return first[:0]
    run = np.cumsum(np.append(True, ~same))
    wrong = np.zeros(int(run[-1]) + 1, bool)
    wrong[run[first[falls]]] = True
    return np.flatnonzero(wrong[run])
