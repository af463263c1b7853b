"""The screen leans high but not absurdly, and never misses what later steps look for."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from corpusmill.pipelines.extraction.kernels.bounds import depth_exceeds, plain_names, screen, signs
from corpusmill.pipelines.extraction.main_text import SIGNS, extract_page
from corpusmill.pipelines.extraction.options import Extraction
from corpusmill.pipelines.sources.extract import Extract

NAMES = st.sampled_from(["div", "p", "b", "span", "ul", "li", "table", "tr", "td", "br", "img"])


def run(html: str, max_depth: int = 200) -> tuple[int, int, int]:
    data = np.frombuffer(html.encode(), np.uint8)
    depth, attributes, seen, *_ = screen(data, max_depth, *signs(SIGNS), np.zeros(0, np.uint8))
    return int(depth), int(attributes), int(seen)


class Oracle(HTMLParser):
    """Slow and plain: depth of well-formed markup, and the most attributes of one tag."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = self.deepest = self.most = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.most = max(self.most, len(attrs))
        if tag not in ("br", "img"):
            self.depth += 1
            self.deepest = max(self.deepest, self.depth)

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1


def element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    attributes = st.lists(st.sampled_from(['a="1 > 2"', "b='<i>'", "c=d", "e"]), max_size=3).map(" ".join)
    name = st.sampled_from(["div", "b", "span", "section"])
    return st.builds(
        lambda n, a, i: f"<{n} {a}>{''.join(i)}</{n}>", name, attributes, st.lists(inner, max_size=3)
    )


WELL_FORMED = st.recursive(
    st.sampled_from(["text", "<br>", "<img alt='x'>", "<!-- <div> -->", "1 < 2"]), element
)


@settings(deadline=None)
@given(WELL_FORMED)
def test_agrees_with_the_oracle_on_well_formed_markup(html: str) -> None:
    oracle = Oracle()
    oracle.feed(html)
    oracle.close()
    assert run(html)[:2] == (oracle.deepest, oracle.most)


@pytest.mark.parametrize(
    ("html", "depth"),
    [
        ("<ul>" + "<li>item" * 500 + "</ul>", 2),
        ("<body>" + "<p>text" * 500, 2),
        ("<table>" + "<tr><td>a<td>b" * 500 + "</table>", 3),
        ("<script>" + "if (a<b) '<div>';" * 500 + "</script><div>", 1),
        ("<svg>" + "<path d='x'/>" * 500 + "</svg>", 1),
        ("<div></x>" * 150, 150),
    ],
)
def test_omitted_end_tags_do_not_pile_up(html: str, depth: int) -> None:
    assert run(html)[0] == depth


def test_stops_at_the_bound_and_the_tree_decides() -> None:
    html = "<body>" + "<div>" * 400 + "x"
    assert run(html, 100)[0] == 101
    tree = HTMLTree.parse(html)
    assert depth_exceeds(tree.document, 401)
    assert not depth_exceeds(tree.document, 402)


@settings(deadline=None)
@given(
    st.lists(st.one_of(NAMES.map("<{}>".format), NAMES.map("</{}>".format), st.text(max_size=5))).map("".join)
)
def test_survives_any_soup(html: str) -> None:
    depth, attributes, _ = run(html)
    assert 0 <= depth <= 201
    assert attributes >= 0


@pytest.mark.parametrize(
    "inner",
    [
        '<p>x <math alttext="a"><mi>a</mi></math></p>',
        '<p>x <img class="tex" alt="a"></p>',
        "<p>x <img class=latex alt=a></p>",
        '<p>x <a class="headerlink">¶</a></p>',
        '<TABLE><TR><TD CLASS="linenos">1 2 3</TD><TD>x</TD></TR></TABLE>',
    ],
)
def test_the_mask_saves_time_and_changes_nothing(inner: str) -> None:
    long = "<p>An article of many words that is long enough to be taken as one. " * 12
    html = f"<html><body><article>{long}{inner}</article></body></html>"
    how = Extraction("resiliparse")
    with_mask = extract_page(html, HTMLTree.parse(html), how, run(html)[2])
    assert run(html)[2] != 0
    assert with_mask == extract_page(html, HTMLTree.parse(html), how)


def test_depth_is_found_behind_a_first_child_without_children() -> None:
    tree = HTMLTree.parse("<body>" + "x<div>" * 400 + "x")
    assert depth_exceeds(tree.document, 401)
    assert not depth_exceeds(tree.document, 402)


def reopened(html: str) -> int:
    return int(screen(np.frombuffer(html.encode(), np.uint8), 512, *signs(SIGNS), np.zeros(0, np.uint8))[4])


