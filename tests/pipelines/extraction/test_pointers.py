"""What stands within an article and is no part of it: lines that point to others, captions of figures."""

from __future__ import annotations

import numpy as np
import pytest

from corpusmill.pipelines.extraction.content_model import Look, content_model
from corpusmill.pipelines.extraction.kernels.boosted_trees import sums_of
from corpusmill.pipelines.extraction.kernels.choice import in_captions, with_what_belongs
from corpusmill.pipelines.extraction.kernels.likeness import levelled
from corpusmill.pipelines.extraction.learning.marked_pages import block_texts, written_out
from corpusmill.pipelines.extraction.pointers import without_pointers

LONG = "The ferry crosses the bay every hour, and the keeper of the light writes down who was on it."
LONGER = "In winter the boats lie on the shore, their hulls are scraped and painted, and ropes are spliced."
LINK = "<a href='/lamp'>How the lamp of the lighthouse was made</a>"


def look_of(body: str) -> Look:
    return content_model().look(written_out(f"<html><body>{body}</body></html>"))


def left(look: Look, keep: np.ndarray) -> list[str]:
    return [text for text, stays in zip(block_texts(look), keep, strict=True) if stays]


@pytest.mark.parametrize(
    "line",
    [
        f"<p>Related: {LINK}</p>",
        f"<p><strong>Read more</strong>: {LINK}</p>",
        f"<p>[<em>ALSO&nbsp;READ: {LINK}</em>]</p>",
        f"<p>» Lesen Sie auch: {LINK}</p>",
        f"<p>À lire aussi : {LINK}</p>",
        f"<div>More on lighthouses: {LINK} | {LINK}</div>",
        f"<p>相关阅读：{LINK}</p>",
    ],
)
def test_a_line_that_points_to_another_article_is_left_out(line: str) -> None:
    look = look_of(f"<p>{LONG}</p>{line}<p>{LONGER}</p>")
    assert left(look, without_pointers(look, np.ones(3, np.bool_))) == [LONG, LONGER]


@pytest.mark.parametrize(
    "line",
    [
        "<p>Related: the light of the harbour went out in the same night.</p>",  # no link
        f"<p>Related work {LINK}</p>",  # no label
        f"<p>Unrelated: {LINK}</p>",
        f"<p>What the keeper said of it then: {LINK}</p>",
        f"<p>Read more: {LONG} {LONGER} {LINK}</p>",  # a paragraph with a link
        f"<ul><li>Related: {LINK}</li></ul>",
        f"<p>{LONG} Related: {LINK}</p>".replace(LONG, "The lamp is old and heavy."),
    ],
)
def test_what_only_looks_like_it_stays(line: str) -> None:
    look = look_of(f"<p>{LONG}</p>{line}<p>{LONGER}</p>")
    assert without_pointers(look, np.ones(3, np.bool_)).all()


def test_what_was_not_kept_stays_so() -> None:
    look = look_of(f"<p>{LONG}</p><p>{LINK}</p><p>Related: {LINK}</p>")
    assert without_pointers(look, np.array([True, False, True])).tolist() == [True, False, False]


FIGURE = (
    "<figure><img src=a><figcaption><p>The lamp.</p><small>Photo: the keeper</small></figcaption></figure>"
)


def test_captions_of_figures_on_pages_of_text_have_lower_odds() -> None:
    model = content_model()
    look = look_of(f"<article><h1>Light</h1>{f'<p>{LONG} {LONGER}</p>' * 4}{FIGURE}<p>{LONG}</p></article>")
    sums = sums_of(model.trees, look.features(0, len(look.counts)))
    probability = model.probabilities(look)
    moved = np.log(probability / (1 - probability)) - levelled(look.counts, look.path, sums)
    captions = np.array([text in ("The lamp.", "Photo: the keeper") for text in block_texts(look)])
    assert captions.sum() == 2
    assert np.allclose(moved, np.where(captions, -2.4, -0.4))


def test_cards_keep_their_captions() -> None:
    model = content_model()
    links = "".join(f"<li><a href='/{n}'>A link to page {n}</a></li>" for n in range(30))
    look = look_of(f"<ul>{links}</ul>{FIGURE * 3}")
    assert not look.of_text
    sums = sums_of(model.trees, look.features(0, len(look.counts)))
    probability = model.probabilities(look)
    assert np.allclose(np.log(probability / (1 - probability)), levelled(look.counts, look.path, sums) + 0.25)


def test_a_caption_is_not_kept_for_what_stands_around_it() -> None:
    look = look_of(f"<p>{LONG}</p>{FIGURE}<p>{LONGER}</p>")
    keep = np.array([True, False, False, True])
    assert with_what_belongs(look.page, look.blocks, look.counts, keep).tolist() == keep.tolist()
    assert in_captions(look.page)[look.blocks.element].tolist() == [False, True, True, False]


def test_an_article_is_its_paragraphs() -> None:
    model = content_model()
    body = f"<p>{LONG} {LONGER}</p>{FIGURE}<p>{LONGER} {LONG}</p><p>Related: {LINK}</p><p>{LONG}</p>"
    look = look_of(f"<nav><a href='/'>Home</a> <a href='/a'>About</a></nav><article>{body}</article>")
    kept = left(look, model.content(look))
    assert kept[-3:] == [f"{LONG} {LONGER}", f"{LONGER} {LONG}", LONG]
