"""Columns of ascending numbers as they lie in side tables: lists of uint32 in few bits.

A stage says of a field of its side rows that its lists ascend (`contract.addresses.ASCENDING`, in the field's
metadata). Such a column is stored as bytes (`run/kernels/ascending.py`), under the same name and metadata.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.addresses import ASCENDING
from corpusmill.pipelines.contract.documents import buffers, contiguous
from corpusmill.pipelines.contract.errors import CorpusmillError

_LISTS = pa.large_list(pa.uint32())


def packed(side: pa.Table, stage: str) -> pa.Table:
    """Side rows with the columns packed that ascend. Raises CorpusmillError where one does not."""
    from corpusmill.pipelines.run.kernels.ascending import pack, room_for

    for place, field in enumerate(side.schema):
        if not _ascends(field) or field.type != _LISTS:
            continue
        lists = contiguous(side.column(place))
        ends, values = lists.offsets.to_numpy().astype(np.int64), lists.values.to_numpy()
        starts, words = np.zeros(len(lists) + 1, np.int64), np.empty(room_for(ends), np.uint32)
        wrong = pack(ends, values, starts, words)
        if wrong >= 0:
            raise CorpusmillError(
                f"stage {stage}: numbers of side row {wrong} do not ascend in {field.name}, as they must"
            )
        data = [None, pa.py_buffer(4 * starts), pa.py_buffer(words[: starts[-1]])]
        column = pa.Array.from_buffers(pa.large_binary(), len(lists), data)
        side = side.set_column(place, field.with_type(pa.large_binary()), column)
    return side


def unpacked(side: pa.Table) -> pa.Table:
    """Rows with lists where `packed` made something else of them, null where that is. Raises ValueError where
    a column is not what `packed` makes."""
    for place, field in enumerate(side.schema):
        if not _ascends(field) or field.type != pa.large_binary():
            continue
        from corpusmill.pipelines.run.kernels.ascending import packed_lengths, unpack

        stored = contiguous(side.column(place))
        valid = stored.is_valid().to_numpy(zero_copy_only=False) if stored.null_count else None
        starts, data = buffers(stored if valid is None else stored.drop_null())
        odd = np.flatnonzero(starts % 4)
        ends = np.zeros(len(starts), np.int64)
        words = data[: starts[-1]].view(np.uint32) if not len(odd) else np.zeros(0, np.uint32)
        wrong = int(odd[0]) - 1 if len(odd) else packed_lengths(starts // 4, words, ends)
        values = np.empty(int(ends[-1]) if wrong < 0 else 0, np.uint32)
        if wrong < 0:
            wrong = unpack(starts // 4, words, ends, values)
        if wrong >= 0:
            raise ValueError(f"row {wrong} of {field.name} is not a packed list")
        nulls = None
        if valid is not None:
            ends = ends[np.append(0, np.cumsum(valid))]
            nulls = pa.array(~valid)
        column = pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values), mask=nulls)
        side = side.set_column(place, field.with_type(_LISTS), column)
    return side


def warm() -> None:
    """Compile both ways."""
    field = pa.field("numbers", _LISTS, metadata={ASCENDING: b""})
    table = pa.table([pa.array([[1, 5], []], _LISTS)], schema=pa.schema([field]))
    unpacked(packed(table, ""))


def _ascends(field: pa.Field) -> bool:
    return field.metadata is not None and ASCENDING in field.metadata
