from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.training_hooks.loading.permutation import Permutation


@settings(deadline=None)
@given(n=st.integers(1, 3000), seed=st.integers(0, 2**63))
def test_is_a_bijection(n: int, seed: int) -> None:
    assert sorted(Permutation(n, seed, "p")(np.arange(n)).tolist()) == list(range(n))


@settings(deadline=None)
@given(n=st.integers(1, 2**61), position=st.integers(0, 2**62), seed=st.integers(0, 9))
def test_stays_inside_and_does_not_depend_on_company(n: int, position: int, seed: int) -> None:
    order = Permutation(n, seed, "p")
    alone = int(order(position % n))
    assert 0 <= alone < n
    assert alone == int(order(np.array([0, position % n, n - 1]))[1])


def test_seeds_and_purposes_differ_and_repeat() -> None:
    n = 1000
    one, same = Permutation(n, 1, "epoch 0")(np.arange(n)), Permutation(n, 1, "epoch 0")(np.arange(n))
    assert (one == same).all()
    for other in (Permutation(n, 2, "epoch 0"), Permutation(n, 1, "epoch 1")):
        assert (one == other(np.arange(n))).mean() < 0.02


def test_mixes_neighbours() -> None:
    """Ranks of neighbours are uncorrelated, few neighbours stay neighbours, and every tenth of the positions
    is spread over the whole range (chi-square on 10 x 10 cells, 81 degrees of freedom)."""
    n = 20_000
    order = Permutation(n, 3, "p")(np.arange(n))
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.03
    assert (np.abs(np.diff(order)) == 1).mean() < 0.001
    cells = np.histogram2d(np.arange(n), order, bins=10)[0]
    assert ((cells - n / 100) ** 2 / (n / 100)).sum() < 150


def test_refuses_what_is_outside() -> None:
    with pytest.raises(IndexError, match=r"0\.\.9"):
        Permutation(10, 0, "p")(10)
    with pytest.raises(ValueError, match="permutation needs"):
        Permutation(-1, 0, "p")
