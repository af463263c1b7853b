"""The orders in which rows of an exchange lie in files and meet.

Rows meet sorted by key, and by address where keys are equal. In a file those of a partition lie document by
document, as a stage emits them: nothing has to be sorted to write them, and rows of one document are alike in
other columns than the key, so they take fewer bytes. They are sorted once, when a partition is read.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import unwritable
from corpusmill.pipelines.contract.taken_rows import as_taken, taken

ADDRESS = ("unit", "row")
FIRST = ("key", *ADDRESS)
_Order = npt.NDArray[np.intp]
_Keys = npt.NDArray[np.uint64]


def in_order(rows: pa.Table) -> pa.Table:
    """`rows` sorted by (key, unit, row); those of one key and address stay in their order."""
    order = order_of(rows)
    return as_taken(rows) if order is None else taken(rows, order)


def order_of(rows: pa.Table) -> _Order | None:
    """The order in which `in_order` puts rows, int[n]; None where they are in it."""
    key, unit, row = (rows.column(name).to_numpy() for name in FIRST)
    if (key[1:] > key[:-1]).all():
        return None
    return _moved(key, unit, row)


def by_document(rows: pa.Table) -> pa.Table:
    """`rows` sorted by (unit, row); those of one document stay in their order."""
    unit, row = (rows.column(name).to_numpy() for name in ADDRESS)
    address = unit.astype(np.uint64) << np.uint64(32) | row
    order = None if (address[1:] >= address[:-1]).all() else _moved(address, unit, row)
    return as_taken(rows) if order is None else taken(rows, order)


def meeting(rows: pa.Table) -> pa.Table:
    """The rows of `in_order` that share their key with another one."""
    key, unit, row = (rows.column(name).to_numpy() for name in FIRST)
    order = _sorted_places(key, unit, row)
    ordered = key[order]
    same = ordered[1:] == ordered[:-1]
    return taken(rows, order[(np.append(same, False) | np.append(False, same))[: len(order)]])


def places_by_number(number: npt.NDArray[np.uint32], numbers: int) -> _Order:
    """The order of rows by these numbers, below `numbers`; those of one number stay in their order."""
    from corpusmill.pipelines.run.kernels.row_sort import counted_places

    return np.asarray(counted_places(unwritable(number), numbers))


def ties(rows: pa.Table, names: tuple[str, ...] = FIRST) -> _Order:
    """Places of rows that have in the columns `names`, key and address, what the next row has."""
    same = np.ones(max(0, rows.num_rows - 1), bool)
    for name in names:
        values = rows.column(name).to_numpy()
        same &= values[1:] == values[:-1]
    return np.flatnonzero(same)


def sorted_rows(rows: pa.Table) -> pa.Table:
    """`rows` sorted by (key, unit, row), ties by every other column that is not nested: an order that follows
    from the rows alone."""
    return with_sorted_ties(in_order(rows))


def with_sorted_ties(ordered: pa.Table, by: tuple[str, ...] = FIRST) -> pa.Table:
    """What `sorted_by_all` gives of rows that are sorted by `by`."""
    tied = ties(ordered, by)
    if not len(tied) or _ascend(ordered, tied, by):
        return ordered
    return sorted_by_all(ordered, by)


def sorted_by_all(rows: pa.Table, by: tuple[str, ...] = FIRST) -> pa.Table:
    """`rows` sorted by these columns, ties by every other one that is not nested."""
    names = (*by, *_others(rows, by))
    return rows.sort_by([(name, "ascending") for name in names]).combine_chunks()


def _others(rows: pa.Table, by: tuple[str, ...]) -> list[str]:
    """The columns besides `by` that are not nested."""
    plain = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
    return [name for name in plain if name not in by]


def _ascend(ordered: pa.Table, tied: npt.NDArray[np.intp], by: tuple[str, ...]) -> bool:
    """Whether the rows `tied` are known to come before the next row by the columns besides `by` too,
    or equal it in them; only numbers are compared."""
    for name in _others(ordered, by):
        if not len(tied):
            break
        column = ordered.column(name)
        kind = column.type
        if column.null_count or not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            return False
        values = column.to_numpy()
        here, following = values[tied], values[tied + 1]
        if (here > following).any():
            return False
        tied = tied[here == following]
    return True


def _moved(key: _Keys, unit: npt.NDArray[np.uint32], row: npt.NDArray[np.uint32]) -> _Order | None:
    order = _sorted_places(key, unit, row)
    return None if (order[1:] > order[:-1]).all() else order


def _sorted_places(key: _Keys, unit: npt.NDArray[np.uint32], row: npt.NDArray[np.uint32]) -> _Order:
    """Every command imports operators; kernels, and with them numba, are imported where a unit is at work."""
    from corpusmill.pipelines.run.kernels.row_sort import sorted_places

    return np.asarray(sorted_places(unwritable(key), unwritable(unit), unwritable(row)))


def warm() -> None:
    """Compile the kernels."""
    numbers = np.zeros(1, np.uint32)
    places_by_number(numbers, 1)
    _sorted_places(numbers.astype(np.uint64), numbers, numbers)
