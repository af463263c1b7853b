"""What rows take as Python values, told from lengths alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.sources.assembly.row_sizes import VALUE_BYTES, bounded, row_sizes
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import LABEL

WORDS = ["", "lamp", None, "a longer word", "lamp"]
NUMBERS = [[1, 2, 3], [], None, [4], [5, 6]]
NAMES = [["ab", None], [], None, ["cde"], ["f", "gh"]]
TEXT_MAP = pa.map_(pa.string(), pa.string())
COLUMNS: dict[str, pa.Array] = {
    "numbers": pa.array([1, 2, None, 4, 5], pa.int16()),
    "words": pa.array(WORDS),
    "views": pa.array(WORDS, pa.string_view()),
    "bytes": pa.array([b"", b"lamp", None, b"a longer word", b"lamp"], pa.large_binary()),
    "dictionary": pa.array(WORDS).dictionary_encode(),
    "list": pa.array(NUMBERS),
    "list of texts": pa.array(NAMES, pa.large_list(pa.string())),
    "list view": pa.array(NAMES, pa.list_view(pa.string())),
    "fixed list": pa.array([["a", "bc"], None, ["d", "e"], ["", ""], ["fgh", "i"]], pa.list_(pa.string(), 2)),
    "list of dictionary": pa.array(NAMES, pa.list_(pa.dictionary(pa.int32(), pa.string()))),
    "map": pa.array(
        [[("k", "vv")], [], None, [("a", "b"), ("c", "")], []], pa.map_(pa.string(), pa.string())
    ),
    "struct": pa.array([{"a": "x", "b": [1]}, {"a": "yy", "b": []}, None, {"a": None, "b": None}, {}]),
    "fixed": pa.array([b"ab", b"cd", None, b"ef", b"gh"], pa.binary(2)),
    "null": pa.nulls(5),
}


def _held(value: Any) -> int:
    """Bytes of texts in a value, counted one by one."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_held, value.values()))
    return sum(map(_held, value)) if isinstance(value, list | tuple) else 0


@pytest.mark.parametrize("name", COLUMNS)
def test_the_size_of_a_row_is_its_own_wherever_it_stands(name: str) -> None:
    part = pa.RecordBatch.from_arrays([COLUMNS[name]], ["c"])
    sizes = row_sizes(part)
    assert row_sizes(part.slice(1)).tolist() == sizes[1:].tolist()
    for row, value in enumerate(COLUMNS[name].to_pylist()):
        assert row_sizes(part.slice(row, 1)).tolist() == [sizes[row]]
        if value is not None or name != "fixed list":  # a null list of a fixed size keeps its places
            held = sizes[row] - _held(value)
            assert held >= VALUE_BYTES
            assert held % VALUE_BYTES == (2 if value is None and name == "fixed" else 0)


def test_a_repeated_value_counts_as_often_as_it_is_there() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 12, pa.int32()), pa.array(["x" * 1000]))
    lists = pa.ListArray.from_arrays(pa.array([0, 2, 12], pa.int32()), words)
    sizes = row_sizes(pa.RecordBatch.from_arrays([lists], ["c"]))
    assert sizes.tolist() == [VALUE_BYTES + n * (1000 + VALUE_BYTES) for n in (2, 10)]


def test_spans_cover_all_rows_within_the_limit() -> None:
    sizes = np.array([3, 4, 10, 1, 1, 30, 2], np.int64)
    assert list(bounded(sizes, 10)) == [(0, 2), (2, 1), (3, 2), (5, 1), (6, 1)]
    assert list(bounded(sizes[:0], 10)) == []


def test_a_row_of_too_many_values_is_quarantined_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("parquet", "assembly.record_reader"):
        monkeypatch.setattr(f"corpusmill.pipelines.sources.{module}.DECODED_BYTES", 2**14)
    columns = {"text": ["first", "second", "third"], "many": [[1], [2] * 10_000, [3]]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    reader = Parquet(files=["x"], max_record_bytes=2**14)
    (split,) = reader.index(tmp_path / "a.parquet")
    batches = list(reader.read(tmp_path / "a.parquet", "a", split, LABEL))
    texts = [text for batch in batches for text in batch.documents.table.column("text").to_pylist()]
    assert texts == ["first", "third"]
    (lost,) = [lost for batch in batches for lost in batch.quarantined]
    assert (lost.why, lost.position) == ("too_large", "a, row group 0, row 1")
    assert "once decoded" in lost.detail
