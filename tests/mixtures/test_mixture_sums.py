"""Sums of tokens by cell and bin: the same however the documents are divided, and never dense."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.mixtures.mixture_sums import MixtureSums
from corpusmill.mixtures.plan import histogram
from corpusmill.mixtures.plan.histogram import HISTOGRAM
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Context
from tests.mixtures.test_mixture import apart, encoded, planned


@pytest.mark.parametrize("rows", [2**21, 12])
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=40),
    st.lists(st.integers(0, 39), max_size=5),
    st.randoms(use_true_random=False),
)
def test_partials_combine_in_any_order(
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    sizes: list[tuple[str, int]],
    cuts: list[int],
    random_: Any,
) -> None:
    """Of bins that may stay as they are, and of more than may be (`rows`), which are joined."""
    monkeypatch.setattr(histogram, "MOST_ROWS", rows)
    docs = apart(encoded(sizes), 2, 0.3)
    stage = MixtureSums().prepare(Context(seed=2))
    ends = sorted({0, len(docs), *(min(cut, len(docs)) for cut in cuts)})

    def unit(a: int, b: int) -> Iterator[Documents]:
        yield docs.slice(a, b - a)

    parts = [stage.map(unit(a, b)) for a, b in pairwise(ends)] or [stage.map(iter([docs]))]
    random_.shuffle(parts)
    while len(parts) > 1:
        at = random_.randrange(len(parts) - 1)
        parts[at : at + 2] = [stage.combine(parts[at : at + 2])]
    whole = stage.combine([stage.map(iter([docs]))])
    assert stage.combine(parts).equals(whole, check_metadata=True)
    assert whole.num_rows <= rows
    assert whole.schema == HISTOGRAM
    assert sum(whole.column("tokens").to_pylist()) == sum(size for _, size in sizes)


def test_a_thousand_cells_take_no_dense_histograms(tmp_path: Path) -> None:
    """65,536 bins of three sums for each of a thousand cells would be 1.6 GB, however few their documents."""
    count = 5_000
    docs = encoded([("a", 5)] * count)
    sites = pa.array([f"site{at % 1000}" for at in range(count)], pa.string())
    docs = docs.with_columns({"site": sites})
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    plan = planned(docs, tmp_path, by="site", policy="unimax", tokens=10_000)
    peak = tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before
    tracemalloc.stop()
    assert len(plan["cells"]) == 1000
    assert {cell["phases"][0]["tokens"] for cell in plan["cells"]} == {10}
    assert peak < 200 * 2**20
