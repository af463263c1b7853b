# ruff: noqa: E501 - pages
"""What a browser shows of a page and a parser keeps out of its tree: shadow trees, frames, readings."""

from __future__ import annotations

import pytest

from corpusmill.pipelines.extraction.inner_pages import with_inner_pages
from tests.pipelines.extraction.test_own_extraction import text_of


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (
            "<x-card><template shadowrootmode='open'><style>p{}</style><p>The <b>light</b></p><slot></slot>"
            "<template><p>no</p></template></template><p>and you</p></x-card><template><p>no</p></template>",
            "The light\n\nand you",
        ),
        ("<template shadowrootmode=closed><p>The light</p>", "The light"),
        (
            "<p>A</p><iframe src=x srcdoc=\"<!doctype html><html><body class='a'><p>B &amp;lt; &quot;C&quot;</p>"
            "</body></html>\">no</iframe><p>D</p>",
            'A\n\nB < "C"\n\nD',
        ),
        ("<p>A</p><iframe srcdoc='<p>B</p>'></iframe><iframe title='>' src=y></iframe>", "A\n\nB"),
        ("<noscript><iframe src=x></noscript><p>A</p><iframe src=y></iframe><p>B</p>", "A\n\nB"),
        ("<p>A</p><IFRAME src='>' /><p>B</p><iframe src=x><p>C</p><iframe>no</iframe><p>D</p>", "A\n\nB\n\nC\n\nD"),
        ("<p>A</p><iframe src=x><p>B</p>", "A\n\nB"),
        ("<p>shadowroot srcdoc=</p>", "shadowroot srcdoc="),
        ("<p><ruby>漢字<rt>かんじ</rt></ruby>を</p>", "漢字(かんじ)を"),
        ("<p><ruby><rb>東<rb>京<rt>とう<rt>きょう</ruby>へ</p>", "東京(とうきょう)へ"),
        ("<p><ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby></p>", "漢(かん)字(じ)"),
        ("<p><ruby>漢<rp>[</rp><rt>かん</rt><rp>]</rp></ruby><ruby>x<rt></rt></ruby></p>", "漢[かん]x"),
        ("<p><ruby>漢<rt><b>han</b></rt><rtc>Han</rtc></ruby></p>", "漢(han)(Han)"),
    ],
)  # fmt: skip
def test_it_stands_where_it_is_shown(page: str, text: str) -> None:
    assert text_of(f"<html><body>{page}</body></html>", main_content=False) == text


def test_no_page_is_changed_without_them() -> None:
    page = "<template><p>x</p></template><iframe src=x></iframe>"
    assert with_inner_pages(page, page.encode()) is page


def test_very_many_and_unclosed_ones() -> None:
    for piece in (
        "<template shadowroot=",
        "<iframe srcdoc='",
        "<iframe>",
        "<iframe '",
        "<iframe ",
        "<iframe srcdoc=\"'",
        " srcdoc=<iframe ",
    ):
        page = piece * 50_000
        assert len(with_inner_pages(page, page.encode())) >= len(page) - 50_000
    page = "<iframe srcdoc='x'>" * 100
    assert with_inner_pages(page, page.encode()).count("<div>x</div>") == 32
