from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.training_hooks.loading.permutation import Permutation
from tests.oracles import feistel


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


@settings(deadline=None)
@given(n=st.integers(1, 2**61), seed=st.integers(0, 9), draw=st.integers(0, 2**32))
def test_the_kernel_does_what_its_oracle_does(n: int, seed: int, draw: int) -> None:
    order = Permutation(n, seed, "p")
    positions = np.random.default_rng(draw).integers(0, n, 50)
    assert (order(positions) == feistel.permuted(positions, n, order.half, order.keys)).all()


def test_seeds_and_purposes_differ_and_repeat() -> None:
    n = 1000
    one, same = Permutation(n, 1, "epoch 0")(np.arange(n)), Permutation(n, 1, "epoch 0")(np.arange(n))
    assert (one == same).all()
    for other in (Permutation(n, 2, "epoch 0"), Permutation(n, 1, "epoch 1")):
        assert (one == other(np.arange(n))).mean() < 0.02


# Limits below are those of a test at 10^-6: orders are few and fixed, so none fails by chance.
LARGE = st.sampled_from([20_000, 65_536, 65_537, 99_991])


@settings(deadline=None, max_examples=12, derandomize=True)
@given(n=LARGE, seed=st.integers(0, 2**40))
def test_ranks_at_any_lag_are_uncorrelated_and_neighbours_part(n: int, seed: int) -> None:
    from scipy import stats

    order = Permutation(n, seed, "p")(np.arange(n))
    for lag in (1, 2, 3, 8, 64, 1024):
        assert abs(np.corrcoef(order[:-lag], order[lag:])[0, 1]) < 5 / np.sqrt(n - lag)
    near = int((np.abs(np.diff(order)) == 1).sum())  # about Poisson of mean 2
    assert stats.poisson.sf(near - 1, 2) > 1e-6


@settings(deadline=None, max_examples=12, derandomize=True)
@given(n=LARGE, seed=st.integers(0, 2**40))
def test_every_part_of_the_order_is_spread_evenly(n: int, seed: int) -> None:
    """Chi-square of 32 x 32 cells of position and place: 31 x 31 degrees of freedom."""
    from scipy import stats

    order = Permutation(n, seed, "p")(np.arange(n))
    edges = np.arange(33) * n / 32
    cells = np.histogram2d(np.arange(n), order, bins=[edges, edges])[0]
    sums = cells.sum(axis=1)[:, None] * cells.sum(axis=0)[None, :] / n
    statistic = ((cells - sums) ** 2 / sums).sum()
    assert 1e-6 < stats.chi2.sf(statistic, 31 * 31) < 1 - 1e-6


@settings(deadline=None, max_examples=12, derandomize=True)
@given(n=LARGE, seed=st.integers(0, 2**40), share=st.sampled_from([0.01, 0.1, 0.5]))
def test_windows_hold_what_draws_without_replacement_hold(n: int, seed: int, share: float) -> None:
    """Of a source whose rows stand together, as shards may have it, every window of the order holds as many
    rows as a hypergeometric draw: mean, variance and extremes."""
    from scipy import stats

    order = Permutation(n, seed, "p")(np.arange(n))
    marked, size = int(share * n), 500
    windows = n // size
    counts = (order[: windows * size] < marked).reshape(windows, size).sum(axis=1)
    law = stats.hypergeom(n, marked, size)
    deviation = law.std()
    assert abs(counts.mean() - law.mean()) < 5 * deviation / np.sqrt(windows)
    assert abs(counts.var() / law.var() - 1) < 6 * np.sqrt(2 / windows) + 1 / (law.mean() * windows)
    assert windows * law.sf(counts.max() - 1) > 1e-6
    assert windows * law.cdf(counts.min()) > 1e-6


def test_orders_of_two_epochs_have_nothing_in_common() -> None:
    from scipy import stats

    n = 50_000
    first, second = (Permutation(n, 5, f"order of epoch {e}")(np.arange(n)) for e in range(2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(n)
    # Rows that stood side by side in one epoch do not in the next.
    place = np.empty(n, np.int64)
    place[second] = np.arange(n)
    apart = np.abs(np.diff(place[first]))
    assert stats.poisson.sf(int((apart == 1).sum()) - 1, 2) > 1e-6


def test_memory_does_not_grow_with_rows() -> None:
    order = Permutation(10, 3, "p")
    order(np.arange(10))  # compiled
    peaks = []
    for n in (10, 10**12):
        tracemalloc.start()
        order = Permutation(n, 3, "p")
        found = [int(order(at)) for at in (0, n // 2, n - 1)]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(set(found)) == 3
        assert all(0 <= place < n for place in found)
    assert peaks[1] < peaks[0] + 2000


def test_refuses_what_is_outside() -> None:
    with pytest.raises(IndexError, match=r"0\.\.9"):
        Permutation(10, 0, "p")(10)
    with pytest.raises(ValueError, match="permutation needs"):
        Permutation(-1, 0, "p")
