"""A text has the same scores whether LF, CR LF, CR, NEL, U+2028 or U+2029 ends its lines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from corpusmill.filters.c4 import C4
from corpusmill.filters.code_origin import CodeOrigin
from corpusmill.filters.code_quality import CodeQuality
from corpusmill.filters.fineweb_quality import FinewebQuality
from corpusmill.filters.gopher_quality import GopherQuality
from corpusmill.filters.gopher_repetition import GopherRepetition
from corpusmill.filters.language import Language
from corpusmill.filters.math_score import MathScore
from corpusmill.pipelines.contract.stage import Filter, Map
from corpusmill.pipelines.text.bounds import bounds_of
from tests.oracles.filters_documents import TEXTS, documents

STAGES = [
    C4(terminal=False, min_sentences=None), CodeOrigin(), CodeQuality(), FinewebQuality(), GopherQuality(),
    GopherRepetition(), Language(), MathScore(),
]  # fmt: skip
ENDS = ("\r\n", "\r", "\x85", "\u2028", "\u2029")
PROSE = "The keeper wrote down the weather.\nA ship passed at noon!\n\nThe keeper wrote down the weather.\n"


def scores(stage: Map, text: str) -> dict[str, object]:
    outcome = stage.apply(documents([text], path=["a.py"]))
    table = outcome.documents.table.drop_columns(["text"] if isinstance(stage, Filter) else [])
    return {"reasons": outcome.reasons.to_pylist(), **table.to_pydict()}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
@settings(max_examples=40)
@given(text=TEXTS)
def test_scores_do_not_depend_on_the_line_end(stage: Map, text: str) -> None:
    text = text.replace("\r", "")
    expected = scores(stage, text)
    for end in ENDS:
        ended = text.replace("\n", end)
        found = scores(stage, ended)
        if expected["reasons"] != [None] and not isinstance(stage, Filter):
            expected["text"] = found["text"] = None  # an edit that removes a document leaves its text alone
        assert found == expected


def test_fineweb_counts_lines_that_crlf_ends_as_terminated() -> None:
    terminated = [
        scores(FinewebQuality(), PROSE.replace("\n", end))["fineweb_quality.terminated_lines"]
        for end in ("\n", *ENDS)
    ]
    assert terminated == [[1.0]] * 6


@pytest.mark.parametrize("end", ENDS)
def test_gopher_repetition_counts_lines_and_paragraphs_whatever_ends_them(end: str) -> None:
    text = "One line stands here.\nOne line stands here.\n\nOther words.\n\nOther words."
    for score, expected in (("duplicate_lines", 0.5), ("duplicate_paragraphs", 1 / 3)):
        found = scores(GopherRepetition(), text.replace("\n", end))
        assert found[f"gopher_repetition.{score}"] == [pytest.approx(expected)]


@pytest.mark.parametrize(
    "text", ["\x85", "a\u2028", "\u2029\u2029", "Â…â€¨", "\x85\r\n\u2028x", "\u2027\u202a\x84"]
)
def test_line_ends_at_the_edges_of_a_text(text: str) -> None:
    """Also of texts that end where the next one begins."""
    docs = documents(["é", text, "", text, "…"])
    together = FinewebQuality().apply(docs).documents.table.select(["fineweb_quality.line_breaks_per_word"])
    feeds = sum(text.replace("\r\n", "\n").count(end) for end in ("\n", *ENDS[1:]))
    found = bounds_of(docs).texts
    pieces = [bytes(found.data[a:b]) for a, b in zip(found.starts, found.ends, strict=True)]
    assert [piece.count(b"\n") for piece in pieces] == [0, feeds, 0, feeds, 0]
    alone = FinewebQuality().apply(documents([text])).documents.table
    assert together.column(0)[1] == together.column(0)[3] == alone.column(together.column_names[0])[0]


@pytest.mark.parametrize("stage", STAGES[1:], ids=lambda stage: stage.name)
def test_a_filter_changes_no_byte_of_the_text(stage: Map) -> None:
    text = PROSE.replace("\n", "\r\n")
    assert stage.apply(documents([text])).documents.text.to_pylist() == [text]
