"""Copies in views of their own: what is planned is what is drawn, whatever each view's documents weigh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.mixtures.draw import Draw
from corpusmill.mixtures.mixture import Mixture
from corpusmill.mixtures.plan.cells import Cells
from corpusmill.mixtures.plan.histogram import add, by_cell, histogram
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.encoded_views import in_views, token_counts, view_count, views_type
from corpusmill.pipelines.contract.stage import Context
from tests.mixtures.test_mixture import addressed, apart, encoded, lengths, planned

VIEWS = 3


def in_more_views(docs: Documents, seed: int) -> Documents:
    """The documents with views 1 and 2: some as view 0, others framed and longer."""
    random = np.random.default_rng(seed)
    entries: list[list[Any]] = []
    for tokens in docs.column("tokens").to_pylist():
        own = [None, None]
        for view in np.flatnonzero(random.random(VIEWS - 1) < 0.5).tolist():
            longer = [*tokens, *[60_000 + view] * int(random.integers(1, 4))]
            own[view] = {"fim": True, "combined": 1, "split": 0, "tokens": longer}
        entries.append(own)
    zeros = pa.array(np.zeros(len(docs), np.int32))
    plain = {"fim": pa.array([False] * len(docs)), "combined": zeros, "split": zeros}
    return docs.with_columns({**plain, "views": pa.array(entries, views_type(pa.large_list(pa.uint16())))})


def drawn(docs: Documents, folder: Path, views: Sequence[int]) -> pa.Table:
    stage = Draw(views=[list(views)]).prepare(Context(artefacts={"mixture": folder}))
    parts = [
        stage.emit(part.drop("_unit", "_row"), unit, np.arange(len(part), dtype=np.uint32)).rows
        for unit, part in enumerate(addressed(apart(docs, 1, 0.0)))
    ]
    return pa.concat_tables(parts)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), min_size=1, max_size=90),
    st.integers(1, 900),
    st.sampled_from([[0], [0, 1, 2], [1], [2, 0], [0, 1, 2, 1]]),
    st.sampled_from([1.0, 2.5, 4.0]),
)
def test_what_is_planned_is_what_is_drawn_in_views(
    tmp_path: Path, sizes: list[tuple[str, int]], tokens: int, views: list[int], max_epochs: float
) -> None:
    sizes = [("a", 5), ("b", 6), *sizes]
    docs = in_more_views(encoded(sizes), len(sizes))
    options: dict[str, Any] = {"weights": {"a": 0.5, "b": 0.5}, "max_epochs": max_epochs, "views": [views]}
    plan = planned(docs, tmp_path, tokens=tokens, **options)
    rows = drawn(docs, tmp_path, views)
    counts, sources = lengths(rows), np.array(rows.column("source").to_pylist())
    for source, one in plan["sources"].items():
        mine = sources == source
        assert (int(counts[mine].sum()), int(mine.sum())) == (one["tokens"], one["documents"])
        assert one["epochs"] <= max_epochs
        assert one["tokens"] == one["requested_tokens"] or one["cause"] == "max_epochs"
    names = docs.column("id").to_pylist()
    tokens_of = {
        (name, view): row
        for view in range(VIEWS)
        for name, row in zip(names, in_views(docs, *at(docs, view)).column("tokens").to_pylist(), strict=True)
    }
    for name, epoch, found in zip(
        *(rows.column(c).to_pylist() for c in ("id", "epoch", "tokens")), strict=True
    ):
        assert found == tokens_of[name, views[min(epoch, len(views) - 1)]]


def at(docs: Documents, view: int) -> tuple[Any, Any]:
    return np.arange(len(docs)), np.full(len(docs), view, np.int64)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(0, 5), st.data())
def test_a_row_in_a_view_is_the_view_s(sizes: list[int], skipped: int, data: st.DataObject) -> None:
    docs = in_more_views(encoded([("a", size) for size in sizes]), sum(sizes))
    docs = docs.slice(min(skipped, len(sizes) - 1), len(sizes))
    assert view_count(docs) == VIEWS
    pairs = st.tuples(st.integers(0, len(docs) - 1), st.integers(0, VIEWS - 1))
    asked = data.draw(st.lists(pairs, max_size=30))
    rows, views = (np.array([pair[k] for pair in asked], np.int64) for k in (0, 1))
    table = in_views(docs, rows, views)
    assert "views" not in table.column_names
    whole = docs.table.to_pylist()
    assert table.num_rows == len(asked)
    for (row, view), found in zip(asked, table.to_pylist(), strict=True):
        expected = {name: value for name, value in whole[row].items() if name != "views"}
        own = whole[row]["views"][view - 1] if view else None
        assert found == expected | (own or {})
        assert token_counts(docs, view)[row] == len(found["tokens"])
    assert view_count(docs.drop("views")) == 1


def test_sums_are_by_view_and_add_up() -> None:
    docs = in_more_views(encoded([("a", size) for size in range(40)] + [("b", 3)] * 9), 4)
    docs = docs.with_columns({"held_out": pa.array([at % 7 == 0 for at in range(len(docs))])})
    cells = Cells.of(["source"], {}, {})
    whole = histogram(iter([docs]), 1, cells)
    parts = [histogram(iter([part]), 1, cells) for part in (docs.slice(0, 13), docs.slice(13, 99))]
    assert add(parts).equals(whole)
    sources = np.array(docs.column("source").to_pylist())
    for apart_, view in [(False, 0), (False, 1), (False, 2), (True, 2)]:
        mine = docs.column("held_out").to_numpy(zero_copy_only=False) == apart_
        for (source,), sums in by_cell(whole, apart=apart_).items():
            of_source = mine & (sources == source)
            assert sums.tokens[view].sum() == token_counts(docs, view)[of_source].sum()
            assert sums.documents.sum() == of_source.sum()


@pytest.mark.parametrize(
    ("options", "copies"),
    [({}, 1), ({"tokens": 5}, 4), ({"temperature": 2.0}, 4), ({"tokens": 9, "max_epochs": 2.5}, 3)],
)
def test_most_copies(options: dict[str, Any], copies: int) -> None:
    assert Mixture(**options).most_copies() == copies
