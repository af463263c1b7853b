"""Rows of an exchange are sorted by (key, unit, row), whatever their keys are and however they come."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.run.operators.row_order import in_order

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
