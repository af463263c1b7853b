"""Every Arrow type as values that JSON can hold, those that Python lacks included."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.sources.assembly.arrow_values import distinct_names, plain_values
from corpusmill.pipelines.sources.assembly.batches import canonical_json
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import read_all

MOST = 2**63 - 1


def _of(type_: pa.DataType, *values: int | None) -> pa.Array:
    width = pa.int32() if type_.bit_width == 32 else pa.int64()
    return pa.array(values, width).view(type_)


CASES: list[tuple[pa.Array, list[Any]]] = [
    (_of(pa.timestamp("ns"), 1, None), ["1970-01-01T00:00:00.000000001", None]),
    (_of(pa.timestamp("ns"), -1), ["1969-12-31T23:59:59.999999999"]),
    (_of(pa.timestamp("ns"), 1000), ["1970-01-01T00:00:00.000001"]),
    (_of(pa.timestamp("ns", "+05:30"), 1_001), ["1970-01-01T05:30:00.000001001+05:30"]),
    (_of(pa.timestamp("ns", "UTC"), 1_000_000_001), ["1970-01-01T00:00:01.000000001+00:00"]),
    (_of(pa.timestamp("us", "Moon/Tycho"), 0), ["1970-01-01T00:00:00+00:00"]),
    (_of(pa.timestamp("us", "-00:30"), 0), ["1969-12-31T23:30:00-00:30"]),
    (_of(pa.timestamp("s"), MOST, -MOST), [str(MOST), str(-MOST)]),
    (_of(pa.timestamp("us", "+14:00"), 253402300799_000000), ["253402300799000000"]),
    (_of(pa.date32(), 2**31 - 1, 0, None), [str(2**31 - 1), "1970-01-01", None]),
    (_of(pa.date64(), MOST, 86_400_000), [str(MOST), "1970-01-02"]),
    (_of(pa.time64("ns"), 1, 10**9, None), ["00:00:00.000000001", "00:00:01", None]),
    (_of(pa.time64("ns"), 86_399_999_999_999), ["23:59:59.999999999"]),
    (_of(pa.time32("s"), 86_400, 1), ["86400", "00:00:01"]),
    (_of(pa.duration("ns"), 1, MOST, None), [1e-9, MOST / 10**9, None]),
    (_of(pa.duration("s"), -MOST), [float(-MOST)]),
    (pa.array([(1, 2, 3), None], pa.month_day_nano_interval()), [[1, 2, 3], None]),
    (pa.array([decimal.Decimal("1E+3"), None], pa.decimal128(38, -3)), ["1E+3", None]),
    (pa.array([decimal.Decimal("-0.10")], pa.decimal256(76, 2)), ["-0.10"]),
    (pa.array([1.5, None], pa.float16()), [1.5, None]),
    (pa.array([b"\xff", None], pa.binary(1)), ["/w==", None]),
    (pa.array(["a", None], pa.string_view()), ["a", None]),
    (pa.array([None, None], pa.null()), [None, None]),
    (pa.array([[("k", 1), ("k", 2)], None], pa.map_(pa.string(), pa.int8())), [[["k", 1], ["k", 2]], None]),
    (pa.array([[1, None], None, [2, 3]], pa.list_(pa.int8(), 2)), [[1, None], None, [2, 3]]),
    (pa.array([[1], None, [2, 3]], pa.list_view(pa.int8())), [[1], None, [2, 3]]),
    (pa.array([{"a": [1]}, None], pa.struct([("a", pa.large_list(pa.int64()))])), [{"a": [1]}, None]),
    (pa.array(["x", None, "x"]).dictionary_encode(), ["x", None, "x"]),
    (pa.RunEndEncodedArray.from_arrays([2, 3], ["p", "q"]), ["p", "p", "q"]),
    (pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["n", "n"]), [{"n": 1, "n.2": 2}]),
    (pa.array([uuid.UUID(int=7).bytes], pa.uuid()), [str(uuid.UUID(int=7))]),
    (pa.array([b"\xff"], pa.binary()).view(pa.string()), ["\\xff"]),
]  # fmt: skip


@pytest.mark.parametrize("column, wanted", CASES, ids=[str(column.type) for column, _ in CASES])
def test_values_alone_and_nested(column: pa.Array, wanted: list[Any]) -> None:
    assert plain_values(column) == wanted
    json.loads(canonical_json({"v": plain_values(column)}))
    n = len(column)
    assert plain_values(pa.ListArray.from_arrays([0, n, n], column)) == [wanted, []]
    twice = pa.ListArray.from_arrays([0, 0, n, n], column).slice(1)
    assert plain_values(twice) == [wanted, []]
    held = pa.StructArray.from_arrays([column], ["v"], mask=pa.array([False] * (n - 1) + [True]))
    assert plain_values(held) == [{"v": value} for value in wanted[:-1]] + [None]
    mapped = pa.MapArray.from_arrays([0, n], pa.array([str(i) for i in range(n)]), column)
    assert plain_values(mapped) == [[[str(i), value] for i, value in enumerate(wanted)]]
    assert plain_values(column.slice(n - 1)) == wanted[n - 1 :]
    words = pa.DictionaryArray.from_arrays([0, None, n - 1], column)
    assert plain_values(words) == [wanted[0], None, wanted[n - 1]]


@settings(deadline=None, max_examples=150)
@given(st.datetimes(), st.sampled_from([None, "UTC", "+05:30", "Europe/Berlin"]), st.integers(0, 999))
def test_times_that_python_has_equal_its_own_form(when: datetime.datetime, zone: str | None, n: int) -> None:
    column = pa.array([when], pa.timestamp("us", zone))
    try:
        wanted = column[0].as_py().isoformat()
    except (ValueError, OverflowError):
        wanted = str(column.view(pa.int64())[0].as_py())
    assert plain_values(column) == [wanted]
    clock = when.time()
    assert plain_values(pa.array([clock], pa.time64("us"))) == [clock.isoformat()]
    assert plain_values(pa.array([when.date()], pa.date32())) == [when.date().isoformat()]
    away = datetime.timedelta(seconds=when.second - 30, microseconds=when.microsecond)
    assert plain_values(pa.array([away], pa.duration("us"))) == [away.total_seconds()]


def test_columns_of_one_name_both_stay(tmp_path: Path) -> None:
    assert distinct_names(["a", "a", "a.2", "a", "b"]) == ["a", "a.3", "a.2", "a.4", "b"]
    table = pa.table([["t"], ["1"], ["2"]], names=["text", "tag", "tag"])
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = read_all(Parquet(files=["x"]), tmp_path / "a.parquet").rows
    assert json.loads(row["meta"]) == {"tag": "1", "tag.2": "2"}


def test_two_columns_of_the_text_are_told_as_that(tmp_path: Path) -> None:
    pq.write_table(pa.table([["t"], ["u"]], names=["text", "text"]), tmp_path / "a.parquet")
    (lost,) = read_all(Parquet(files=["x"]), tmp_path / "a.parquet").quarantined
    assert (lost.why, lost.detail) == ("no_text", "two columns are called 'text'")
