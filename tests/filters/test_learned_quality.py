"""`learned_quality`: words against a plain reading of texts, training that nothing but its examples decides,
figures recounted, and files that are not classifiers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.kernels.word_weights import places, weight_means
from corpusmill.filters.learned_quality import LearnedQuality
from corpusmill.filters.quality_examples import QualityExamples
from corpusmill.filters.rules.word_model import HEADER, WEIGHTS, WordModel, read_word_model, write_word_model
from corpusmill.filters.train_quality import TrainQuality
from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import DataError
from tests.oracles.filters_documents import TEXTS, check_split_law, documents, reasons

BITS, MASK = 16, 2**64 - 1
ALONE = (
    "\u0080-\u00bf\u0e00-\u0eff\u1000-\u10bf\u1780-\u17ff\u2000-\u3fff\u4000-\u9fff\uf000-\uffff"
    "\U00010000-\U0010ffff"
)
PUNCTUATION = "!-/:-@\\[-`{-~"
WORD = re.compile(f"[{ALONE}]|[{PUNCTUATION}]+|[^{ALONE}{PUNCTUATION}\x00-\x20\x7f]+")
ASCII = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789", "abcdefghijklmnopqrstuvwxyz" + "0" * 9)


def mixed(value: int) -> int:
    value = (value ^ value >> 32) * 0x9E3779B97F4A7C15 & MASK
    return value ^ value >> 32


def hashed(word: str) -> int:
    value = 0xCBF29CE484222325
    for byte in word.translate(ASCII).encode():
        value = (value ^ byte) * 0x100000001B3 & MASK
    return mixed(value)


def expected(text: str, ngrams: int) -> list[int]:
    """Places of every n-gram of the words that a regular expression finds."""
    words = [hashed(word) for word in WORD.findall(text)]
    found = []
    for first in range(len(words)):
        value = words[first]
        found.append(value >> (64 - BITS))
        for other in words[first + 1 : first + ngrams]:
            value = mixed((value * 0xD6E8FEB86659FD93 + other) & MASK)
            found.append(value >> (64 - BITS))
    return sorted(found)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, ngrams=st.integers(1, 5))
def test_words_are_those_of_a_plain_reading(text: str, ngrams: int) -> None:
    data = np.frombuffer(text.encode(), np.uint8)
    assert sorted(places(data, ngrams, BITS).tolist()) == expected(text, ngrams)


def test_long_texts_are_read_in_parts_alike() -> None:
    text = "A word, 中国 and 12 more; " * 3000
    weights = np.random.default_rng(0).normal(size=1 << BITS).astype(np.float32)
    offsets, data = documents([text]).utf8()
    means, counts = weight_means(offsets, data, weights, 3, BITS)
    wanted = expected(text, 3)
    assert counts[0] == len(wanted)
    assert means[0] == pytest.approx(float(weights[wanted].astype(float).mean()), abs=1e-9)


def sided(words: Sequence[str], many: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    both = ["the", "of", "and", "a", "in", "with"]
    return [" ".join(rng.choice([*words, *both, *both], 25)) for _ in range(many)]


GOOD = sided(["lemma", "proof", "ring"], 300, 1)
BAD = sided(["buy", "cheap", "click"], 200, 2)


def chosen(
    texts: Sequence[str],
    folder: Path,
    cuts: Sequence[int] = (),
    order: Sequence[int] | None = None,
    **options: Any,
) -> Path:
    """The examples of texts that come in batches cut at `cuts` and in this `order`, through two levels."""
    stage = QualityExamples(**options).prepare(Context(seed=7))
    table = documents(texts).table.take(pa.array(order if order is not None else range(len(texts))))
    ends = [0, *cuts, len(texts)]
    parts = [stage.map(iter([Documents(table.slice(a, b - a))])) for a, b in pairwise(ends)]
    folder.mkdir(parents=True, exist_ok=True)
    stage.finish(stage.combine([stage.combine(parts[1:] or parts), *parts[: len(parts) > 1]]), folder)
    return folder


def trained(good: Path, bad: Path, folder: Path, **options: Any) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(seed=7, artefacts={"positives": good, "negatives": bad})
    stage = TrainQuality(**{"bits": BITS, **options}).prepare(context)
    return stage.run({}, folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    trained(chosen(GOOD, folder / "good"), chosen(BAD, folder / "bad"), folder)
    return folder


def test_the_classifier_depends_on_its_examples_alone(model: Path, tmp_path: Path) -> None:
    digest = json.loads((model / HEADER).read_text())["digest"]
    order = np.random.default_rng(3).permutation(len(GOOD)).tolist()
    good = chosen(GOOD, tmp_path / "good", [1, 50, 50, 299], order)
    bad = chosen(BAD, tmp_path / "bad", [100])
    assert trained(good, bad, tmp_path / "one")["digest"] == digest
    fewer = chosen(GOOD, tmp_path / "fewer", [10], examples=100)
    assert trained(fewer, bad, tmp_path / "two")["digest"] != digest


def test_fewer_examples_are_the_same_ones_however_they_come(tmp_path: Path) -> None:
    one = chosen(GOOD, tmp_path / "one", examples=50)
    two = chosen(GOOD, tmp_path / "two", [3, 100, 200], list(range(300))[::-1], examples=50)
    assert (one / "examples.arrow").read_bytes() == (two / "examples.arrow").read_bytes()


def test_figures_are_what_the_filter_says_of_the_examples_held_out(model: Path) -> None:
    figures = json.loads((model / "figures.json").read_text())
    held = figures["examples"]["held_out"]
    assert 20 <= held["positive"] <= 45
    assert held["positive"] + figures["examples"]["trained_on"]["positive"] == len(set(GOOD))
    assert figures["at_0.5"]["f1"] > 0.97
    assert figures["at_0.5"]["examples"] == sum(held.values())
    assert sum(bar["examples"] for bar in figures["calibration"]["bars"]) == sum(held.values())
    assert figures["losses"] == sorted(figures["losses"], reverse=True)


def judge(model: Path, **options: Any) -> LearnedQuality:
    return LearnedQuality(**options).prepare(Context(artefacts={"classifier": model}))


def test_good_texts_are_kept(model: Path) -> None:
    stage = judge(model)
    texts = [*sided(["lemma", "ring"], 20, 5), *sided(["cheap", "click"], 20, 6), "", " \n", None]
    assert reasons(stage, texts) == [None] * 20 + ["low_score"] * 20 + [None] * 3
    assert set(reasons(judge(model, at_least=None), texts)) == {None}


def test_thresholds_by_language(model: Path) -> None:
    text = "the of and lemma click"
    (score,) = judge(model).score(documents([text]))["score"].to_pylist()  # type: ignore[union-attr]
    stage = judge(model, at_least=score - 0.001, by_language={"ja": {"at_least": score + 0.001}})
    assert reasons(stage, [text] * 3, lang=["en", "ja", None]) == [None, "low_score", None]


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(TEXTS | st.none(), max_size=5), cut=st.integers(0, 5))
def test_split_law(model: Path, texts: list[str | None], cut: int) -> None:
    check_split_law(judge(model), texts, min(cut, len(texts)))


def test_a_text_of_both_sides_is_left_out_and_copies_count_once(tmp_path: Path) -> None:
    good = chosen([*GOOD, *GOOD[:50], "on both sides"], tmp_path / "good")
    bad = chosen([*BAD, "on both sides"], tmp_path / "bad")
    counts = trained(good, bad, tmp_path / "model")["examples"]
    assert counts["held_out"]["positive"] + counts["trained_on"]["positive"] == len(set(GOOD))
    assert counts["held_out"]["negative"] + counts["trained_on"]["negative"] == len(set(BAD))


def test_without_examples(tmp_path: Path) -> None:
    good, none = chosen(GOOD, tmp_path / "good"), chosen(["", ""], tmp_path / "none")
    with pytest.raises(DataError, match=r"negative examples to learn from .* 0 negative\); name more"):
        trained(good, none, tmp_path / "model")
    with pytest.raises(DataError, match="there are only 1 of at least 10 negative examples to learn from"):
        trained(good, chosen(["", "one"], tmp_path / "one"), tmp_path / "model")
    bad = chosen(BAD, tmp_path / "bad")
    with pytest.raises(DataError, match="no positive examples held out to judge on"):
        trained(good, bad, tmp_path / "model", held_out_examples=1e-9)


def test_examples_are_cut_at_a_character(tmp_path: Path) -> None:
    folder = chosen(["é" * 100, "short"], tmp_path, example_bytes=65)
    with pa.memory_map(str(folder / "examples.arrow")) as source:
        texts = pa.ipc.open_file(source).read_all().column("text").to_pylist()
    assert sorted(texts) == ["short", "é" * 32]


def test_without_balance_the_larger_side_is_likelier(tmp_path: Path) -> None:
    good, bad = chosen(GOOD, tmp_path / "good"), chosen(BAD[:30], tmp_path / "bad")
    means = []
    for balance in (True, False):
        trained(good, bad, tmp_path / "model", balance=balance)
        scores = judge(tmp_path / "model").score(documents(["of the and"]))["score"]
        means.append(scores.to_pylist()[0])  # type: ignore[union-attr]
    assert means[1] > means[0] + 0.05


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / HEADER).write_text("{}"), "no classifier"),
        (lambda folder: (folder / HEADER).write_text("not JSON"), "no classifier"),
        (lambda folder: np.save(folder / WEIGHTS, np.zeros(8, np.float32)), r"does not hold 2\^4 weights"),
        (lambda folder: np.save(folder / WEIGHTS, np.ones(16, np.float32)), "not of one classifier"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"cPickle"), "no classifier"),
    ],
)
def test_damaged_files_are_told(tmp_path: Path, damage: Any, said: str) -> None:
    write_word_model(WordModel(np.zeros(16, np.float32), 0.5, 2, 4), tmp_path)
    assert read_word_model(tmp_path).bias == 0.5
    damage(tmp_path)
    with pytest.raises(DataError, match=said):
        read_word_model(tmp_path)
