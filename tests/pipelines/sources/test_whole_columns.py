"""Fields mapped column by column give what they give row by row."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.sources.assembly.arrow_values import plain_values
from corpusmill.pipelines.sources.assembly.batches import canonical_json
from corpusmill.pipelines.sources.assembly.fields import COLUMNS, FieldMap
from corpusmill.pipelines.sources.assembly.whole_columns import Mapped, mapped_by_column

TEXT = st.one_of(
    st.text(st.sampled_from(['"', "\\", "\n", "\x01", "\x7f", "a", "é", "木", "\U0001f600"]), max_size=4),
    st.sampled_from(["en", "zh-CN", "Python", "", "en\n", "a/b.py", "c.h"]),
)
FLOAT = st.one_of(st.floats(width=32), st.sampled_from([1e-5, 1e16, 0.1, -0.0]))
KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), TEXT),
    (pa.large_string(), TEXT),
    (pa.string_view(), TEXT),
    (pa.dictionary(pa.int32(), pa.string()), TEXT),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint8(), st.integers(0, 255)),
    (pa.float64(), FLOAT),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.booleans()),
    (pa.null(), st.none()),
    (pa.list_(pa.string()), st.lists(TEXT, max_size=2)),
    (pa.timestamp("us"), st.datetimes()),
    (pa.binary(), st.binary(max_size=3)),
]
NAMES = ("id", "url", "path", "repo", "license", "lang", "meta", "code_language", "b", 'a"é', "x.y")


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[pa.Array]]:
    rows = draw(st.integers(1, 4))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    columns = []
    for _ in names:
        kind, values = draw(st.sampled_from(KINDS))
        drawn = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns.append(pa.array(drawn, kind))
    return names, columns


def by_row(fields: FieldMap, names: list[str], columns: list[pa.Array]) -> list[tuple[str, str, Any]]:
    """Locator, `meta` and columns of each row, as the reader of JSON Lines gets them."""
    values = [plain_values(column) for column in columns]
    found = []
    for row in range(len(columns[0])):
        one = fields.row({name: column[row] for name, column in zip(names, values, strict=True)})
        found.append((one.locator, canonical_json(one.meta), [one.columns.get(name) for name in COLUMNS]))
    return found


def rows_of(mapped: Mapped) -> list[tuple[str, str, Any]]:
    columns = zip(*(mapped.columns[name].to_pylist() for name in COLUMNS), strict=True)
    return list(
        zip(mapped.locators, mapped.columns["meta"].to_pylist(), [list(row) for row in columns], strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from([{}, {"url": "b"}, {"lang": None}, {"url": "id"}, {"url": "x.y"}]))
def test_equals_rows_one_by_one(
    table: tuple[list[str], list[pa.Array]], renamed: dict[str, str | None]
) -> None:
    fields = FieldMap.of("text", "id", renamed)
    mapped = mapped_by_column(fields, *table)
    if mapped is not None:
        assert rows_of(mapped) == by_row(fields, *table)


@pytest.mark.parametrize("size", [1, 3])
def test_common_columns_are_not_left_to_rows(size: int) -> None:
    """Those of a data set from the Hub, with values that JSON escapes or does not know."""
    given = {
        "id": pa.array([f"<urn:{i}>" for i in range(size)]),
        "url": pa.array(["https://a.example/"] * size),
        "date": pa.array(["2024-01-01", None, 'a "quoted" one'][:size]),
        "language_score": pa.array([0.5, math.inf, None][:size]),
        "token_count": pa.array([7] * size),
        "path": pa.array(["a.py", None, "README"][:size]),
    }
    mapped = mapped_by_column(FieldMap(), list(given), list(given.values()))
    assert mapped is not None
    assert rows_of(mapped) == by_row(FieldMap(), list(given), list(given.values()))


def test_what_has_to_be_looked_at_is_left_to_rows() -> None:
    text = pa.array(["a"])
    for names, columns in (
        (["meta"], [text]),
        (["license"], [pa.array([["MIT"]])]),
        (["labels"], [pa.array([["a"]])]),
        (["url"], [pa.array([b"a"])]),
        (["id"], [pa.array([0.5])]),
        (["note"], [pa.array([b"\xff"], pa.binary()).view(pa.string())]),
        ([], []),
    ):
        assert mapped_by_column(FieldMap(), names, columns) is None
    assert mapped_by_column(FieldMap(id="a.b"), ["x"], [text]) is None
    assert mapped_by_column(FieldMap(code_language="x"), ["x"], [text]) is None
