"""The hash family against theory and datasketch: unbiased, as spread as it should be, bands as promised."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from corpusmill.dedup.kernels.signatures import BLOCK, band_keys, minima, multipliers

HASHES = 128


def signature(values: npt.NDArray[np.uint32], seed: int = 1, hashes: int = HASHES) -> npt.NDArray[np.uint32]:
    out = np.empty(hashes, np.uint32)
    minima(values, len(values), multipliers(hashes, seed), out)
    return out


def pair(
    rng: np.random.Generator, size: int, similarity: float
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], float]:
    """Two sets of `size` values with a Jaccard index of about `similarity`; returns the true one."""
    both = round(2 * size * similarity / (1 + similarity))
    values = rng.choice(2**32, 2 * size - both, replace=False).astype(np.uint32)
    return values[:size], values[size - both :], both / (2 * size - both)


def test_minima_are_the_definition() -> None:
    rng = np.random.default_rng(0)
    a_H = multipliers(HASHES, 1).astype(np.uint64)
    for size in (1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 100):
        values = rng.integers(0, 2**32, size, dtype=np.uint64)
        with np.errstate(over="ignore"):
            x = values * np.uint64(0x9E3779B97F4A7C15)
            for shift, multiplier in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53), (33, 1)):
                x = (x ^ x >> np.uint64(shift)) * np.uint64(multiplier)
            hashed = (x[:, None] & np.uint64(0xFFFFFFFF)) + a_H[None, :] * (x >> np.uint64(32))[:, None]
        expected = (hashed & np.uint64(0xFFFFFFFF)).min(axis=0)
        assert signature(values.astype(np.uint32)).tolist() == expected.tolist()


def test_multipliers() -> None:
    a = multipliers(500, 3)
    assert len(set(a.tolist())) == 500
    assert (a % 2 == 1).all()
    assert multipliers(100, 3).tolist() == a[:100].tolist(), "more hashes extend the family"
    assert multipliers(100, 4).tolist() != a[:100].tolist()


@pytest.mark.parametrize("size", [3, 40, 1000])
@pytest.mark.parametrize("similarity", [0.2, 0.5, 0.8, 0.95])
def test_estimates_are_unbiased_and_as_spread_as_binomial(size: int, similarity: float) -> None:
    rng = np.random.default_rng(size)
    trials = 400
    estimates, truth = np.empty(trials), 0.0
    for t in range(trials):
        a, b, truth = pair(rng, size, similarity)
        estimates[t] = (signature(a) == signature(b)).mean()
    if truth == 1:
        assert (estimates == 1).all()
        return
    deviation = math.sqrt(truth * (1 - truth) / HASHES)
    assert abs(estimates.mean() - truth) < 4 * deviation / math.sqrt(trials)
    # Dependence between hashes would show as extra spread. Its own sampling error is 1/sqrt(2 trials).
    assert estimates.std() / deviation == pytest.approx(1, abs=4 / math.sqrt(2 * trials))


@pytest.mark.parametrize(("similarity", "bands", "rows"), [(0.6, 20, 6), (0.7, 20, 6), (0.75, 14, 8)])
def test_bands_collide_as_often_as_theory_says(similarity: float, bands: int, rows: int) -> None:
    rng = np.random.default_rng(bands)
    trials, shared, expected = 1500, 0, 0.0
    keys = np.empty((2, bands), np.uint64)
    for _ in range(trials):
        a, b, truth = pair(rng, 200, similarity)
        band_keys(signature(a, hashes=bands * rows), bands, keys[0])
        band_keys(signature(b, hashes=bands * rows), bands, keys[1])
        shared += bool((keys[0] == keys[1]).any())
        expected = 1 - (1 - truth**rows) ** bands
    assert abs(shared / trials - expected) < 4 * math.sqrt(expected * (1 - expected) / trials)


def test_keys_of_different_bands_differ() -> None:
    keys = np.empty(20, np.uint64)
    band_keys(np.zeros(120, np.uint32), 20, keys)
    assert len(set(keys.tolist())) == 20


def test_each_value_is_as_likely_the_minimum() -> None:
    """Min-wise uniformity: over many families every element of a set wins equally often (chi squared)."""
    values = np.random.default_rng(5).integers(0, 2**32, 50, dtype=np.uint32)
    singles = np.stack([signature(values[i : i + 1], hashes=4000) for i in range(50)])
    wins = np.bincount(singles.argmin(axis=0), minlength=50)
    assert wins.sum() == 4000
    chi_squared = ((wins - 80) ** 2 / 80).sum()
    assert chi_squared < 49 + 5 * math.sqrt(2 * 49)


def test_as_accurate_as_datasketch() -> None:
    datasketch = pytest.importorskip("datasketch", reason="datasketch is not installed")
    rng = np.random.default_rng(9)
    ours, theirs = [], []
    for _ in range(60):
        a, b, truth = pair(rng, 120, 0.7)
        peers = [datasketch.MinHash(num_perm=HASHES, seed=1) for _ in range(2)]
        for peer, values in zip(peers, (a, b), strict=True):
            peer.update_batch([int(v).to_bytes(4, "little") for v in values])
        ours.append((signature(a) == signature(b)).mean() - truth)
        theirs.append(peers[0].jaccard(peers[1]) - truth)
    assert np.std(ours) < 1.5 * np.std(theirs)