@pytest.mark.parametrize(
    ("html", "least", "most"),
    [
        ("<p>x <b>y</b> z" * 500, 0, 0),
        ("<div><b><i>x</i></b></div>" * 500, 0, 0),
        ("<table>" + "<tr><td><b>x" * 500, 0, 0),  # a cell forgets what was open in it
        ("<b><i>x</b></i>" * 500, 500, 500),
        ("<b><p>x</b>y</p>" * 500, 500, 500),
        ("<p><b>x</p>" * 10, 45, 55),
        ("<p><a href=x>x" * 500, 0, 0),
        ("<p><span>x" * 500, 0, 0),
        ("<font a>" * 300, 256, 300 * 256),
    ],
)
def test_formatting_elements_that_are_opened_again(html: str, least: int, most: int) -> None:
    assert least <= reopened(html) <= most


def test_implied_ends_pass_over_elements_inside() -> None:
    for html in (
        "<p><span>x" * 500,
        "<ul>" + "<li><span>x" * 500,
        "<a href=x>x" * 500,
        "<p><a href=x>x" * 500,
    ):
        assert run(html)[0] <= 4


MEANT = [
    "<p>",
    "</p>",
    "<b>",
    "</b>",
    "<i class=a>",
    "</i>",
    "<font a=1>",
    "</font>",
    "x",
    " y ",
    "<div>",
    "</div>",
]
MEANT += [
    "<a href=x>",
    "</a>",
    "<code>",
    "</code>",
    "<select>x<option>y<option>z</select>",
    "<option>y</option>",
    "<!-- <b> -->",
    "<<b>p>",
]


def words_before_and_after(inner: str) -> tuple[list[str], list[str]]:
    """The words of a page that holds `inner`, and those of the page under other names."""
    html = f"<html><body><p>Some words begin the page.</p>{inner}</body></html>"
    how = Extraction("resiliparse", main_content=False)
    other = plain_names(html)
    assert len(other) == len(html)
    before, after = (extract_page(text, HTMLTree.parse(text), how).text.split() for text in (html, other))
    return before, after


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(MEANT), max_size=40).map("".join))
def test_other_names_leave_the_text(inner: str) -> None:
    before, after = words_before_and_after(inner)
    assert after == before


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(MEANT), max_size=20).map("".join),
    st.lists(st.sampled_from([*MEANT, "<option>"]), max_size=20).map("".join),
)
@example("", "<b><option><p></b>x")
def test_an_option_left_open_leaves_what_stands_before_it(sound: str, inner: str) -> None:
    expected = "".join(words_before_and_after(sound)[0])
    before, after = words_before_and_after(f"{sound}<option>{inner}")
    assert "".join(before).startswith(expected)
    assert "".join(after).startswith(expected)


def test_what_closes_an_option_left_open_depends_on_names() -> None:
    """By the rules of HTML, a formatting element that ends inside a block closes an option between the two.
    Under another name its end tag is passed over: the option, whose text is not the page's, stays open."""
    before, after = words_before_and_after("<b><option><p></b>x")
    assert before == ["Some", "words", "begin", "the", "page.", "x"]
    assert after == ["Some", "words", "begin", "the", "page."]


def test_only_names_of_formatting_and_lists_change() -> None:
    html = "<B>a</B> <strong id=b>c</strong> <script>'<b>'</script><SELECT><option value='<i>'>d<bb>é"
    expected = "<x>a</x> <xxxxxx id=b>c</xxxxxx> <script>'<b>'</script><button><option value='<i>'>d<bb>é"
    assert plain_names(html) == expected


@pytest.mark.parametrize(
    "inner",
    [
        "".join(f"<p><b a={n}>word " for n in range(20_000)),
        "".join(f"<font a={n}>word <div>word </font></div>" for n in range(10_000)),
        "<p><b><i>word " * 20_000,
        "<select>" + "<option>x" * 40_000 + "</select>word",
        "<span>" * 400 + "".join(f"<p><b a={n}>word " for n in range(20_000)),
    ],
)
def test_formatting_and_options_cost_no_square(inner: str) -> None:
    """Parsed as they stand, the first makes 200 million elements and the options 800 million comparisons."""
    page, _ = Extract()._page(
        f"<html><body><p>Some words begin the page.</p>{inner}".encode(),
        "text/html",
        Extraction("resiliparse", main_content=False),
    )
    assert page is not None
    assert page.text.count("word") == 1 + inner.count("word")


def test_headings_buttons_and_tables_do_not_nest() -> None:
    for html in ("<h1>x" * 500, "<h2>x<h3>" * 500, "<button>x" * 500, "<table>" * 500):
        assert run(html)[0] == 1
    assert run("<h1><span>" * 50)[0] == 100
