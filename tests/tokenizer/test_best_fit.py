from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.tokenizer.kernels.best_fit import best_fit_decreasing
from tests.oracles.tokenizer_packing import best_fit_rows


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 40).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=60))))
def test_placement_equals_the_oracle(case: tuple[int, list[int]]) -> None:
    capacity, lengths = case
    row, start, rows = best_fit_decreasing(np.array(lengths, np.int64), capacity)
    expected = best_fit_rows(lengths, capacity)
    assert rows == len(expected)
    for number, items in enumerate(expected):
        assert row[items].tolist() == [number] * len(items)
        assert start[items].tolist() == np.cumsum([0, *(lengths[i] for i in items)])[:-1].tolist()


@pytest.mark.parametrize("capacity", [1, 2, 7, 64, 1000, 4096])
def test_rows_never_overflow_and_are_few(capacity: int) -> None:
    lengths = np.minimum(np.random.default_rng(1).geometric(3 / (capacity + 3), 20_000), capacity)
    row, start, rows = best_fit_decreasing(lengths, capacity)
    filled = np.bincount(row, weights=lengths, minlength=rows)
    assert filled.max() <= capacity
    assert (start + lengths <= capacity).all()
    # Best-fit decreasing opens at most 11/9 of the fewest rows, plus 4 (Johnson 1974).
    assert rows <= 11 / 9 * np.ceil(lengths.sum() / capacity) + 4
