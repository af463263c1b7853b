"""`expression`, `regular_expression` and `listed`: what they keep, and what they say of bad options."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.filters.expression import Expression
from corpusmill.filters.gopher_quality import GopherQuality
from corpusmill.filters.listed import Listed
from corpusmill.filters.regular_expression import RegularExpression
from corpusmill.filters.rules.expressions import Expression as Parsed
from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import DataError, UserError
from corpusmill.pipelines.contract.stage import Filter
from tests.oracles.filters_documents import check_split_law, documents

META = ['{"stars": 5}', "{}", '{"stars": "x", "fork": true}']


def table(texts: list[str | None]) -> Documents:
    docs = documents(texts, ["en", None, "de"][: len(texts)])
    return docs.with_columns(
        {
            "a.words": pa.array([10, 0, None][: len(texts)], pa.int64()),
            "meta": pa.array(META[: len(texts)], pa.string()),
        }
    )


def reasons(stage: Filter, docs: Documents) -> list[str | None]:
    found: list[str | None] = stage.apply(docs).reasons.to_pylist()
    return found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("length(text) > 2", [True, False, None]),
        ("bytes(text) == 5 or a.words == 0", [True, True, None]),
        ("not lang == 'en'", [False, None, True]),
        ('lang in ["de", "fr"]', [False, None, True]),
        ('lang not in ("de", "fr")', [True, None, False]),
        ("is_null(lang)", [False, True, False]),
        ("number('2.5') > 2 and number(true) == 1", [True, True, True]),
        ("0 < a.words <= 10", [True, False, None]),
        ("coalesce(a.words, 0) / 4 >= 2.5", [True, False, False]),
        ("-a.words + 2 * 3 < 0", [True, False, None]),
        ("number(meta('stars')) >= 5", [True, None, None]),
        ("meta('fork') == 'true'", [None, None, True]),
        (r'matches(text, "^[a-z]+\\w$") and true', [False, False, None]),
        ("contains(lower(text), 'é') and starts_with(text, 'c')", [True, False, None]),
        ("greatest(count(text, 'x'), a.words) == least(2, 1) or false", [False, True, False]),
    ],
)
def test_values(text: str, values: list[bool | None]) -> None:
    assert Parsed(text).over(table(["café", "x", None])).to_pylist()[:2] == values[:2]


def test_the_first_condition_that_fails_is_the_reason_and_null_keeps() -> None:
    stage = Expression(keep={"short": "length(text) >= 2", "few_words": "a.words > 5"})
    assert reasons(stage, table(["café", "x", None])) == [None, "short", None]
    stage = Expression(keep={"few_words": "coalesce(a.words, 0) > 5"})
    assert reasons(stage, table(["café", "xx", None])) == [None, "few_words", "few_words"]
    outcome = stage.apply(table(["café"]))
    assert outcome.documents.column("expression.few_words").to_pylist() == [True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("length(text) >", "is no expression at character"),
        ("__import__('os')", "there are the functions length"),
        ("text.__class__()", "there are the functions length"),
        ("[t for t in text]", "there are comparisons"),
        ("text[0] == 'a'", "there are comparisons"),
        ("lambda: 1", "there are comparisons"),
        ("lang is null", "use == instead"),
        ("length(text, 2) > 1", "length takes 1 argument"),
        ("contains(text, lang)", "is a text in quotes"),
        ("matches(text, '(?=a)')", "no regular expression of RE2"),
        ("lang in text", "write a list of values"),
        ("lang in [text]", "write numbers or texts"),
        ("text == b'x'", "write a number, a text"),
        ("length(text=1)", "without named arguments"),
        ("2 ** 9 > 1", "there are comparisons"),
        ("(" * 500, "is no expression"),
        ("a" * 3000, "write at most 2,000"),
        ("-" * 1900 + "1 > 0", "is nested too deeply"),
        ("length(text) > 9223372036854775808", "whole numbers go to 9223372036854775807"),
        (r"text == '\ud800'", "half of a surrogate pair"),
        ("lang == null", r"write is_null\(x\)"),
        ("1 < a.words != null", r"write is_null\(x\)"),
    ],
)
def test_what_is_not_of_the_grammar_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Expression(keep={"x": text})


def test_faults_that_only_columns_tell() -> None:
    with pytest.raises(UserError, match=r"keep\.x: no column `words`; there are .*text"):
        Expression(keep={"x": "words > 1"}).apply(table(["a"]))
    with pytest.raises(UserError, match=r"`lang \+ 1` cannot be computed"):
        Expression(keep={"x": "lang + 1"}).apply(table(["a"]))
    with pytest.raises(UserError, match="cannot be computed: overflow"):
        Expression(keep={"x": "a.words + 9223372036854775807 > 0"}).apply(table(["a"]))
    with pytest.raises(UserError, match="is int32, not true or false; compare it"):
        Expression(keep={"x": "length(lang)"}).apply(table(["a"]))
    stage = Expression(keep={"x": "gopher_quality.words > 1"})
    stage.warm()  # asked before there is any document, or any column of other steps
    RegularExpression(patterns={"x": "a"}, column="title").warm()
    words = "no step `gopher_quality` stands before this one, whose score is `gopher_quality.words`"
    assert stage.conflicts([]) == [("keep", f"{words}; put it before")]
    assert stage.conflicts([GopherQuality()]) == []
    for name in ("", "Bad name", "9x"):
        with pytest.raises(ValidationError):
            Expression(keep={name: "true"})


@given(st.lists(st.text("abé1 \n", max_size=6) | st.none(), max_size=8), st.integers(0, 8))
def test_rows_are_independent(texts: list[str | None], cut: int) -> None:
    for stage in (
        Expression(keep={"a": "length(text) > 2 and not contains(text, 'b')", "b": "lang == 'en'"}),
        RegularExpression(patterns={"digit": "[0-9]", "words": r"(?s)a.*b"}),
    ):
        check_split_law(stage, texts, min(cut, len(texts)))


@given(st.text("ab1\n", max_size=12))
def test_patterns_match_as_re_does(text: str) -> None:
    stage = RegularExpression(patterns={"x": "(?m)^a$|b+1", "y": "1.1"})
    outcome = stage.apply(documents([text]))
    x, y = bool(re.search(r"(?m)^a$|b+1", text)), bool(re.search("1.1", text))
    assert outcome.documents.column("regular_expression.x").to_pylist() == [x]
    assert outcome.reasons.to_pylist() == ["x" if x else "y" if y else None]


def test_patterns_of_other_columns_and_bad_ones() -> None:
    docs = documents(["a", "b", None], path=["x.py", None, "y.js"])
    assert reasons(RegularExpression(patterns={"py": r"\.py$"}, column="path"), docs) == ["py", None, None]
    only = RegularExpression(patterns={"not_py": r"\.py$"}, column="path", remove="other")
    assert reasons(only, docs) == [None, "not_py", "not_py"]
    with pytest.raises(UserError, match="no column `title`; there are id, text"):
        RegularExpression(patterns={"x": "a"}, column="title").apply(docs)
    with pytest.raises(ValidationError, match="no regular expression of RE2"):
        RegularExpression(patterns={"x": "(a"})
    hostile = "a" * 100_000
    assert reasons(RegularExpression(patterns={"x": "(a*)*(a*)*b"}), documents([hostile])) == [None]


def test_lists(tmp_path: Path) -> None:
    plain, lines = tmp_path / "l.txt", tmp_path / "l.jsonl"
    plain.write_bytes("\ufeff# repositories\r\nOwner/One \r\n\nzwei\n".encode())
    lines.write_text('{"repo": "Owner/One"}\n\n{"repo": "# x"}\n')
    docs = documents(["", "", "", ""], path=["Owner/One", " zwei", "owner/one", None])
    ready = Listed(file=plain, column="path").prepare(Context())
    assert reasons(ready, docs) == ["listed", "listed", None, None]
    ready = Listed(file=plain, column="path", ignore_case=True, remove="unlisted").prepare(Context())
    assert reasons(ready, docs) == [None, None, None, "unlisted"]
    ready = Listed(file=lines, column="path", field="repo").prepare(Context())
    assert reasons(ready, docs) == ["listed", None, None, None]
    assert ready.external_files() == (lines,)  # its content is part of the fingerprint


def test_a_value_is_listed_whatever_its_lower_case_is(tmp_path: Path) -> None:
    """Lower cases of these depend on who makes them, or on their place in a word."""
    values = ["İstanbul", "ΟΔΟΣ", "Straße"]
    (tmp_path / "l").write_text("\n".join(values), "utf-8")
    ready = Listed(file=tmp_path / "l", column="path", ignore_case=True).prepare(Context())
    docs = documents([""] * 3, path=values)
    assert reasons(ready, docs) == ["listed"] * 3


@pytest.mark.parametrize(
    ("content", "field", "said"),
    [
        (b"a\n\xff\n", None, r"l:2: listed cannot read the line"),
        (b"# nothing\n", None, "finds no value in it"),
        (b'{"a": 1}\n', "a", r"l:1: .* its field `a` is no text"),
        (b"[1]\n", "a", r"l:1: .* its field `a` is no text"),
        (b'{"a"\n', "a", r"l:1: listed cannot read the line"),
    ],
)
def test_bad_lists_are_told(tmp_path: Path, content: bytes, field: str | None, said: str) -> None:
    (tmp_path / "l").write_bytes(content)
    with pytest.raises(DataError, match=said):
        Listed(file=tmp_path / "l", column="url", field=field).prepare(Context())


def test_lists_of_columns_that_hold_no_text(tmp_path: Path) -> None:
    (tmp_path / "l").write_text("a\n")
    for column, said in (("title", "no column `title`"), ("a.words", "is int64, not text")):
        with pytest.raises(UserError, match=said):
            Listed(file=tmp_path / "l", column=column).prepare(Context()).apply(table(["x"]))
