"""Large documents, read in parts: every filter says of them what it says of them as ordinary ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from corpusmill.filters.c4 import C4
from corpusmill.filters.fineweb_quality import FinewebQuality
from corpusmill.filters.gopher_quality import GopherQuality
from corpusmill.filters.gopher_repetition import GopherRepetition
from corpusmill.filters.kernels import large_ngrams
from corpusmill.filters.math_score import MathScore
from corpusmill.pipelines.contract.stage import Map
from corpusmill.pipelines.text import bounds, large_texts
from tests.oracles import filters_gopher as oracle
from tests.oracles.filters_documents import TEXTS, documents

LANGUAGES = ["en", "zh", None]
STAGES: list[Map] = [
    GopherQuality(),
    GopherQuality(by_language={}, stop_words=("a", "b")),
    GopherRepetition(),
    GopherRepetition(max_top_ngrams={1: 0.5, 2: 0.2, 7: 0.1}, max_duplicate_ngrams={1: 0.9, 3: 0.5, 32: 0.1}),
    FinewebQuality(),
    C4(languages=None, min_sentences=None),
    C4(languages=None, min_sentences=1, min_words_per_line=None, terminal=False),
    C4(languages=("en", "zh"), curly_bracket=False),
    MathScore(),
]
PIECES = [
    "a",
    "b",
    "ab",
    "c.",
    "of the",
    "中",
    "\n",
    "\n\n",
    "\r\n",
    "\x0b",
    "[1].",
    "{",
    "...\n",
    "- ",
    "lorem ipsum.",
    "\\frac",
    "$x$",
    "定理",
    "a" * 300,
    "theorem",
]
REPEATED = st.lists(st.sampled_from(PIECES), max_size=150).map(" ".join)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of over 12 bytes are large, and parts are of a few words and lines."""
    monkeypatch.setattr(bounds, "LARGE", 12)
    monkeypatch.setattr(large_texts, "WORDS", 7)
    monkeypatch.setattr(large_texts, "LINES", 3)


def said(stage: Map, texts: list[str | None]) -> list[Any]:
    languages = [LANGUAGES[i % 3] for i in range(len(texts))]
    outcome = stage.apply(documents(texts, lang=languages))
    return [outcome.documents.table.to_pylist(), outcome.reasons.to_pylist()]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.none() | TEXTS | REPEATED, min_size=1, max_size=4))
@example(texts=["\n" * 40, " " * 40, "one line without an end", None, "\n\na\n\nb\n\na\n\n\n", "a\n" * 30])
def test_filters_say_the_same_of_them(small_parts: None, texts: list[str | None]) -> None:
    in_parts = [said(stage, texts) for stage in STAGES]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "LARGE", 1 << 40)
        assert in_parts == [said(stage, texts) for stage in STAGES]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS | REPEATED)
def test_repetition_oracle(small_parts: None, text: str) -> None:
    stage = GopherRepetition(by_language={})
    columns = stage.score(documents([text]))
    values = {name: columns[name][0].as_py() for name in columns if name != "limits"}
    assert values == oracle.gopher_repetition(text, (2, 3, 4), (5, 6, 7, 8, 9, 10))


def test_bounds_go_with_rows(small_parts: None) -> None:
    docs = documents(["a short one", "a text that is large\nin two lines", "another that is large", "b"])
    bounds_of = bounds.bounds_of(docs)
    assert [text.row for text in bounds_of.large] == [1, 2]
    assert bounds_of.token_counts().tolist() == [3, 8, 4, 1]
    assert bounds_of.word_counts().tolist() == [3, 8, 4, 1]
    rest = bounds.bounds_of(docs.keep(np.array([False, False, True, True])))
    assert [text.row for text in rest.large] == [0]
    assert rest.token_counts().tolist() == [4, 1]
    assert rest.ordinary.words.hashes is bounds_of.ordinary.words.hashes


@pytest.mark.parametrize("distinct", [1, 3, 50_000])
def test_ngrams_in_many_bins(monkeypatch: pytest.MonkeyPatch, distinct: int) -> None:
    """With room for few n-grams at a time, and one bin larger than that where nearly all are equal."""
    words = np.random.default_rng(1).integers(0, distinct, 60_000)
    text = " ".join(f"w{number}" for number in words)
    stage = GopherRepetition(by_language={})
    ordinary = said(stage, [text])
    monkeypatch.setattr(bounds, "LARGE", 1000)
    monkeypatch.setattr(large_texts, "WORDS", 1000)
    monkeypatch.setattr(large_ngrams, "AT_ONCE", 100)
    assert said(stage, [text]) == ordinary


def test_memory_does_not_grow_with_lines_and_words() -> None:
    """A million blank lines take no room for a million lines."""
    import tracemalloc

    docs = documents(["\n" * (large_texts.LARGE + 1)])
    for stage in (GopherQuality(), FinewebQuality(), GopherRepetition()):
        stage.apply(documents(["\n" * 100]))
        tracemalloc.start()
        stage.apply(docs.forget())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 3 * large_texts.LARGE, stage.name
