"""Columns of every Arrow type beside the text, of files, streams and Parquet, faulty rows among them."""

from __future__ import annotations

import decimal
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.sources.arrow import Arrow
from corpusmill.pipelines.sources.assembly.row_sizes import VALUE_BYTES, row_sizes
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import read_all

MOST = 2**63 - 1
DAY = 86_400 * 10**9


def of(type_: pa.DataType, *values: int) -> pa.Array:
    width = pa.int32() if type_.bit_width == 32 else pa.int64()
    return pa.array(values, width).view(type_)


def union(mode: str) -> pa.Array:
    codes, words, numbers = pa.array([0, 1, 1], pa.int8()), pa.array(["a", "-", "-"]), pa.array([0, 1, 2])
    if mode == "sparse":
        return pa.UnionArray.from_sparse(codes, [words, numbers], ["w", "n"])
    return pa.UnionArray.from_dense(codes, pa.array([0, 1, 2], pa.int32()), [words, numbers], ["w", "n"])


D = decimal.Decimal
KINDS: dict[str, tuple[pa.Array, list[Any]]] = {
    "null": (pa.nulls(3), [None, None, None]),
    "uint64": (pa.array([2**64 - 1, None, 0], pa.uint64()), [2**64 - 1, None, 0]),
    "float": (pa.array([float("nan"), float("-inf"), 0.5]), ["NaN", "-Infinity", 0.5]),
    "half": (pa.array([1.5, None, 2.0], pa.float16()), [1.5, None, 2.0]),
    "decimal32": (pa.array([D("1.5"), None, D("-2")], pa.decimal32(5, 2)), ["1.50", None, "-2.00"]),
    "decimal64": (pa.array([D("1.5"), None, D("-2")], pa.decimal64(15, 2)), ["1.50", None, "-2.00"]),
    "decimal256": (pa.array([D("1.5"), None, D("-2")], pa.decimal256(70, 2)), ["1.50", None, "-2.00"]),
    "date32": (of(pa.date32(), 2**31 - 1, 0, -1), [str(2**31 - 1), "1970-01-01", "1969-12-31"]),
    "time of day": (of(pa.time64("ns"), DAY, 1, 0), [str(DAY), "00:00:00.000000001", "00:00:00"]),
    "timestamp": (of(pa.timestamp("us", "Mars/X"), MOST, 1, 0),
                  [str(MOST), "1970-01-01T00:00:00.000001+00:00", "1970-01-01T00:00:00+00:00"]),
    "duration": (of(pa.duration("s"), 5, -1, 0), [5.0, -1.0, 0.0]),
    "interval": (pa.array([(1, 2, 3), None, (0, 0, 1)], pa.month_day_nano_interval()),
                 [[1, 2, 3], None, [0, 0, 1]]),
    "binary view": (pa.array([b"\xff" * 19, None, b""], pa.binary_view()),
                    ["/////////////////////////w==", None, ""]),
    "views in lists": (pa.array([["a" * 30], None, []], pa.list_(pa.string_view())), [["a" * 30], None, []]),
    "list view": (pa.array([[1], None, [2, 3]], pa.list_view(pa.int8())), [[1], None, [2, 3]]),
    "map": (pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())), [[["k", 1]], None, []]),
    "empty struct": (pa.array([{}, None, {}], pa.struct([])), [{}, None, {}]),
    "dictionary": (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
    "dictionary in lists": (pa.array([["a"], None, []], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
                            [["a"], None, []]),
    "runs": (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", None]), ["a", "a", None]),
    "runs in lists": (pa.ListArray.from_arrays([0, 2, 2, 3],
                                               pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"])),
                      [["a", "a"], [], ["b"]]),
    "sparse union": (union("sparse"), ["a", 1, 2]),
    "dense union": (union("dense"), ["a", 1, 2]),
    "union in a struct": (pa.StructArray.from_arrays([union("dense")], ["u"]),
                          [{"u": "a"}, {"u": 1}, {"u": 2}]),
    "uuid": (pa.array([uuid.UUID(int=1).bytes, None, None], pa.uuid()), [str(uuid.UUID(int=1)), None, None]),
    "json": (pa.array(['{"a": 1}', None, "2"], pa.json_(pa.string())), ['{"a": 1}', None, "2"]),
    "tensor": (pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int8(), [2]),
                                              pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int8(), 2))),
               [[1, 2], [3, 4], [5, 6]]),
    "of somebody's own": (pa.ExtensionArray.from_storage(pa.opaque(pa.int32(), "x", "y"),
                                                         pa.array([1, None, 2], pa.int32())),
                          [1, None, 2]),
}  # fmt: skip
NOT_IN_PARQUET = (
    "interval",
    "empty struct",
    "runs",
    "runs in lists",
    "sparse union",
    "dense union",
    "union in a struct",
)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "texts", [["a", "b", "c"], ["a", None, "c"], [None, "b", None]], ids=["sound", "hole", "ends"]
)
def test_every_type_arrives(tmp_path: Path, name: str, texts: list[str | None]) -> None:
    column, wanted = KINDS[name]
    table = pa.table({"text": pa.array(texts), "v": column})
    for stream in (True, False):
        with (ipc.new_stream if stream else ipc.new_file)(
            tmp_path / f"{stream}.arrow", table.schema
        ) as writer:
            writer.write_table(table)
    found = [read_all(Arrow(files=["x"]), tmp_path / f"{stream}.arrow") for stream in (True, False)]
    if name not in NOT_IN_PARQUET:
        pq.write_table(table, tmp_path / "a.parquet")
        found.append(read_all(Parquet(files=["x"]), tmp_path / "a.parquet"))
    expected = [value for value, text in zip(wanted, texts, strict=True) if text is not None]
    for read in found:
        assert [json.loads(row["meta"])["v"] for row in read.rows] == expected
        assert read.whys == ({"no_text": texts.count(None)} if None in texts else {})


