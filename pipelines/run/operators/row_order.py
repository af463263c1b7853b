"""The order in which rows of an exchange lie in files and meet: by key, and by address where keys are equal.

Keys are 64 bits. Most are hashes, which differ in their leading half; those that say where a document lies
(`sides.keyed_by_address`) do not, and come in runs that are sorted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def in_order(rows: pa.Table) -> pa.Table:
    """`rows` sorted by (key, unit, row); those of one key and address stay in their order.

    Few share a key, or the leading part of it that decides: those alone are sorted by all of it and by
    address.
    """
    key, unit, row = (rows.column(name).to_numpy() for name in ("key", "unit", "row"))
    rising = key[1:] > key[:-1]
    if rising.all():
        return rows.combine_chunks()
    order, same = _ordered(key, int(np.count_nonzero(rising)))
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same)) if same.any() else order[:0]
    some = order[tied]
    order[tied] = some[np.lexsort([row[some], unit[some], key[some]])]
    if (order[1:] > order[:-1]).all():
        return rows.combine_chunks()
    return rows.take(pa.array(order)).combine_chunks()


def _ordered(key: npt.NDArray[np.uint64], rising: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
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
