"""Rows taken by number are those that Arrow takes, whatever their columns hold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.taken_rows import as_taken, taken, taken_values
from corpusmill.pipelines.run.operators.row_order import by_document

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


def test_what_lies_where_there_is_no_value_reaches_no_file() -> None:
    """Equal tables are equal bytes, whatever is in memory under nulls and behind the last bit."""

    def table(filler: int) -> pa.Table:
        valid = pa.py_buffer(bytes([0b101 | filler << 3 & 0xFF]))
        numbers = np.array([1, filler, 3], np.int64)
        ends = np.array([0, 1, 1 + filler, 2 + filler], np.int64)
        letters = b"a" + b"x" * filler + b"b"
        bits = pa.py_buffer(bytes([0b011 | filler << 3 & 0xFF]))
        text = [valid, pa.py_buffer(ends), pa.py_buffer(letters)]
        columns = {
            "number": pa.Array.from_buffers(pa.int64(), 3, [valid, pa.py_buffer(numbers)]),
            "bit": pa.Array.from_buffers(pa.bool_(), 3, [None, bits]),
            "text": pa.Array.from_buffers(pa.large_string(), 3, text),
            "plain": pa.array([7, 8, 9], pa.uint32()),
        }
        columns["both"] = pa.StructArray.from_arrays([columns["number"], columns["plain"]], ["n", "p"])
        columns["some"] = pa.LargeListArray.from_arrays(pa.array([0, 2, 2, 3]), columns["number"])
        return pa.table(columns)

    def written(rows: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        with ipc.new_file(sink, rows.schema) as writer:
            writer.write_table(rows)
        return bytes(sink.getvalue())

    one, other = table(5), table(2)
    assert one.equals(other)
    assert written(one) != written(other)
    for name in one.column_names:
        assert written(as_taken(one.select([name]))) == written(as_taken(other.select([name]))), name
    assert as_taken(one).equals(one)
    address = pa.array([0, 1, 2], pa.uint32())
    for rows in (one, other):
        rows = rows.append_column("unit", address).append_column("row", address)
        assert written(by_document(rows)) == written(as_taken(rows)) == written(taken(rows, np.arange(3)))
