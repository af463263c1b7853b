"""Views: one encoded document as tokens in several ways, framed for fill-in-the-middle or not.

Rows of `given.ENCODED` hold a document as view 0 in the columns of `COLUMNS`. Where the run has more than one
view, a column `views` holds the others: a list of one entry a view from 1 on, null where the view equals view
0, else a struct of `COLUMNS`. Without that column there is one view.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import Documents

VIEWS = "views"
COLUMNS = ("fim", "combined", "split", "tokens")  # of a row, that views may differ in

Ints = npt.NDArray[np.int64]


def views_type(tokens: pa.DataType) -> pa.DataType:
    """The type of the column `views` beside a column `tokens` of this type."""
    fields = [("fim", pa.bool_()), ("combined", pa.int32()), ("split", pa.int32()), ("tokens", tokens)]
    return pa.list_(pa.struct(fields))


def view_count(docs: Documents) -> int | None:
    """How many views the encoded documents have; None of no documents, which tell nothing."""
    if VIEWS not in docs.table.column_names:
        return 1
    if len(docs) == 0:
        return None
    return 1 + int(pc.list_value_length(docs.column(VIEWS).slice(0, 1))[0].as_py())


def token_counts(docs: Documents, view: int = 0) -> Ints:
    """Tokens of each encoded document in a view, int64[n]."""
    counts = _lengths(docs.column("tokens"))
    if view == 0 or len(docs) == 0:
        return counts
    own = pc.struct_field(pc.list_element(docs.column(VIEWS), view - 1), "tokens")
    return np.where(own.is_valid().to_numpy(zero_copy_only=False), _lengths(own), counts)


def in_views(docs: Documents, rows: Ints, view_r: Ints) -> pa.Table:
    """The rows `rows` (int64[r], any of them, as often as asked) in the views `view_r` (int64[r]), without
    the column `views`."""
    table = docs.drop(VIEWS).table.take(pa.array(rows))
    if VIEWS not in docs.table.column_names or not (view_r > 0).any():
        return table
    views = docs.column(VIEWS)
    own = views.flatten()
    place_r = np.asarray(views.offsets.to_numpy(), np.int64)[rows] - int(views.offsets[0].as_py())
    place_r = place_r + view_r - 1
    other_r = view_r > 0
    other_r[other_r] = own.is_valid().to_numpy(zero_copy_only=False)[place_r[other_r]]
    index = pa.array(np.where(other_r, len(docs) + place_r, rows))
    for name in COLUMNS:
        column = docs.column(name)
        both = pa.concat_arrays([column, pc.struct_field(own, name).cast(column.type)])
        at = table.column_names.index(name)
        table = table.set_column(at, table.schema.field(at), both.take(index))
    return table


def _lengths(lists: Any) -> Ints:
    lengths = pc.list_value_length(lists).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)
