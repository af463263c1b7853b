"""Blocks in elements of one path are judged alike, and a passage that comes again elsewhere is kept once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.extraction.content_model import Look, content_model
from corpusmill.pipelines.extraction.kernels.blocks import COUNTED
from corpusmill.pipelines.extraction.kernels.boosted_trees import sums_of
from corpusmill.pipelines.extraction.kernels.likeness import levelled, with_whole_rows, without_copies
from corpusmill.pipelines.extraction.learning.marked_pages import block_texts, written_out

LONG = "The ferry crosses the bay every hour, and the keeper of the light writes down who was on it."
LONGER = "In winter the boats lie on the shore, their hulls are scraped and painted, and ropes are spliced."


def look_of(body: str) -> Look:
    return content_model().look(written_out(f"<html><body>{body}</body></html>"))


def kept_once(body: str, keep: list[bool] | None = None) -> list[str]:
    """The texts that stay of the blocks of a page, of which all or `keep` were kept."""
    look = look_of(body)
    chosen = np.ones(len(look.counts), np.bool_) if keep is None else np.array(keep)
    left = without_copies(look.counts, look.prints, look.path, chosen)
    made = with_whole_rows(look.page, look.blocks, chosen, left)
    return [text for text, stays in zip(block_texts(look), made, strict=True) if stays]


def test_a_path_is_names_and_classes_from_the_root_on() -> None:
    cards = "".join(f"<div class='card card-{n}'><p>{n}</p><b>price {n}</b></div>" for n in range(3))
    path = look_of(f"<main>{cards}</main><aside><div class='card card-9'><p>x</p></div></aside>").path
    assert path.tolist() == [0, 1, 0, 1, 0, 1, 6]


def test_a_passage_that_comes_again_elsewhere_is_kept_once() -> None:
    wide = f"<div class='wide'><p>{LONG}</p><p>Open.</p><p>{LONGER}</p></div>"
    narrow = wide.replace("wide", "narrow")
    assert kept_once(wide + narrow + "<p>Last.</p>") == [LONG, "Open.", LONGER, "Last."]
    assert kept_once(wide + narrow, [False] * 3 + [True] * 3) == [LONG, "Open.", LONGER]


def test_items_that_say_the_same_and_short_texts_stay() -> None:
    rows = f"<ul><li>{LONG} {LONGER}</li><li>One.</li><li>{LONG} {LONGER}</li></ul>"
    assert kept_once(rows) == [f"{LONG} {LONGER}", "One.", f"{LONG} {LONGER}"]
    short = "<h2>Opening hours</h2><p>Opening hours</p>"
    assert kept_once(short) == ["Opening hours"] * 2


def test_of_a_text_said_three_times_in_two_places_one_is_left() -> None:
    text = f"{LONG} {LONGER}"
    assert kept_once(f"<h2>{text}</h2><p>{text}</p><div>{text}</div>") == [text]


def table_of(name: str, years: list[int]) -> str:
    rows = "".join(f"<tr><td>Year {y}</td><td>{y} ferries crossed the bay in summer</td></tr>" for y in years)
    return f"<table class='{name}'><tr><th>Year</th><th>Ferries</th></tr>{rows}</table>"


def test_a_table_has_no_hole_where_rows_of_another_come_again() -> None:
    first, second = table_of("first", [1, 2, 3, 4]), table_of("second", [9, 2, 3, 4, 8])
    assert kept_once(first + second) == kept_once(first) + kept_once(second)


def test_a_table_that_comes_again_is_kept_once() -> None:
    assert kept_once(table_of("wide", [1, 2, 3]) + table_of("narrow", [1, 2, 3])) == kept_once(
        table_of("wide", [1, 2, 3])
    )


def test_a_post_in_a_cell_loses_what_it_quotes() -> None:
    quote = f"<blockquote>{LONG} {LONGER}</blockquote>"
    cells = f"<tr><td>{LONG} {LONGER}</td></tr><tr><td>{quote}<p>So it is.</p></td></tr>"
    assert kept_once(f"<table>{cells}</table>") == [f"{LONG} {LONGER}", "So it is."]


def test_a_page_that_holds_its_text_twice_gives_it_once() -> None:
    model, text = content_model(), f"<p>{LONG} {LONGER}</p><p>{LONGER} {LONG}</p>"
    menu = "<nav><a href='/'>Home</a> <a href='/a'>About</a></nav>"
    look = look_of(f"{menu}<div class='wide'>{text}</div><div class='narrow'>{text}</div>")
    kept = [text for text, keep in zip(block_texts(look), model.content(look), strict=True) if keep]
    assert kept == [f"{LONG} {LONGER}", f"{LONGER} {LONG}"]


@pytest.mark.parametrize(("of_text", "shift"), [(True, -0.4), (False, 0.25)])
def test_pages_of_text_are_judged_more_strictly_than_lists(of_text: bool, shift: float) -> None:
    model = content_model()
    links = "".join(f"<li><a href='/{n}'>A link to page {n}</a></li>" for n in range(30))
    look = look_of(f"<ul>{links}</ul>" + (f"<p>{LONG} {LONGER}</p>" * 9 if of_text else f"<p>{LONG}</p>"))
    sums = sums_of(model.trees, look.features(0, len(look.counts)))
    probability = model.probabilities(look)
    odds = np.log(probability / (1 - probability))
    assert np.allclose(odds, levelled(look.counts, look.path, sums) + shift)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.floats(-9, 9)), min_size=1, max_size=30))
def test_values_are_drawn_to_the_mean_of_their_path(blocks: list[tuple[int, int, float]]) -> None:
    names = [name for name, _, _ in blocks]
    path = np.array([names.index(name) for name in names], np.int32)
    counts = np.zeros((len(blocks), len(COUNTED)), np.float32)
    counts[:, 0] = [words for _, words, _ in blocks]
    made = levelled(counts, path, np.array([value for _, _, value in blocks]))
    for (name, _, value), found in zip(blocks, made, strict=True):
        of_path = [(words + 0.5, other) for same, words, other in blocks if same == name]
        mean = sum(words * other for words, other in of_path) / sum(words for words, _ in of_path)
        assert found == pytest.approx((value + mean) / 2, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans()), max_size=14))
def test_copies_are_those_of_a_plain_search(drawn: list[tuple[int, int, bool]]) -> None:
    texts, paths, keep = ([each[k] for each in drawn] for k in range(3))
    counts = np.zeros((len(drawn), len(COUNTED)), np.float32)
    counts[:, 0] = 9  # three blocks are a passage long enough, two are not
    prints, path = np.array(texts, np.int64), np.array(paths, np.int32)
    made = without_copies(counts, prints, path, np.array(keep, np.bool_))
    passages: list[list[tuple[int, int]]] = []  # of blocks and their sources
    for at, text in enumerate(texts):
        last, source = passages[-1][-1] if passages else (-1, -1)
        following = source + 1 if last == at - 1 and 0 <= source < at - 1 else at
        if texts[following] == text and following < at:
            begins = following >= passages[-1][0][0]
            passages += [[(at, following)]] if begins else []
            passages[-1] += [] if begins else [(at, following)]
        elif text in texts[:at]:
            passages.append([(at, texts.index(text))])
    copies = [pair for passage in passages if len(passage) >= 3 for pair in passage]
    removed = {at for at, source in copies if keep[source] and paths[at] != paths[source]}
    assert made.tolist() == [kept and at not in removed for at, kept in enumerate(keep)]
