"""Rows of an exchange are sorted by (key, unit, row), whatever their keys are and however they come."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.run.kernels.row_sort import counted_places, sorted_places
from corpusmill.pipelines.run.operators.row_order import (
    FIRST,
    by_document,
    in_order,
    meeting,
    sorted_by_all,
    sorted_rows,
    with_sorted_ties,
)

PARTS = st.sampled_from([0, 1, 2, 255, 65_535])
KEYS = st.builds(lambda a, b, c, d: a << 48 | b << 32 | c << 16 | d, PARTS, PARTS, PARTS, PARTS)
ROW = st.tuples(KEYS, st.integers(0, 2), st.integers(0, 2))


def table(rows: list[tuple[int, int, int]]) -> pa.Table:
    """Rows with `place`, where each stands."""
    names = {"key": pa.uint64(), "unit": pa.uint32(), "row": pa.uint32()}
    columns = {name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(names.items())}
    return pa.table({**columns, "place": list(range(len(rows)))})


def expected(rows: list[tuple[int, int, int]]) -> list[int]:
    return sorted(range(len(rows)), key=lambda place: rows[place])  # which is stable


@settings(deadline=None, max_examples=200)
@given(st.lists(ROW, max_size=80))
def test_rows_are_sorted_and_equal_ones_stay_in_their_order(rows: list[tuple[int, int, int]]) -> None:
    assert in_order(table(rows)).column("place").to_pylist() == expected(rows)


KINDS = ("hashes", "leading halves that repeat", "addresses", "few", "runs", "falling")


@pytest.mark.parametrize("kind", KINDS)
def test_many_rows_of_every_kind_of_key(kind: str) -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, 5000, dtype=np.uint64)
    key = {
        "hashes": hashes,
        "leading halves that repeat": np.append(hashes, hashes[:100] ^ np.uint64(1)),
        "addresses": random.permutation(5000).astype(np.uint64),
        "few": hashes % np.uint64(50),
        "runs": np.concatenate([np.sort(part) for part in np.split(hashes, 5)]),
        "falling": np.sort(hashes)[::-1].copy(),
    }[kind]
    unit, row = (random.integers(0, 3, len(key)).tolist() for _ in range(2))
    rows = list(zip(key.tolist(), unit, row, strict=True))
    assert in_order(table(rows)).column("place").to_pylist() == expected(rows)


BESIDE = st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from([None, "", "a"]))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), BESIDE), max_size=12), st.booleans())
def test_ties_are_sorted_by_every_other_column(rows: list[Any], texts: bool) -> None:
    found = table([(key, 0, row) for key, row, _ in rows]).drop_columns("place")
    for place, (name, kind) in enumerate((("b", pa.int64()), ("a", pa.bool_()), ("c", pa.string()))):
        if texts or name != "c":
            found = found.append_column(name, pa.array([beside[place] for *_, beside in rows], kind))
    found = found.append_column("lists", pa.array([[1]] * len(rows), pa.large_list(pa.int8())))
    last = found.column_names[3:-1]

    def by_all(row: dict[str, Any]) -> list[tuple[bool, Any]]:
        return [(row[name] is None, "" if row[name] is None else row[name]) for name in (*FIRST, *last)]

    wanted = sorted(found.to_pylist(), key=by_all)
    assert sorted_rows(found).to_pylist() == wanted
    assert sorted_by_all(found).to_pylist() == wanted
    assert with_sorted_ties(sorted_rows(found)).to_pylist() == wanted


@settings(deadline=None, max_examples=100)
@given(st.lists(ROW, max_size=80))
def test_rows_lie_document_by_document_and_meet_where_they_share_a_key(
    rows: list[tuple[int, int, int]],
) -> None:
    places = range(len(rows))
    lying = sorted(places, key=lambda place: rows[place][1:])
    assert by_document(table(rows)).column("place").to_pylist() == lying
    count = Counter(key for key, _, _ in rows)
    several = [place for place in expected(rows) if count[rows[place][0]] > 1]
    assert meeting(table(rows)).column("place").to_pylist() == several


@pytest.mark.parametrize("bits", [0, 3, 20, 40, 64])
@pytest.mark.parametrize("copies", [1, 3, 40, 500])
def test_clusters_of_keys_and_addresses(bits: int, copies: int) -> None:
    """Runs that agree in the leading bits, and are longer than insertion sorts, of few and of many keys."""
    random = np.random.default_rng(bits)
    clusters = random.integers(0, 2**64, 5, dtype=np.uint64) >> np.uint64(1)
    spread = random.integers(0, 2**bits, 2000, dtype=np.uint64) >> np.uint64(1)
    key = np.repeat(clusters[random.integers(0, 5, 2000)] ^ spread, copies)[:4000]
    key = key[random.permutation(len(key))]
    unit, row = (random.integers(0, most, len(key), np.uint32) for most in (3, 2**32 - 1))
    wanted = np.lexsort((row, unit, key))
    assert sorted_places(key, unit, row).tolist() == wanted.tolist()
    number = unit + np.uint32(2) * (row % np.uint32(2))
    assert counted_places(number, 5).tolist() == np.argsort(number, kind="stable").tolist()
