"""The content model: its weights as the file holds them, the choice of blocks, and what comes of pages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.extraction.content_model import WEIGHTS, content_model, model_of
from corpusmill.pipelines.extraction.features import FEATURES
from corpusmill.pipelines.extraction.kernels.blocks import COUNTED
from corpusmill.pipelines.extraction.kernels.boosted_trees import sums_of
from corpusmill.pipelines.extraction.kernels.choice import chosen
from corpusmill.pipelines.extraction.learning.marked_pages import (
    block_texts,
    marked_pages,
    shares_in,
    word_f1,
    written_out,
)
from tests.oracles import extraction_trees as oracle

HELD: dict[str, Any] = json.loads(WEIGHTS.read_text("utf-8"))
PAGES = (
    Path(os.environ.get("CORPUSMILL_DATA", Path(__file__).parents[4] / "shared" / "data")).parent
    / "extraction"
)
SENTENCE = "The ferry crosses the bay every hour, and the keeper of the light writes down who was on it. "


def test_trees_come_to_the_leaves_that_the_file_says() -> None:
    draw = np.random.default_rng(3)
    table = (draw.standard_normal((37, len(FEATURES))) * 10.0 ** draw.integers(-2, 4, (37, 1))).astype(
        np.float32
    )
    sums = sums_of(content_model().trees, np.ascontiguousarray(table.T))
    for row, total in zip(table, sums, strict=True):
        exact = [float(value) for value in row]
        wanted = sum(oracle.leaf(_rounded(tree), exact) for tree in HELD["trees"])
        assert total == pytest.approx(wanted, abs=1e-4)
    assert len(set(np.round(sums, 3))) > 20


def _rounded(tree: dict[str, Any]) -> dict[str, Any]:
    return {**tree, "threshold": [float(np.float32(value)) for value in tree["threshold"]]}


def test_a_tree_of_one_leaf_and_few_rows() -> None:
    one = {"feature": [], "threshold": [], "low": [], "high": [], "leaves": [0.5]}
    two = {"feature": [1], "threshold": [2.0], "low": [-1], "high": [-2], "leaves": [1.0, 10.0]}
    trees = model_of({**HELD, "trees": [one, two]}).trees
    for n in range(6):
        table = np.array([[0.0] * n, range(n)], np.float32)
        assert sums_of(trees, table).tolist() == [1.5, 1.5, 1.5, 10.5, 10.5][:n]


def test_weights_of_other_features_are_refused() -> None:
    with pytest.raises(ValueError, match="learn them again"):
        model_of({**HELD, "features": HELD["features"][1:]})


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1000)), max_size=30))
def test_no_threshold_has_a_higher_expected_f1(blocks: list[tuple[int, int]]) -> None:
    counts = np.zeros((len(blocks), len(COUNTED)), np.float32)
    counts[:, 0] = [words for words, _ in blocks]
    probability = np.array([thousandths / 1000 for _, thousandths in blocks], np.float64)
    keep = chosen(counts, probability, 1.0)
    words = counts[:, 0].tolist()
    reached = oracle.expected_f1(words, probability.tolist(), keep.tolist())
    assert reached == pytest.approx(oracle.best_f1(words, probability.tolist()), abs=1e-6)


@given(st.integers(1, 40), st.integers(1, 40))
def test_features_of_a_range_are_those_of_the_page(begin: int, length: int) -> None:
    parts = [f"<p class='c{k % 3}'>{SENTENCE * (k % 4)}<a href=x>link {k}</a>" for k in range(60)]
    look = content_model().look(written_out(f"<main>{''.join(parts)}</main>"))
    whole = look.features(0, len(look.counts))
    stop = min(whole.shape[1], begin + length)
    assert np.array_equal(look.features(begin, stop), whole[:, begin:stop])


def test_shares_of_blocks_in_a_main_text() -> None:
    pytest.importorskip("rapidfuzz")
    share, words = shares_in(["Home About", "The mill grinds corn.", "", "wheat"], "The mill grinds corn. ")
    assert words.tolist() == [2, 4, 0, 1]
    assert share.tolist() == [0, 1, 0, 0]


def test_pages_of_the_development_set() -> None:
    """Every twentieth page: no measure of unseen pages (the model has met these), but of what is at work."""
    warc, index = PAGES / "wcxb_dev.warc.gz", PAGES / "wcxb_dev.index.jsonl.zst"
    if not warc.exists():
        pytest.skip("no development pages beside CORPUSMILL_DATA")
    model, scores = content_model(), []
    for number, page in enumerate(marked_pages(warc, index)):
        if number % 20 == 0:
            look = model.look(page.markup)
            kept = [text for text, keep in zip(block_texts(look), model.content(look), strict=True) if keep]
            scores.append(word_f1(kept, page.gold))
    assert len(scores) > 50
    assert sum(scores) / len(scores) > 0.88