@pytest.mark.parametrize("name", ["date64", "time32"])
def test_values_that_arrow_calls_invalid_are_values_all_the_same(tmp_path: Path, name: str) -> None:
    kind, most = (pa.date64(), MOST) if name == "date64" else (pa.time32("s"), 2**31 - 1)
    lists = pa.ListArray.from_arrays([0, 1, 2], of(kind, most, 0))
    table = pa.table(
        {
            "text": ["a", "b"],
            "v": of(kind, most, 0),
            "l": lists,
            "s": pa.array(["x", "y"]).dictionary_encode(),
        }
    )
    with ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    rows = read_all(Arrow(files=["x"]), tmp_path / "a.arrow").rows
    first = json.loads(rows[0]["meta"])
    assert (first["v"], first["l"], first["s"]) == (str(most), [str(most)], "x")


@pytest.mark.parametrize(
    "column",
    [
        pa.RunEndEncodedArray.from_arrays([2, 3], ["one", "two"]),
        pa.array(["one", "one", "two"], pa.json_(pa.string())),
        pa.array(["one", "one", "two"], pa.string_view()),
        pa.array(["one", "one", "two"]).dictionary_encode(),
    ],
    ids=["runs", "extension", "view", "dictionary"],
)
def test_texts_of_every_type_of_text(tmp_path: Path, column: pa.Array) -> None:
    table = pa.table({"text": column})
    with ipc.new_stream(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    assert Arrow(files=["x"]).look(tmp_path / "a.arrow").sound
    assert read_all(Arrow(files=["x"]), tmp_path / "a.arrow").texts == ["one", "one", "two"]


def test_runs_and_unions_are_sized_by_what_they_stand_for() -> None:
    runs = pa.RunEndEncodedArray.from_arrays([1000, 1001], ["a" * 5000, "b"])
    words = pa.UnionArray.from_dense(
        pa.array([0] * 3 + [1], pa.int8()),
        pa.array([0, 0, 0, 0], pa.int32()),
        [pa.array(["c" * 700]), pa.array([1])],
    )
    sizes = row_sizes(pa.record_batch({"r": runs.slice(998, 3)}))
    assert sizes.tolist() == [5000 + VALUE_BYTES, 5000 + VALUE_BYTES, 1 + VALUE_BYTES]
    sizes = row_sizes(pa.record_batch({"u": words}))
    assert sizes.tolist() == [700 + 2 * VALUE_BYTES] * 3 + [2 * VALUE_BYTES]
    assert isinstance(sizes, np.ndarray)


def test_a_small_file_of_a_long_run_is_read_in_pieces(tmp_path: Path) -> None:
    """A few bytes stand for 2 GB of texts: rows beyond what may be held at a time come in further batches."""
    runs = pa.RunEndEncodedArray.from_arrays([2000], ["a" * 2**20])
    table = pa.table({"text": [str(n) for n in range(2000)], "v": runs})
    with ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    reader = Arrow(files=["x"])
    (split,) = reader.index(tmp_path / "a.arrow")
    from tests.oracles.sources_archives import LABEL

    first = next(reader.read(tmp_path / "a.arrow", "a", split, LABEL))
    assert 0 < len(first.documents) <= 64
