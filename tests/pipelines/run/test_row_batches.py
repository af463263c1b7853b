"""Rows of a partition lie in batches of few rows, each between two keys, document by document."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.run.operators.row_batches import laid_out, partition_of

KEYS = st.one_of(
    st.integers(0, 2**64 - 1), st.integers(0, 3), st.integers(2**63, 2**63 + 99), st.just(2**64 - 1)
)
ROWS = st.lists(st.tuples(KEYS, st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=60)


def table(rows: list[tuple[int, int, int]]) -> pa.Table:
    kinds = {"key": pa.uint64(), "unit": pa.uint32(), "row": pa.uint32()}
    columns = {
        name: pa.array([row[at] for row in rows], kind) for at, (name, kind) in enumerate(kinds.items())
    }
    return pa.table({**columns, "place": list(range(len(rows)))})


@settings(deadline=None, max_examples=200)
@given(ROWS, st.integers(1, 9), st.integers(1, 3), st.integers(1, 80))
def test_every_row_lies_in_one_batch_of_its_number(
    rows: list[tuple[int, int, int]], partitions: int, width: int, most: int
) -> None:
    laid, pieces = laid_out(table(rows), partitions, width, most)
    found = laid.to_pylist()
    assert sorted(row["place"] for row in found) == list(range(len(rows)))
    assert [pieces[0].start, *(piece.end for piece in pieces)] == [
        0,
        *(piece.start for piece in pieces[1:]),
        len(rows),
    ]
    assert [piece.number for piece in pieces] == sorted(piece.number for piece in pieces)
    by_number = [piece.number for piece in pieces]
    for piece in pieces:
        here = found[piece.start : piece.end]
        assert here
        assert {(row["key"] * partitions >> 64) // width for row in here} == {piece.number}
        assert piece.several == (by_number.count(piece.number) > 1)
        assert len(here) <= most or width > 1
    for one, other in pairwise(pieces):
        if one.number == other.number:
            last, first = (found[p.start : p.end] for p in (one, other))
            assert max(row["key"] for row in last) <= min(row["key"] for row in first)
    if len(pieces) == 1:
        assert [row["place"] for row in found] == sorted(range(len(rows)), key=lambda at: rows[at][1:])


@pytest.mark.parametrize("hot", [False, True])
def test_a_large_partition_has_few_batches_and_a_hot_key_its_own(hot: bool) -> None:
    key = np.random.default_rng(1).integers(0, 2**64, 10_000, np.uint64)
    if hot:
        key[::2] = key[0]
    rows = table([(int(one), 0, place) for place, one in enumerate(key)])
    laid, pieces = laid_out(rows, 1, 1, 1000)
    assert 10 <= len(pieces) <= 20
    in_keys = [laid.column("key").to_numpy()[piece.start : piece.end] for piece in pieces]
    assert sum(bool((keys == keys[0]).all()) for keys in in_keys) == (4 if hot else 0)
    if not hot:
        assert all(
            (np.diff(laid.column("row").to_numpy()[p.start : p.end].astype(int)) > 0).sum() > 900
            for p in pieces
            if p.end - p.start > 950
        )


def test_partitions_beyond_sixteen_bits() -> None:
    keys = np.array([0, 2**63, 2**64 - 1], np.uint64)
    assert partition_of(keys, 2**31).tolist() == [0, 2**30, 2**31 - 1]
