"""Pages by our own extractor: nothing is lost for a name, code keeps its form, each loss is told."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.stage import Outcome
from corpusmill.pipelines.sources.extract import Extract

PARAGRAPHS = [
    "The ferry crosses the bay every hour, and the keeper of the light writes down who was on it.",
    "In winter the boats lie on the shore, their hulls are scraped and painted, ropes are spliced.",
    "A second light was built on the far side after the storm of that year, which took the pier.",
    "Visitors may climb the stairs on Sundays, when the lamp is cold and the lenses are cleaned.",
]
BODY = "".join(f"<p>{paragraph}</p>" for paragraph in PARAGRAPHS)
AROUND = (
    '<html lang="en"><head><title>The light</title></head><body>'
    '<nav><a href="/">Home</a> <a href="/a">About</a></nav>'
    '{}<div class="footer"><a href="/i">Imprint</a> <a href="/p">Privacy</a></div></body></html>'
)
ROWS = [
    "def total(items):",
    "    n = 0",
    "    for item in items:",
    "        n += item.price",
    "",
    "    return n",
]


def outcome(*pages: str, **options: object) -> Outcome:
    n = len(pages)
    table = pa.table(
        {
            "id": pa.array([f"{i:032x}" for i in range(n)]),
            "text": pa.nulls(n, pa.large_string()),
            "meta": pa.array(["{}"] * n),
            "raw": pa.array([page.encode() for page in pages], pa.large_binary()),
            "content_type": pa.array(["text/html; charset=utf-8"] * n),
        }
    )
    return Extract.model_validate(options).apply(Documents(table))


def text_of(page: str, **options: object) -> str:
    text = outcome(page, **options).documents.text[0].as_py()
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    "wrapper",
    [
        "{}", "<aside>{}</aside>", "<noscript>{}</noscript>", "<form action=x>{}</form>",
        "<details open>{}</details>",
        "<footer>{}</footer>", "<header>{}</header>", "<figure>{}</figure>", "<blockquote>{}</blockquote>",
        "<table><tr><td>{}</td></tr></table>", "<center><font>{}</font></center>", "<label>{}</label>",
        "<div class=related-content>{}</div>", "<div id=cookie-story>{}</div>",
        "<section id=operating>{}</section>",
        "<div class='star-rating-page'>{}</div>", "<div style='display: none'>{}</div>",
        "<x-page>{}</x-page>",
        "<fieldset><legend>The light</legend>{}</fieldset>", "<dialog open>{}</dialog>",
    ],
)  # fmt: skip
def test_no_element_is_left_out_for_its_name(wrapper: str) -> None:
    text = text_of(AROUND.format(wrapper.format(BODY)))
    assert [paragraph in text for paragraph in PARAGRAPHS] == [True] * 4


def test_frames_and_what_is_shown_without_them() -> None:
    page = f"<html><frameset cols='*'><frame src=a><noframes><body>{BODY}</body></noframes></frameset></html>"
    assert text_of(page) == "\n\n".join(PARAGRAPHS)


@pytest.mark.parametrize(
    ("inner", "fault"),
    [
        ("<div>" * 600 + "x", "too_deep"),
        ("<p " + " ".join(f"a{n}" for n in range(3000)) + ">x", "too_many_attributes"),
    ],
)
def test_what_is_shown_without_frames_is_bounded_as_pages_are(inner: str, fault: str) -> None:
    page = f"<html><frameset><frame src=a><noframes><body>{inner}</body></noframes></frameset></html>"
    assert [words.split(":")[0] for words in outcome(page).faults.to_pylist()] == [fault]


@pytest.mark.parametrize("inside", ["table", "pre", "quotation", "figure"])
def test_what_stands_within_the_text_belongs_to_it(inside: str) -> None:
    markup, wanted = {
        "table": (
            "<table><tr><th>Year</th><th>Ships</th></tr><tr><td>1911</td><td>40</td></tr></table>",
            "1911\t40",
        ),
        "pre": ("<pre>lamp --trim\n  wick 2</pre>", "lamp --trim\n  wick 2"),
        "quotation": ("<blockquote>Trim the lamp.</blockquote>", "Trim the lamp."),
        "figure": ("<figure><pre>lamp --trim</pre><figcaption>How</figcaption></figure>", "lamp --trim"),
    }[inside]
    assert wanted in text_of(AROUND.format(f"<article>{BODY}{markup}{BODY}</article>"))


@pytest.mark.parametrize(
    "code",
    [
        "<pre><code>{plain}</code></pre>",
        "<table class='highlight'><tr><td class='gutter'><pre>{numbers}</pre><td><pre>{plain}</pre></table>",
        "<table class='highlight'>{cells}</table>",
        "<pre><code>{plain}</code><span class='line-numbers-rows'><span></span><span></span></span></pre>",
        "<pre><code>{spans}</code></pre>",
        "<pre>{divs}</pre>",
        "<pre>{broken}</pre>",
        "<div class='syntaxhighlighter'><table><td class='gutter'>{number_divs}<td>{divs}</table></div>",
    ],
)  # fmt: skip
def test_code_keeps_its_rows_and_indentation_without_numbers(code: str) -> None:
    parts = {
        "plain": "\n".join(ROWS),
        "numbers": "\n".join(str(n + 1) for n in range(len(ROWS))),
        "cells": "".join(
            f"<tr><td class='blob-num'>{n}</td><td class='blob-code'>{row}\n</td></tr>"
            for n, row in enumerate(ROWS, 1)
        ),
        "spans": "".join(f"<span class='ln'>{n}</span><span>{row}\n</span>" for n, row in enumerate(ROWS, 1)),
        "divs": "".join(f"<div>{row.replace('  ', '&nbsp;&nbsp;')}</div>" for row in ROWS),
        "broken": "<br>".join(ROWS),
        "number_divs": "".join(f"<div>{n}</div>" for n in range(1, len(ROWS) + 1)),
    }
    text = text_of(AROUND.format(f"<article>{BODY}{code.format(**parts)}{BODY}</article>"))
    assert "\n".join(ROWS) in text
    assert "3\n" not in text.replace("\n".join(ROWS), "")


def test_formulas_stay_with_the_text_around_them() -> None:
    annotation = '<annotation encoding="application/x-tex">E = mc^2</annotation>'
    formula = f'<math display="block"><semantics><mi>E</mi>{annotation}</semantics></math>'
    page = AROUND.format(f"<article>{BODY}<div>{formula}</div>{BODY}</article>")
    assert "\n$$E = mc^2$$\n" in text_of(page)


def test_comments_by_option() -> None:
    comments = "".join(
        f"<li class='comment'><b>user{n}</b><p>I went there too, it rained.</p><a href=x>Reply</a></li>"
        for n in range(3)
    )
    page = AROUND.format(
        f"<article>{BODY * 3}</article><ol id='comments' class='commentlist'>{comments}</ol>"
    )
    assert text_of(page, comments=True).count("it rained") == 3
    assert "user1" not in text_of(page, comments=False)


def test_the_share_that_is_kept_is_told_and_little_is_marked() -> None:
    done = outcome(AROUND.format(f"<article>{BODY}</article>"), f"<p>{PARAGRAPHS[0]}", "", little_kept=0.99)
    share = done.documents.column("extract.kept_share").to_pylist()
    words = sum(len(paragraph.split()) for paragraph in PARAGRAPHS)
    assert share == [pytest.approx(words / (words + 4)), 1.0, 1.0]  # Home, About, Imprint, Privacy
    marks = [json.loads(meta).get("little_kept") for meta in done.documents.column("meta").to_pylist()]
    assert marks == [True, None, None]
    assert done.reasons.to_pylist() == [None, None, "empty"]


def test_an_article_that_only_machines_are_shown() -> None:
    stated = {
        "@graph": [{"@type": "Article", "articleBody": "<p>First &amp; last.</p><p>Second.</p>" + "x " * 200}]
    }
    page = (
        "<html><head><script type='application/ld+json'>{}</script></head><body><p>Loading</p></body></html>"
    )
    assert text_of(page.format(json.dumps(stated))).startswith("First & last.\n\nSecond.")
    for broken in ("{", "[" * 100_000, '{"articleBody": 3}', ""):
        assert text_of(page.format(broken + "articleBody")) == "Loading"


def test_posts_that_only_machines_are_shown() -> None:
    answers = [{"@type": ["Answer"], "text": f"Answer {n}."} for n in range(3)]
    question = {"@type": "Question", "text": "Why?", "suggestedAnswer": answers}
    stated = json.dumps({"@type": "QAPage", "text": "no post", "mainEntity": question})
    script = f"<script type='application/ld+json'>{stated}</script>"
    done = outcome(f"<html><head>{script}</head><body><p>Loading</p></body></html>")
    assert done.documents.text[0].as_py() == "Why?\n\nAnswer 0.\n\nAnswer 1.\n\nAnswer 2."
    assert json.loads(done.documents.column("meta")[0].as_py())["stated_text"] is True


def test_the_description_of_a_page_that_a_script_draws() -> None:
    metas = (
        "<meta name=description content='A short one'>"
        "<meta property='og:description' content='The longer one &amp;amp; more.'>"
    )
    page = f"<html><head>{metas}</head><body><div id=app></div>{{}}</body></html>"
    assert text_of(page.format("")) == "The longer one & more."
    assert text_of(page.format("<p>Loading</p>")) == "Loading"
    assert outcome(page.format(""), main_content=False).reasons.to_pylist() == ["empty"]


def test_all_that_is_shown() -> None:
    text = text_of(AROUND.format(BODY), main_content=False)
    assert text.startswith("Home About\n\nThe ferry")
    assert text.endswith("Imprint Privacy")


@pytest.mark.parametrize("extractor", ["corpusmill", "resiliparse", "trafilatura"])
def test_soft_hyphens_are_not_shown(extractor: str) -> None:
    body = BODY.replace("keeper", "kee&shy;per").replace("boats", "bo\xadats")
    page = AROUND.format(f"<article>{body}</article>")
    text = text_of(page, extractor=extractor)
    assert all(paragraph in text for paragraph in PARAGRAPHS)


def test_targets_of_links_and_texts_of_images_by_option() -> None:
    page = (
        "<p>To <a href='/a'>the <b>light</b></a> and <a href='#x'>up</a> by <img alt='a boat'>, so near.</p>"
        "<img alt=Shore><p><img alt=Map> of it<br>ends <img alt=here></p><img alt=''>"
    )
    text = text_of(page, links=True, alt_texts=True, main_content=False)
    assert text == "To the light (/a) and up by a boat , so near.\n\nShore\n\nMap of it\nends here"
    assert text_of(page, main_content=False) == "To the light and up by , so near.\n\nof it\nends"


def test_precision_keeps_no_more_than_is_kept_without() -> None:
    doubtful = "".join(f"<div class=box><a href=x>Read {n}</a> <p>Boats of {n}.</p></div>" for n in range(9))
    page = AROUND.format(f"<article>{BODY}</article><div>{doubtful}</div>")
    wide, narrow = (set(text_of(page, precision=choice).splitlines()) for choice in (False, True))
    assert narrow <= wide
    assert set(PARAGRAPHS) <= narrow


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "markdown", "extractor": "resiliparse"}, "`format: markdown` is not for resiliparse"),
        ({"alt_texts": True, "extractor": "trafilatura"}, "no effect with trafilatura"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Extract.model_validate(options)


@pytest.mark.parametrize("text", ["Лампа горит с шести.", "灯在六点点亮。", PARAGRAPHS[0], "Yes."])
def test_a_short_page_without_links_is_kept_whole(text: str) -> None:
    page = f"<html><body><main>{f'<p>{text}</p>' * 3}<div>{text}</div></main></body></html>"
    assert text_of(page).split("\n\n") == [text] * 4
