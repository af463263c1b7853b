"""Of rows that are equal in some columns all but the best are removed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.survivors import duplicates


def removals_of_equals(
    rows: pa.Table, columns: Sequence[str], rank: npt.NDArray[np.int64], reason: str
) -> pa.Table:
    """Every row of a group but its best, as `DUPLICATES` in the order of `rows`.

    Groups are rows equal in all `columns` (numbers); `rank` int64[n], distinct, is least for the best.
    """
    values = [rows.column(name).to_numpy() for name in columns]
    by = np.lexsort((rank, *reversed(values)))
    repeats = np.ones(len(by), bool)
    for column in values:
        ordered = column[by]
        repeats[1:] &= ordered[1:] == ordered[:-1]
    repeats[:1] = False
    best = by[np.maximum.accumulate(np.where(repeats, 0, np.arange(len(by))))]
    losers = np.flatnonzero(repeats)
    losers = losers[np.argsort(by[losers], kind="stable")]
    return duplicates(rows, by[losers], best[losers], np.ones(len(losers)), reason)
