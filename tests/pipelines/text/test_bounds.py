"""Bounds go with a batch: found once, kept with the rows, dropped with the text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.filters.c4 import C4
from corpusmill.filters.fineweb_quality import FinewebQuality
from corpusmill.filters.gopher_quality import GopherQuality
from corpusmill.filters.gopher_repetition import GopherRepetition
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.text.bounds import TextBounds, bounds_of
from tests.oracles.filters_documents import TEXTS, documents


def found(bounds: TextBounds) -> list[Any]:
    """All that is known of each text, without where it lies in memory."""
    texts, words, lines = bounds.texts, bounds.words, bounds.lines
    rows = []
    for i, start in enumerate(texts.starts):
        tokens = slice(words.firsts[i], words.lasts[i])
        cut = slice(lines.firsts[i], lines.lasts[i])
        rows.append(
            [
                texts.data[start : texts.ends[i]].tobytes(),
                words.hashes[tokens].tolist(),
                words.characters[tokens].tolist(),
                words.flags[tokens].tolist(),
                (words.stops[tokens] - start).tolist(),
                (lines.starts[cut] - start).tolist(),
                (lines.stops[cut] - start).tolist(),
                lines.characters[cut].tolist(),
                lines.keys[cut].tolist(),
                lines.flags[cut].tolist(),
            ]
        )
    return rows


@given(
    st.lists(st.none() | TEXTS, max_size=5),
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.integers(0, 5),
)
def test_bounds_of_rows_are_those_of_the_rows_alone(
    texts: list[str | None], mask: list[bool], cut: int
) -> None:
    kept = np.array(mask[: len(texts)], np.bool_)
    for asked_before in (True, False):
        docs = documents(texts)
        if asked_before:
            found(bounds_of(docs))
        some = docs.keep(kept)
        assert found(bounds_of(some)) == found(bounds_of(documents(some.text.to_pylist())))
        rest = docs.slice(cut, 2)
        assert found(bounds_of(rest)) == found(bounds_of(documents(rest.text.to_pylist())))


def test_they_are_found_once_and_shared() -> None:
    docs = documents(["one two", "three"])
    bounds = bounds_of(docs)
    assert bounds_of(docs) is bounds
    assert bounds_of(docs.with_columns({"lang": pa.array(["en", "de"])}).drop("url")) is bounds
    assert bounds_of(docs.slice(0, 2)) is bounds
    words = bounds.words
    assert bounds_of(docs.keep(np.array([False, True]))).words.hashes is words.hashes


def test_they_go_with_the_text() -> None:
    docs = documents(["one two", "three"])
    assert bounds_of(docs).word_counts().tolist() == [2, 1]
    changed = docs.with_columns({"text": pa.array(["a b c", ""], pa.large_string())})
    assert bounds_of(changed).word_counts().tolist() == [3, 0]
    assert bounds_of(docs.forget()) is not bounds_of(docs)


@given(st.lists(TEXTS, max_size=5))
def test_a_chain_says_what_its_filters_say_alone(texts: list[str]) -> None:
    chain = (FinewebQuality(), GopherQuality(), GopherRepetition(), C4(min_sentences=None), GopherQuality())
    docs = documents(texts)
    for stage in chain:
        alone = stage.apply(Documents(docs.table))
        together = stage.apply(docs)
        assert together.documents.table.equals(alone.documents.table)
        assert together.reasons.equals(alone.reasons)
        keep = np.array([i % 3 != 1 for i in range(len(docs))], np.bool_)
        docs = together.documents.keep(keep)
