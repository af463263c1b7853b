"""Boilerplate at the edges of a site's pages: equal to a walk over strings, in any layout of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.boilerplate import Boilerplate
from tests.dedup.test_paragraph import as_documents, spans
from tests.oracles import dedup_pieces as oracle
from tests.oracles.dedup_exchange import documents, edits_of
from tests.pipelines.run.edited import rows_of, run, write_recipe

lines = st.sampled_from(["a", "B", "b", "1", "2", "水", "😀 x", "", " "])
texts = st.lists(lines, max_size=7).map("\n".join)
sites = st.sampled_from([None, "a.example", "a.example", "b.example"])
corpora = st.lists(st.tuples(texts, st.just("web"), sites), max_size=9)


@settings(deadline=None, max_examples=100)
@given(
    corpora,
    st.integers(1, 3),
    st.integers(2, 3),
    st.sampled_from([0.0, 0.34, 0.5, 1.0]),
    st.sampled_from(["exact", "fold"]),
    st.sampled_from(["first", "none"]),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)),
)
def test_equals_the_oracle_in_any_layout(
    corpus: list[tuple[str, str, str | None]],
    edge: int,
    min_pages: int,
    min_share: float,
    normalize: Any,
    keep: Any,
    layout: tuple[int, int, int],
) -> None:
    docs, plain = as_documents(corpus)
    options = {
        "edge": edge,
        "min_pages": min_pages,
        "min_share": min_share,
        "normalize": normalize,
        "keep": keep,
    }
    found = edits_of(Boilerplate.model_validate(options), docs, *layout) if corpus else []
    assert {row["reason"] for row in found} <= {"boilerplate"}
    assert spans(found, layout[0]) == oracle.boilerplate(plain, **options)


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_only_edges_of_pages_of_a_site_are_cut(share: float) -> None:
    """Lines in the middle, and those of another site, stay; host names are compared without `www.`."""
    menu, foot = "Home | About", "© 2024 Example"
    pages = [f"{menu}\npage {n} a\nb {n}\n{foot}" for n in "abcd"]
    pages += [f"x {n}\n{menu}\nz\n{foot}\nq {n}" for n in "efgh"]
    pages += [f"{menu}\ny\n{foot}"] * 2
    urls = ["https://www.example.org/a"] * 3 + ["http://EXAMPLE.org/"] + ["https://other.example/"] * 6
    docs = documents(pages, urls=urls)
    found = edits_of(Boilerplate(edge=1, min_pages=4, min_share=share), docs, 3, 2, 4)
    cut = {}
    for row in found:
        page = row["unit"] * 3 + row["row"]
        cut[page, pages[page].encode()[row["start"] : row["end"]].decode()] = row["reason"]
    assert cut == {(page, text): "boilerplate" for page in range(4) for text in (f"{menu}\n", foot)}


def test_steps_of_a_run_with_a_share(tmp_path: Path) -> None:
    """Five rounds; sources without URLs have no sites, so nothing is cut."""
    record = run(write_recipe(tmp_path, [["a\nb\na"] * 12], "{boilerplate: {min_share: 0.5}}"))
    names = [name.rpartition(".")[2] for name in record.steps if name.startswith("dedup")]
    assert names == ["scatter", *(f"round-{number}" for number in range(1, 5)), "gather", "boilerplate"]
    assert len(rows_of(record)) == 12
