"""Expressions on pages: equal to their plain definitions on any text, and linear on crafted ones.

The plain definitions take time quadratic in crafted runs; the megabytes below would take them hours.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from corpusmill.pipelines.extraction import decode as decoding
from corpusmill.pipelines.extraction import media_type as media_type_module
from corpusmill.pipelines.extraction.decode import decode
from corpusmill.pipelines.extraction.formulas import Formulas, _spoken, _without_cdata, clean_tex
from corpusmill.pipelines.extraction.main_text import extract_page
from corpusmill.pipelines.extraction.options import Extraction

MEGABYTE = 1_000_000
PLAIN = Extraction("resiliparse")


def texts(*parts: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(parts), max_size=30).map("".join)


@settings(deadline=None, max_examples=300)
@given(texts("%", "\\", "\n", " ", "\t", "a", "\x85"))
def test_comments_of_tex(tex: str) -> None:
    plain = re.sub(r"\s+", " ", re.sub(r"(?<!\\)%[^\n]*\n\s*", "", tex)).strip()
    assert clean_tex(tex)[0] == plain


@settings(deadline=None, max_examples=300)
@given(texts("%", " ", "\n", "\xa0", "<![CDATA[", "]]>", "]", "x"))
def test_cdata_marks(text: str) -> None:
    assert _without_cdata(text) == re.sub(r"%?\s*<!\[CDATA\[|%?\s*\]\]>", "", text)


@settings(deadline=None, max_examples=300)
@given(texts("a", "é", " ", "\n", "1", "_", "abc"))
def test_spoken_words(text: str) -> None:
    plain = re.search(r"\s[^\W\d_]{3,}|[^\W\d_]{3,}\s", text) is not None and "_" not in text
    assert _spoken(text) == plain


@settings(deadline=None, max_examples=300)
@given(texts("charset", "CHARSET", "=", " ", "\t", '"', "'", "utf-8", "x", ";"))
def test_charset_of_a_header(text: str) -> None:
    found = media_type_module._CHARSET.search(text)
    plain = re.search(r"charset\s*=\s*[\"']?\s*([\w.:+-]+)", text, re.IGNORECASE)
    assert (found and found[1]) == (plain and plain[1])


@settings(deadline=None, max_examples=300)
@given(texts('"', "\\", ",", "a", "\n", '\\"'))
def test_quoted_parts_of_a_header(text: str) -> None:
    plain = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|,', re.DOTALL)
    assert media_type_module._QUOTED_OR_COMMA.findall(text) == plain.findall(text)


@settings(deadline=None, max_examples=300)
@given(texts("<meta", "<META", " charset", "=", " ", '"', "'", "utf-8", ">", "x" * 99, "x"))
def test_charset_of_a_meta_tag(text: str) -> None:
    found = decoding._meta_charset(text.encode())
    plain = re.search(rb"<meta[^>]{0,400}?charset\s*=\s*[\"']?\s*([\w.:+-]+)", text.encode(), re.IGNORECASE)
    assert (found and found[1]) == (plain and plain[1])


@settings(deadline=None, max_examples=300)
@given(texts("texformula0nf0z", "texformula0nf1z", "texformula0nf7z", "texformula0nb0z", " ", "\t", "z", "x"))
def test_words_put_back(line: str) -> None:
    formulas = Formulas("")
    formulas._formulas, formulas._blocks = ["$a$", "$$b$$"], ["code"]
    word = re.compile(r"texformula0n([fb])(\d+)z")

    def put_back(match: re.Match[str]) -> str:
        held = formulas._formulas if match[1] == "f" else formulas._blocks
        if int(match[2]) >= len(held):
            return match[0]
        before = match.string[: match.start()]
        start = before.rfind("texformula0n")
        follows = start >= 0 and word.fullmatch(before, start) is not None
        display = held[int(match[2])].startswith("$$")
        apart = match[1] == "f" and (follows or (display and before[-1:].isalnum()))
        rest = match.string[match.end() :]
        glued = display and rest[:1].isalnum() and not rest.startswith("texformula0n")
        return " " * apart + held[int(match[2])] + " " * glued

    plain = line
    if "\t" in line and "texformula0nf" in line:
        plain = re.sub(r"[ \t]*\t[ \t]*", "\t", line).strip()
    assert formulas.restore(line) == word.sub(put_back, plain)


@pytest.mark.parametrize("tex", ["%" * MEGABYTE, "\\%" * MEGABYTE, " " * MEGABYTE + "x", "% \n" * 300_000])
def test_crafted_tex(tex: str) -> None:
    cleaned, display = clean_tex(tex)
    assert cleaned == " ".join(tex.split()) if "\n" not in tex else not cleaned
    assert not display


def test_crafted_cdata_and_alternative_texts() -> None:
    assert _without_cdata(" " * MEGABYTE + "x") == " " * MEGABYTE + "x"
    assert _without_cdata((" " * 100 + "]]>") * 10_000) == ""
    assert not _spoken("a" * MEGABYTE)
    assert _spoken("a" * MEGABYTE + " b")


def test_a_page_that_holds_the_words_of_formulas() -> None:
    """The word is the smallest number not in the page: here 50,000, found in one pass."""
    html = " ".join(f"texformula{n}n" for n in reversed(range(50_000)))
    formulas = Formulas(html)
    assert formulas._formula("x", False) == "texformula50000nf0z"
    # A page may still spell a word by character references, with any number.
    assert (
        formulas.restore("texformula50000nf" + "9" * 10_000 + "z") == "texformula50000nf" + "9" * 10_000 + "z"
    )


def test_very_many_formulas_on_one_line() -> None:
    html = "<p>Words before the formulas " + "<math alttext='x_1'><mi>x</mi></math>" * 20_000 + "</p>"
    text = extract_page(html, HTMLTree.parse(html), PLAIN).text
    assert text.count("$x_1$") == 20_000
    assert text.endswith("$x_1$ $x_1$")


def test_blanks_beside_a_formula() -> None:
    formulas = Formulas("")
    word = formulas._formula("x", False)
    assert formulas.restore(" " * MEGABYTE + "a\t" + word) == "a\t$x$"
    assert len(formulas.restore("a" + " " * MEGABYTE + "b\t\t " + word)) == MEGABYTE + 6


def test_a_header_of_blanks() -> None:
    for header in ("charset=" + " " * MEGABYTE + ";", "charset" * 150_000, "charset='" + " " * MEGABYTE):
        assert decode(b"plain", header, 0.05) == ("plain", "utf-8")
    raw = b"<meta charset=" + b" " * 4000 + b";"
    assert decode(raw, None, 0.05)[1] == "utf-8"


@pytest.mark.parametrize(
    "piece", [b"~{", b"~{!!", b"+", b"a+", b"+AbC", b"\xc3\x82", b"\xc3", b"<iframe '", b"a-"]
)
def test_crafted_shifts_and_sequences(piece: bytes) -> None:
    raw = piece * (MEGABYTE // len(piece))
    text, codec = decode(raw, None, 1.0)
    assert codec == "utf-8"
    assert text.encode() == raw or piece[0] == 0xC3
