"""A text has the same scores whether LF, CR LF or CR ends its lines."""

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
from tests.oracles.filters_documents import TEXTS, documents

STAGES = [
    C4(terminal=False, min_sentences=None), CodeOrigin(), CodeQuality(), FinewebQuality(), GopherQuality(),
    GopherRepetition(), Language(), MathScore(),
]  # fmt: skip
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
    for end in ("\r\n", "\r"):
        ended = text.replace("\n", end)
        found = scores(stage, ended)
        if expected["reasons"] != [None] and not isinstance(stage, Filter):
            expected["text"] = found["text"] = None  # an edit that removes a document leaves its text alone
        assert found == expected


def test_fineweb_counts_lines_that_crlf_ends_as_terminated() -> None:
    terminated = [
        scores(FinewebQuality(), PROSE.replace("\n", end))["fineweb_quality.terminated_lines"]
        for end in ("\n", "\r\n", "\r")
    ]
    assert terminated == [[1.0]] * 3


@pytest.mark.parametrize("stage", STAGES[1:], ids=lambda stage: stage.name)
def test_a_filter_changes_no_byte_of_the_text(stage: Map) -> None:
    text = PROSE.replace("\n", "\r\n")
    assert stage.apply(documents([text])).documents.text.to_pylist() == [text]
