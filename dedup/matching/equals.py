"""Of rows that are equal in some columns all but the best are removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.stage import Found
from corpusmill.pipelines.contract.survivors import Index, duplicates
from corpusmill.pipelines.contract.windows import InWindows


def removals_of_equals(rows: pa.Table, columns: Sequence[str], rank: Index, reason: str) -> pa.Table:
    """Every row of a group but its best, as `DUPLICATES` in the order of `rows`.

    Groups are rows equal in all `columns` (numbers); `rank` int64[n], distinct, is least for the best.
    """
    by, repeats = _grouped(rows, columns, rank)
    best = by[np.maximum.accumulate(np.where(repeats, 0, np.arange(len(by))))]
    losers = np.flatnonzero(repeats)
    losers = losers[np.argsort(by[losers], kind="stable")]
    return duplicates(rows, by[losers], best[losers], np.ones(len(losers)), reason)


def keeping_one(
    reduce: Callable[[pa.Table], pa.Table], columns: Sequence[str], ranks: Callable[[pa.Table], Index]
) -> InWindows:
    """The round of a stage whose `reduce` gives `removals_of_equals`, of rows equal in `columns`: of a group,
    however large, its best so far must be known.

    `ranks`: the ranks of rows, least for the best; which of two is better must not depend on others.
    """

    def whole(rows: pa.Table) -> Found:
        return Found(removals=reduce(rows))

    def learn(best: pa.Table | None, rows: pa.Table) -> pa.Table:
        every = rows if best is None else _together(best, rows)
        by, repeats = _grouped(every, columns, ranks(every))
        return every.take(pa.array(by[~repeats])).combine_chunks()

    def some(best: pa.Table, rows: pa.Table) -> Found:
        return whole(_together(best.filter(pa.array(~np.isin(_addresses(best), _addresses(rows)))), rows))

    return InWindows(whole, learn, some)


def _grouped(rows: pa.Table, columns: Sequence[str], rank: Index) -> tuple[Index, npt.NDArray[np.bool_]]:
    """Places of rows, group after group, the best of each first; and which of these are not the first."""
    values = [rows.column(name).to_numpy() for name in columns]
    by = np.lexsort((rank, *reversed(values)))
    repeats = np.ones(len(by), bool)
    for column in values:
        ordered = column[by]
        repeats[1:] &= ordered[1:] == ordered[:-1]
    repeats[:1] = False
    return by, repeats


def _together(best: pa.Table, rows: pa.Table) -> pa.Table:
    return pa.concat_tables([best, rows], promote_options="permissive").combine_chunks()


def _addresses(rows: pa.Table) -> npt.NDArray[np.uint64]:
    unit, row = (rows.column(name).to_numpy() for name in ("unit", "row"))
    return np.asarray(unit.astype(np.uint64) << np.uint64(32) | row, np.uint64)
