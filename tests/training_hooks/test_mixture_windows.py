"""Shares of sources in windows of samples: measured as one counts them by hand, bounded as the theorems say,
and an order that breaks the bound is told."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.inspection.window_facts import RunWindows, broken, render_windows
from corpusmill.pipelines.report.findings import window_findings
from corpusmill.training_hooks.commands import mixture_windows as command
from corpusmill.training_hooks.commands.mixture_windows import mixture_windows
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.loading.window_bounds import bounds
from corpusmill.training_hooks.loading.window_shares import extremes
from tests.oracles.training_shards import PAD, write_rows

L = 12
Parts = list[list[int]]  # of rows, tokens of `a` and `b` by turns
ROWS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3), min_size=2, max_size=40)


def made(path: Path, rows: Parts, **facts: Any) -> Path:
    """A shard whose rows hold so many tokens of `a`, then `b`, then `a`."""
    ids = np.full((len(rows), L), PAD)
    for number, parts in enumerate(rows):
        ids[number, : sum(parts)] = 10
    held = {"a": sum(sum(parts[::2]) for parts in rows), "b": sum(sum(parts[1::2]) for parts in rows)}
    return write_rows(path, ids, rows, counts={"tokens_by_source": held}, **facts)


def by_hand(loader: ShardLoader, size: int, first: int, samples: int) -> list[list[Fraction]]:
    """Shares of `a` and `b` in every window that holds tokens."""
    sources = loader.sequence_sources(first, samples)[:, :-1]
    counts = [[int((row == code).sum()) for code in range(2)] for row in sources]
    found = []
    for at in range(samples - size + 1):
        sums = [sum(row[code] for row in counts[at : at + size]) for code in range(2)]
        if sum(sums):
            found.append([Fraction(one, sum(sums)) for one in sums])
    return found


@settings(deadline=None, max_examples=30)
@given(
    rows=ROWS, cut=st.integers(0, 40), seed=st.integers(0, 99), size=st.integers(1, 9), train=st.booleans()
)
def test_the_extremes_are_those_of_the_windows_that_the_loader_gives(
    tmp_path_factory: pytest.TempPathFactory, rows: Parts, cut: int, seed: int, size: int, train: bool
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    parts = [rows[: cut % len(rows)], rows[cut % len(rows) :]]
    shards = [made(folder / f"shard-{i}.arrow", part) for i, part in enumerate(parts)]
    training = {"context": 5, "batch_size": size} if train else None
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(command, "SEQUENCES", size)
        found = mixture_windows(shards, seed=seed, training=training)
    if not train:
        loader = ShardLoader(shards, batch_size=1, seed=seed)
    else:
        from corpusmill.pipelines.contract.randomness import seed_of

        loader = ShardLoader(shards, batch_size=1, seed=seed_of(seed, "training order"), context=5)
    ((phase),) = found.phases
    assert phase.samples == loader.windows
    both = all(any(sum(row[k::2]) for row in rows) for k in range(2))
    assert len(phase.windows) == int(both and size <= phase.samples)
    for window in phase.windows:
        shares = by_hand(loader, size, 0, phase.samples)
        for code, source in enumerate(window.sources):
            assert source.least == float(min(share[code] for share in shares))
            assert source.most == float(max(share[code] for share in shares))
            at = [by_hand(loader, size, first, size) for first in (source.least_at, source.most_at)]
            assert [float(one[0][code]) for one in at] == [source.least, source.most]
        assert window.within


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=4, max_size=60),
    size=st.integers(1, 60),
    chance=st.sampled_from([0.3, 0.05, 0.001]),
    seed=st.integers(0, 2**32),
)
def test_no_more_windows_than_the_chance_lie_outside_of_the_bound(
    rows: list[tuple[int, int]], size: int, chance: float, seed: int
) -> None:
    table = np.array(rows)
    size = min(size, len(rows))
    if table[:, 0].sum() == 0:
        return
    share, fill = table[:, 0].sum() / table.sum(), table.sum() / (8 * len(rows))
    low, high = bounds(share, fill, size, len(rows), chance)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    draws, rng = 1000, np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(len(rows)), (draws, 1)), axis=1)[:, :size]
    sums = table[orders].sum(axis=1)
    held = sums[:, 0] / np.maximum(sums.sum(axis=1), 1)
    for outside in (held < low - 1e-9, held > high + 1e-9):
        outside &= sums.sum(axis=1) > 0
        assert outside.mean() <= chance + 5 * np.sqrt(chance / draws)  # of as many draws, five deviations


@given(of=st.integers(2, 200), whole=st.integers(1, 199), size=st.integers(1, 200))
def test_bounds_hold_the_exact_tail_of_rows_of_one_source_each(of: int, whole: int, size: int) -> None:
    """Rows of one source are balls of two colours, whose tail is hypergeometric."""
    whole, size, chance = min(whole, of - 1), min(size, of), 1e-3
    low, high = bounds(whole / of, 1.0, size, of, chance)
    ways = {k: comb(whole, k) * comb(of - whole, size - k) for k in range(size + 1) if size - k <= of - whole}
    above = sum(way for k, way in ways.items() if k / size > high + 1e-9)
    below = sum(way for k, way in ways.items() if k / size < low - 1e-9)
    assert above <= chance * comb(of, size)
    assert below <= chance * comb(of, size)


def test_bounds_are_the_published_ones() -> None:
    assert bounds(0.5, 1.0, 100, 10**12, 1e-3)[1] == pytest.approx(
        0.5 + np.sqrt(np.log(1000) / 200), abs=0.01
    )
    rare = bounds(0.01, 1.0, 100, 10**12, 1e-3)[1]  # Serfling's would be 0.196
    assert rare < 0.1
    assert 100 * (rare * np.log(rare / 0.01) + (1 - rare) * np.log((1 - rare) / 0.99)) == pytest.approx(
        np.log(1000), rel=1e-6
    )
    assert bounds(0.3, 0.9, 50, 50, 1e-3) == (pytest.approx(0.3), pytest.approx(0.3))  # all rows there are
    almost = bounds(0.3, 1.0, 999, 1000, 1e-6)
    assert almost[1] - 0.3 == pytest.approx(np.sqrt(np.log(1e6) * 0.002 / 1998))


def test_an_order_that_breaks_the_bound_is_told(tmp_path: Path) -> None:
    sorted_rows = [[L, 0]] * 1000 + [[0, L]] * 1000
    shard = made(tmp_path / "shard-00000.arrow", sorted_rows)
    stored = mixture_windows([shard], seed=1, order="stored")
    assert not stored.within
    (window,) = stored.phases[0].windows
    assert (window.sequences, window.windows) == (256, 1745)
    assert [(one.least, one.most, one.most_at) for one in window.sources] == [(0, 1, 0), (0, 1, 1000)]
    (line, _) = broken(stored)
    assert line.startswith("a has 0.0% to 100.0% of 256 samples in a row")
    assert f"OUTSIDE: {line}" in render_windows(stored)
    (warning, _) = window_findings(RunWindows("pack", stored, None))
    assert (warning.level, warning.about, warning.text) == ("warning", "pack: windows", line)
    shuffled = mixture_windows([shard], seed=1)
    assert window_findings(RunWindows("pack", shuffled, None)) == [] == broken(shuffled)
    assert shuffled.within
    assert shuffled.phases[0].windows[0].sources[0].least > 0.3


def test_phases_are_told_apart_and_shards_beside_theirs(tmp_path: Path) -> None:
    rows = [[3, 3, 3], [6, 2]] * 200
    shards = [
        made(tmp_path / "shard-00000.arrow", rows, phase={"number": 0, "name": "main"}),
        made(tmp_path / "shard-00001.arrow", [[1, 8]] * 300, phase={"number": 1, "name": "last"}),
        made(tmp_path / "shard-00002.arrow", [[4, 4]] * 100, phase={"number": 1, "name": "last"}),
    ]
    found = mixture_windows(shards, seed=5, asked={1: {"a": 0.2, "b": 0.8}})
    assert [(one.number, one.name, one.samples) for one in found.phases] == [
        (0, "main", 400),
        (1, "last", 400),
    ]
    assert [one.asked for one in found.phases[1].windows[0].sources] == [0.2, 0.8]
    assert [one.shard for one in found.shards] == [path.name for path in shards]
    whole = (300 + 400) / (300 * 9 + 800)
    assert found.shards[0].off == 0
    assert found.shards[1].off == pytest.approx(whole - 1 / 9)
    assert found.shards[2].shares == {"a": 0.5, "b": 0.5}


def test_of_many_shards_those_furthest_off_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_SHARDS", 2)
    shards = [made(tmp_path / f"shard-{i:05d}.arrow", [[k, 6 - k]] * 3) for i, k in enumerate((3, 6, 3, 1))]
    found = mixture_windows(shards, seed=5)
    assert [one.shard for one in found.shards] == ["shard-00001.arrow", "shard-00003.arrow"]
    assert found.more_shards == 2


def test_pieces_that_the_shard_did_not_count_are_damage(tmp_path: Path) -> None:
    shard = write_rows(
        tmp_path / "shard-00000.arrow", np.full((300, L), 10), counts={"tokens_by_source": {"a": 7, "b": 8}}
    )
    with pytest.raises(IntegrityError, match=r"shard-00000\.arrow: its pieces hold .*cure:"):
        mixture_windows([shard], seed=1)


def test_memory_does_not_grow_with_the_samples() -> None:
    def most(samples: int) -> int:
        table = np.ones((samples, 3), np.uint16)
        tracemalloc.start()
        extremes(table, lambda at: at, [256])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most(1_000_000) < 1.2 * most(200_000)
