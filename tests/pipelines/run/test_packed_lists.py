"""Ascending lists of side tables come back as they were, in fewer bytes; what is no packed list is told."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.addresses import ASCENDING
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.run.operators.packed_lists import packed, unpacked

LISTS = pa.large_list(pa.uint32())
NUMBERS = st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 300), st.integers(2**32 - 9, 2**32 - 1))


def side(lists: list[list[int]]) -> pa.Table:
    field = pa.field("numbers", LISTS, metadata={ASCENDING: b""})
    schema = pa.schema([pa.field("row", pa.uint32()), field])
    return pa.table([pa.array(range(len(lists)), pa.uint32()), pa.array(lists, LISTS)], schema=schema)


@given(st.lists(st.sets(NUMBERS, max_size=40).map(sorted), max_size=8), st.data())
def test_lists_come_back(lists: list[list[int]], data: st.DataObject) -> None:
    table = side(lists)
    stored = packed(table, "stage")
    assert stored.schema.field("numbers").type == pa.large_binary()
    assert unpacked(stored).equals(table, check_metadata=True)
    some = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=5)) if lists else []
    assert unpacked(stored.take(pa.array(some, pa.int64()))).equals(table.take(pa.array(some, pa.int64())))
    start = data.draw(st.integers(0, len(lists)))
    assert packed(table.slice(start), "stage").equals(stored.slice(start))


def test_hashes_take_few_bits() -> None:
    draw = np.random.default_rng(3)
    lists = [np.unique(draw.integers(0, 2**32, count, np.uint32)).tolist() for count in (60, 500, 3000)]
    for numbers, bits in zip(lists, (28, 25, 22.5), strict=True):
        size = len(packed(side([numbers]), "stage").column("numbers")[0].as_py()) - 4
        assert 8 * size <= bits * len(numbers)


def test_columns_that_nobody_says_ascend_stay() -> None:
    table = pa.table({"numbers": pa.array([[3, 1]], LISTS)})
    assert packed(table, "stage").equals(table)
    assert unpacked(table).equals(table)


@pytest.mark.parametrize("numbers", [[3, 1], [2, 2]])
def test_a_list_that_does_not_ascend_is_a_fault_of_its_stage(numbers: list[int]) -> None:
    with pytest.raises(CorpusmillError, match="stage mine: numbers of side row 1 do not ascend in numbers"):
        packed(side([[1, 2], numbers]), "mine")


@pytest.mark.parametrize(
    "content", [b"", b"\1\0\0", b"\1\0\0\0" + b"\0" * 8, b"\1\0\0\0", b"\xff\xff\xff\xff" + b"\1" * 8]
)
def test_what_is_no_packed_list_is_told(content: bytes) -> None:
    stored = packed(side([[1, 2], [3]]), "stage")
    field = stored.schema.field("numbers")
    wrong = stored.set_column(1, field, pa.array([stored.column("numbers")[0].as_py(), content], field.type))
    with pytest.raises(ValueError, match="row 1 of numbers is not a packed list"):
        unpacked(wrong)


def test_lists_of_every_length_and_gap_come_back() -> None:
    draw = np.random.default_rng(5)
    lists = [[], [0], [2**31 - 1], [2**31], [2**32 - 1], [0, 2**32 - 1], list(range(2**32 - 70, 2**32))]
    for count in (1, 2, 3, 30, 1000):
        for most in (2**32, 2**20, 2**11):
            lists.append(np.unique(draw.integers(0, most, count, np.uint32)).tolist())
            lists.append(np.unique(2**32 - draw.integers(1, most, count, np.int64)).tolist())
    table = side(lists)
    assert unpacked(packed(table, "stage")).equals(table)


def test_null_lists_are_null_again() -> None:
    table = side([[1, 7], [], [9], [2, 3]])
    stored = packed(table, "stage").take(pa.array([2, None, 0, None, 1]))
    assert unpacked(stored).column("numbers").to_pylist() == [[9], None, [1, 7], None, []]
    every = unpacked(packed(table, "stage").take(pa.array([None, None], pa.int64())))
    assert every.column("numbers").to_pylist() == [None, None]
