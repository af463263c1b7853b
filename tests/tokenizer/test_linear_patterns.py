"""Expressions on texts and entries of vocabularies: as before on any text, in linear time on crafted ones."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.tokenizer.evaluation.suspicious import trace_of
from corpusmill.tokenizer.export.one_pattern import _READ_OTHERWISE
from corpusmill.tokenizer.pieces.training import training_items

MEGABYTE = 1_000_000


def texts(*parts: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(parts), max_size=30).map("".join)


@settings(deadline=None, max_examples=100)
@given(texts("\r", "\n", "\0", "\u2581", "\u2585", "a", "b c"))
def test_training_items(text: str) -> None:
    plain = re.findall("[\r\n]*[^\r\n\0\u2581\u2585]+", text)
    assert list(training_items(pa.array([text], pa.large_string()), 1000)) == plain


@settings(deadline=None, max_examples=100)
@given(texts("{", "}", "+", ",", "1", "23", "a"))
def test_possessive_bounds(text: str) -> None:
    plain = re.compile(
        r"\$|(?<!\[)\^|\\[ABGHKRWXYZbghkwxy]|\[\[?:|\{\d*,?\d*\}\+|\(\?[a-z]*[mxs]|\\[1-9]|(?<!\\)\."
    )
    assert [m.span() for m in _READ_OTHERWISE.finditer(text)] == [m.span() for m in plain.finditer(text)]


def test_crafted_texts_and_expressions() -> None:
    for text in ("\n" * MEGABYTE + "\0", "\n\n\0" * (MEGABYTE // 3)):
        assert list(training_items(pa.array([text], pa.large_string()), 1000)) == []
    assert _READ_OTHERWISE.search("a{" + "1" * MEGABYTE) is None


@pytest.mark.parametrize("unit", ["a", "a-", "12 ", "aB1", "a.", "(12)", "1.", "f"])
def test_traces_in_very_long_entries(unit: str) -> None:
    assert trace_of(unit * MEGABYTE) == trace_of(unit * 1000)
    assert trace_of("x " * 300 + "me@example.com") is None  # beyond what is looked at
    assert trace_of("x " * 100 + "me@example.com") == "e-mail"
