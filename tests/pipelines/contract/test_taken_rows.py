"""Rows taken by number are those that Arrow takes, whatever their columns hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.taken_rows import taken, taken_values

NUMBERS = st.lists(st.none() | st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=9)


@settings(deadline=None, max_examples=80)
@given(NUMBERS, st.data())
def test_lists_are_those_that_arrow_takes(lists: list[list[int] | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(lists) - 1))
    place = st.none() | st.integers(0, len(lists) - 1 - start)
    places = pa.array(data.draw(st.lists(place, max_size=12)), pa.int64())
    for kind in (pa.uint32(), pa.float64(), pa.bool_(), pa.string()):
        plain = [None if one is None else [_of(kind, value) for value in one] for one in lists]
        for of_lists in (pa.large_list(kind), pa.list_(kind)):
            column = pa.array(plain, of_lists).slice(start)
            found = taken_values(column, places)
            found.validate(full=True)
            assert found.equals(column.take(places))


def _of(kind: pa.DataType, value: int) -> object:
    return str(value) if pa.types.is_string(kind) else value % 2 == 1 if pa.types.is_boolean(kind) else value


def test_values_of_a_slice_and_null_values_are_taken() -> None:
    values = pa.array([7, 8, 9, 10], pa.uint16()).slice(1)
    lists = pa.LargeListArray.from_arrays(pa.array([0, 1, 3]), values)
    assert taken_values(lists, pa.array([1, 0, 1])).to_pylist() == [[9, 10], [8], [9, 10]]
    with_null = pa.array([[1, None], [2]], pa.large_list(pa.int8()))
    assert taken_values(with_null, pa.array([1, 0])).to_pylist() == [[2], [1, None]]


def test_a_table_keeps_its_schema() -> None:
    item = pa.field("item", pa.uint32(), nullable=False)
    lists = pa.field("lists", pa.large_list(item), metadata={b"a": b"b"})
    table = pa.table([pa.chunked_array([[[1], [2, 3]], [[]]], lists.type)], schema=pa.schema([lists]))
    found = taken(table, np.array([2, 1]))
    assert found.schema.equals(table.schema, check_metadata=True)
    assert found.column("lists").to_pylist() == [[], [2, 3]]


def test_lists_without_values_that_were_read_from_a_file_are_taken() -> None:
    """Arrow reads the values of a batch that has none as a buffer without an address."""
    for lists in ([None, None], [[], None, []]):
        column = pa.array(lists, pa.large_list(pa.uint64()))
        sink = pa.BufferOutputStream()
        with ipc.new_file(sink, pa.schema({"lists": column.type})) as file:
            file.write_batch(pa.record_batch([column], ["lists"]))
        read = ipc.open_file(sink.getvalue()).get_batch(0).column(0)
        places = pa.array([1, None, 0, 1])
        assert taken_values(read, places).equals(column.take(places))
