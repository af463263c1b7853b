"""Rows of a table in another order, lists of numbers among them.

Arrow moves the values of a list one by one; those of a fixed width move here as the bytes of a text, a whole
list at once, in a quarter of the time. Rows that moved have zeros in memory where they have no value; rows as
a stage or a file gave them may have anything there, and files of Arrow take it in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import contiguous

_NONE = pa.py_buffer(b"")


def taken(table: pa.Table, rows: npt.NDArray[np.intp]) -> pa.Table:
    """The rows of these numbers, each column in one piece."""
    places = pa.array(rows)
    columns = [taken_values(contiguous(column), places) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def as_taken(table: pa.Table) -> pa.Table:
    """`table`, each column in one piece, with the memory that its rows would have if they had moved: equal
    tables are equal bytes in a file. Columns without nulls or bits are not copied."""
    columns = [contiguous(column) for column in table.columns]
    places = pa.array(np.arange(table.num_rows))
    columns = [column if _all_said(column) else taken_values(column, places) for column in columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def _all_said(column: pa.Array) -> bool:
    """Whether every byte of a column's memory belongs to a value."""
    kind = column.type
    if column.null_count or pa.types.is_boolean(kind) or pa.types.is_dictionary(kind):
        return False
    if pa.types.is_struct(kind):
        return all(map(_all_said, column.flatten()))
    if pa.types.is_nested(kind):
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        return lists and _all_said(column.flatten())
    return True


def taken_values(column: pa.Array, places: pa.Array) -> pa.Array:
    """The values of these numbers, int64[n]; null where they are, or the number is."""
    width = _width(column)
    if not width:
        return column.take(places)
    valid, ends, *_ = column.buffers()
    until = column.offset + len(column) + 1
    bounds = pa.py_buffer((np.frombuffer(ends, np.int64)[:until] + column.values.offset) * width)
    data = column.values.buffers()[1]
    if data is None or not data.address:  # as Arrow reads values of lists that are all empty or null
        data = _NONE
    texts = pa.Array.from_buffers(pa.large_binary(), len(column), [valid, bounds, data], offset=column.offset)
    valid, bounds, data = texts.take(places).buffers()
    ends = np.frombuffer(bounds, np.int64)[: len(places) + 1] // width
    values = pa.Array.from_buffers(column.values.type, int(ends[-1]), [None, data])
    return pa.Array.from_buffers(column.type, len(places), [valid, pa.py_buffer(ends)], children=[values])


def _width(column: pa.Array) -> int:
    """Bytes of each value of lists; 0 of all else, and where values have no fixed number of bytes or some are
    null."""
    if not len(column) or not pa.types.is_large_list(column.type):
        return 0
    kind = column.type.value_type
    fixed = pa.types.is_primitive(kind) and not pa.types.is_boolean(kind)
    return int(kind.bit_width) // 8 if fixed and not column.values.null_count else 0
