"""Documents: kernel views, ids, reasons."""

from __future__ import annotations

import itertools
from importlib import import_module

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import SCHEMA, Documents, buffers, document_id, reason_where


def documents(texts: list[str | None]) -> Documents:
    rows = [
        {"id": document_id(str(i), (t or "").encode()), "text": t, "source": "s", "domain": "d", "meta": "{}"}
        for i, t in enumerate(texts)
    ]
    return Documents(pa.Table.from_pylist(rows, schema=SCHEMA))


@given(st.lists(st.none() | st.text(max_size=20), max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_kernel_views_survive_slicing(texts: list[str | None], start: int, length: int) -> None:
    docs = documents(texts).slice(start, length)
    offsets, data = docs.utf8()
    assert len(offsets) == len(docs) + 1
    seen = [bytes(data[a:b]).decode() for a, b in itertools.pairwise(offsets)]
    assert seen == [t or "" for t in texts[start : start + length]]
    assert docs.sizes().tolist() == [len((t or "").encode()) for t in texts[start : start + length]]


def test_kernel_views_refuse_other_types() -> None:
    with pytest.raises(TypeError, match="large_string"):
        buffers(pa.array(["a"], pa.string()))


def test_ids_depend_on_locator_and_content_and_nothing_is_ambiguous() -> None:
    assert document_id("ab", b"c") != document_id("a", b"bc")
    assert document_id("a", b"b") == document_id("a", b"b")
    assert len(document_id("", b"")) == 32


def test_the_first_rule_wins_and_null_keeps() -> None:
    mask = pa.array([True, None, False])
    reasons = reason_where((mask, "first"), (np.array([True, True, False]), "second"))
    assert reasons.to_pylist() == ["first", "second", None]
    with pytest.raises(ValueError, match="at least one"):
        reason_where()
    with pytest.raises(ValueError, match="rows"):
        reason_where((np.zeros(2, bool), "a"), (np.zeros(3, bool), "b"))


def test_a_missing_column_names_those_there_are() -> None:
    with pytest.raises(KeyError, match="id, text"):
        documents(["a"]).column("txet")
    with pytest.raises(ValueError, match="expected 1"):
        documents(["a"]).with_columns({"x": np.zeros(2)})


@pytest.mark.parametrize(("name", "others"), [("documents", {}), ("stage", {"InWindows": "windows"})])
def test_the_addresses_for_plugins_give_what_the_contract_defines(name: str, others: dict[str, str]) -> None:
    address = import_module(f"corpusmill.pipelines.{name}")
    for each in address.__all__:
        defined = import_module(f"corpusmill.pipelines.contract.{others.get(each, name)}")
        assert getattr(address, each) is getattr(defined, each)
