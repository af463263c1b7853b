"""The small functions under the report: ids as numbers, histograms, samples of units, charts."""

from __future__ import annotations

import hashlib
import math
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.report import charts
from corpusmill.pipelines.report.distributions import _bars, _powers, spread
from corpusmill.pipelines.report.foreign_text import visible
from corpusmill.pipelines.storage import clusters
from corpusmill.pipelines.storage.hex_ids import leading_bits

IDS = st.lists(st.binary(min_size=16, max_size=16).map(bytes.hex))


@given(IDS, st.integers(0, 3))
def test_leading_bits_are_the_first_sixteen_digits(ids: list[str], skipped: int) -> None:
    array = pa.array(ids, pa.string()).slice(min(skipped, len(ids)))
    assert leading_bits(array).tolist() == [int(i[:16], 16) for i in array.to_pylist()]


def test_leading_bits_refuse_what_is_no_id() -> None:
    for wrong in (["abc"], [None], ["0" * 32, "0" * 31]):
        with pytest.raises(ValueError, match="32 hex digits"):
            leading_bits(pa.array(wrong, pa.string()))


@given(st.lists(st.integers(0, 2**47)))
def test_powers_count_each_value_once_in_its_bar(values: list[int]) -> None:
    counts = _powers(np.array(values, np.int64))
    assert counts.sum() == len(values)
    expected = [0] * 48
    for value in values:
        expected[max(value, 1).bit_length() - 1] += 1
    assert counts.tolist() == expected
    assert sum(bar.documents for bar in _bars(counts)) == len(values)


@given(st.integers(0, 500), st.integers(1, 70))
def testspread_is_even_and_sorted(count: int, most: int) -> None:
    chosen = spread(range(count), most)
    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen))
    gaps = np.diff(chosen)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


@given(st.lists(st.integers(1, 3000), max_size=60))
def test_cluster_sizes_hold_every_cluster(removed: list[int]) -> None:
    sizes = np.array(removed, np.int64) + 1
    bars = clusters.size_bars(sizes, 1.0)
    assert sum(bar.clusters for bar in bars) == len(removed)
    for bar in bars:
        upper = bar.to if bar.to is not None else math.inf
        assert bar.clusters == int(((sizes >= bar.from_) & (sizes <= upper)).sum())


def test_sampled_clusters_are_scaled_up() -> None:
    """One cluster in four is looked at, whole; the estimate is near the truth."""
    ids = [hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest() for n in range(20_000)]
    bits = leading_bits(pa.array(ids, pa.string()).take(pa.array(np.repeat(np.arange(20_000), 3))))
    kept = bits[bits < np.uint64(2**62)]
    _, removed = np.unique(kept, return_counts=True)
    assert set(removed.tolist()) == {3}
    (bar,) = [b for b in clusters.size_bars(removed + 1, 0.25) if b.clusters]
    assert bar.from_ == bar.to == 4
    assert abs(bar.clusters - 20_000) < 1_000


@given(st.lists(st.tuples(st.text(), st.floats(0, 1e15), st.none() | st.floats(0, 1e15)), max_size=8))
def test_bars_never_leave_the_drawing(rows: list[tuple[str, float, float | None]]) -> None:
    svg = str(charts.pairs(rows, "label", ("a", "b")))
    for x, width in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg):
        assert float(x) + float(width) <= 480 - 40


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_a_curve_stays_inside_and_has_few_ticks(values: list[float]) -> None:
    steps = list(range(1, len(values) + 1))
    svg = str(charts.curve(steps, [("loss", values, "a")], [("bar", 0.0)], "label", "step"))
    points = [tuple(map(float, p.split(","))) for p in re.search(r'points="([^"]*)"', svg)[1].split()]  # type: ignore[index]
    assert len(points) == len(values)
    assert all(0 <= x <= 480 and 0 <= y <= 260 for x, y in points)
    assert 1 <= svg.count('class="rule"') <= 12


@given(st.text())
def test_visible_text_keeps_letters_and_shows_the_rest(text: str) -> None:
    shown = visible(text)
    assert "\u202e" not in shown
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    if text.isascii() and text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (950, "950"), (1200, "1.2k"), (35_000_000, "35M"), (2.5e9, "2.5G"), (-1500, "-1.5k")],
)
def test_short_numbers(value: float, words: str) -> None:
    assert charts.short(value) == words


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(512, "", "512"), (4096, "", "4Ki"), (512, "B", "512 B"), (2048, "B", "2 KiB"), (2**30, "B", "1 GiB")],
)
def test_powers_of_two(value: int, unit: str, words: str) -> None:
    assert charts.power_of_two(value, unit) == words
