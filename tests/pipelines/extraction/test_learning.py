"""Learning the content model's weights: from pages made here, twice the same, and better than chance."""

from __future__ import annotations

import json
import random

import pytest

from corpusmill.pipelines.extraction.content_model import ContentModel, model_of
from corpusmill.pipelines.extraction.learning.__main__ import WITHOUT_WORDS, fold_of, judge, learn
from corpusmill.pipelines.extraction.learning.boosting import SEEDS
from corpusmill.pipelines.extraction.learning.marked_pages import Marked, MarkedPage, mark, written_out
from corpusmill.pipelines.extraction.learning.telling_words import name_weights, text_weights

pytest.importorskip("lightgbm")
_WORDS = "stone river cloud light seven quiet amber field north glass harbour meadow lantern copper winter"
WORDS = _WORDS.split()


def page(number: int) -> MarkedPage:
    """Paragraphs of words between a menu and a footer that say the same on every page of a site."""
    draw = random.Random(number)
    paragraphs = [" ".join(draw.choices(WORDS, k=draw.randint(15, 40))) + "." for _ in range(6)]
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    menu = "".join(f"<a href='/{n}'>Subscribe {n}</a> " for n in range(8))
    text = f"<div class='story-text'>{body}</div>"
    html = f"<div class='site-menu'>{menu}</div>{text}<div class='menuFoot'>{menu}</div>"
    return MarkedPage(f"site{number}.example", "article", written_out(html), "\n".join(paragraphs))


@pytest.fixture(scope="module")
def plain() -> list[Marked]:
    nothing: ContentModel = model_of(WITHOUT_WORDS)
    return [mark(page(number), nothing) for number in range(40)]


def test_words_are_weighed_by_what_they_stand_around(plain: list[Marked]) -> None:
    names, texts = name_weights(plain), text_weights(plain)
    assert names["story"] == names["text"] > 0 > names["site"]
    assert names["menu"] < 0
    assert texts["subscribe"] < 0 < texts["river"]
    assert list(names) == sorted(names)
    assert name_weights(plain[:7]) == {}  # of too few sites


def test_the_same_pages_give_the_same_weights(plain: list[Marked]) -> None:
    first, second = (learn(plain, rounds=8) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    assert len(first["trees"]) == 8 * len(SEEDS)


def test_pages_of_other_sites_are_judged_well(plain: list[Marked]) -> None:
    scores = judge(plain, folds=2, rounds=24)
    assert scores["all"] == scores["article"] > 0.95
    assert {fold_of(marked.page.site, 2) for marked in plain} == {0, 1}
