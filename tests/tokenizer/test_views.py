"""Views: a document encoded once for each way that phases and epochs frame it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.encoded_views import COLUMNS, in_views
from corpusmill.pipelines.contract.stage import Context
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.fim.views import View, views_of
from tests.oracles.tokenizer_texts import as_documents, made_texts
from tests.tokenizer.test_encode import encoded

SETTINGS: list[dict[str, Any]] = [
    {"fim": {"rate": 0.0}},
    {"fim": {"rate": 0.5}},
    {"fim": {"rate": 0.5}, "draw": 1},
    {"fim": {"rate": 0.4, "mode": "spm"}},
    {"fim": {"rate": 0.1, "rates": {"code": 0.9}}, "draw": 3},
    {"fim": {"rate": 1.0, "domains": ["math"]}},
]


def made(count: int) -> Documents:
    sources = [("code", "math", "web")[at % 3] for at in range(count)]
    return as_documents(made_texts(count), source=sources, domain=sources)


@examples(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 5), st.lists(st.integers(0, 5), min_size=1, max_size=4), st.sampled_from([0.0, 0.2]))
def test_each_view_is_what_a_run_of_its_own_gives(
    context: Context, first: int, others: list[int], held_out: float
) -> None:
    """Row by row, whatever the first view is; and null exactly where the tokens are those of view 0."""
    docs = made(40)
    options: dict[str, Any] = {"held_out": held_out, "verify_rate": 1.0}
    start = {**SETTINGS[first], "draw": 0}
    views = [View.model_validate(SETTINGS[at]) for at in others]
    table = encoded(context, docs, fim=start["fim"], views=[view.model_dump() for view in views], **options)
    for number, view in enumerate([View.model_validate(start), *views]):
        whole = np.arange(len(docs))
        found = in_views(Documents(table), whole, np.full(len(docs), number, np.int64))
        if view.draw == 0:
            alone = encoded(context, docs, fim=view.fim.model_dump(), **options)
        else:  # view 0 of a run cannot have another draw
            plain = {"fim": {"rate": 0.0}, "views": [view.model_dump()]}
            alone = in_views(
                Documents(encoded(context, docs, **plain, **options)), whole, np.ones(len(docs), np.int64)
            )
        assert found.select(COLUMNS).equals(alone.select(COLUMNS))
        for entry, tokens, base in zip(
            *(t.column(c).to_pylist() for t, c in ((table, "views"), (found, "tokens"), (table, "tokens"))),
            strict=True,
        ):
            assert number == 0 or (entry[number - 1] is None) == (tokens == base)


def test_views_do_not_depend_on_batches(context: Context) -> None:
    docs = made(30)
    options: dict[str, Any] = {"fim": {"rate": 0.3}, "views": SETTINGS[2:5]}
    whole = encoded(context, docs, **options)
    parts = [encoded(context, part, **options) for part in (docs.slice(0, 11), docs.slice(11, 19))]
    assert pa.concat_tables(parts).equals(whole)
    assert encoded(context, docs.slice(0, 0), **options).num_rows == 0


def test_one_view_leaves_the_columns_as_they_were(context: Context) -> None:
    assert "views" not in encoded(context, made(3)).column_names
    assert "views" in encoded(context, made(3), views=[{"draw": 1}]).column_names


def test_rates_by_source_nest_and_are_reached(context: Context) -> None:
    n = 6000
    sources = [("code", "math", "web")[at % 3] for at in range(n)]
    docs = as_documents(["ab"] * n, source=sources)
    settings = {"rate": 0.1, "rates": {"code": 0.5, "web": 0}}, {"rate": 0.05, "rates": {"code": 0.2}}
    framed, lower = (np.array(encoded(context, docs, fim=fim).column("fim")) for fim in settings)
    for source, rate in (("code", 0.5), ("math", 0.1), ("web", 0.0)):
        mine = np.array(sources) == source
        assert abs(framed[mine].sum() - rate * 2000) <= 4 * np.sqrt(rate * 2000)
        if source != "web":
            assert (framed | ~lower)[mine].all()


@pytest.mark.parametrize(
    ("fim", "phases", "epochs", "views", "numbers"),
    [
        ({}, [], 4, [0], [[0]]),
        ({"each_epoch": True}, [], 3, [0, 1, 2], [[0, 1, 2]]),
        ({}, [None, {"rate": 0.5}, {"rate": 0.1}], 4, [0, 0], [[0], [1], [0]]),
        ({}, [{"rate": 0.5, "each_epoch": True}, None], 2, [0, 0, 1], [[1, 2], [0]]),
        ({"each_epoch": True}, [None, {"each_epoch": False}], 2, [0, 1], [[0, 1], [0]]),
    ],
)
def test_views_of_phases_and_epochs(
    fim: dict[str, Any], phases: list[Any], epochs: int, views: list[int], numbers: list[list[int]]
) -> None:
    found, table = views_of(Fim.model_validate(fim), phases, epochs)
    assert [view.draw for view in found] == views
    assert table == numbers
    assert not any(view.fim.each_epoch for view in found)
