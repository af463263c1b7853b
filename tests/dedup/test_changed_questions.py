"""Questions with words or numbers changed: the kernels against plain Python, and what users are promised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.benchmark_grams import BenchmarkGrams
from corpusmill.dedup.kernels import near_questions
from tests.dedup.test_decontaminate import FILLER, QUESTION, one_item, prepared, reasons, scores
from tests.oracles.dedup_contamination import Index, Item, Rules

LEMMA = "Let 7 red boats leave the harbour at 9 and let the slower one turn back after 3 miles of calm sea"
HAN = "农场里有七头棕色的牛,每头牛每天产奶12升,周末不产奶。请问四个星期以后农场主一共可以卖出多少升牛奶?"

markup = st.sampled_from(
    ["&lt;", "&#39;7", "<b>", "</p>ab", "<br />", "<7>", "x;", "&ab cd;", "<ab/cd>", "a&b;c"]
)
word = st.sampled_from(
    ["ab", "cd", "ef", "gh", "ij", "kl", "mn", "x", "7", "12", "3.5", "数", "学", "\n\n", "seven", "三"]
)
changes = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("rid"), st.one_of(word, markup)), max_size=8)


def edited(words: Sequence[str], edits: Sequence[tuple[int, str, str]]) -> list[str]:
    """Words replaced, inserted and dropped."""
    out = list(words)
    for at, what, other in edits:
        if out:
            at %= len(out)
            out[at : at + (what != "i")] = [] if what == "d" else [other]
    return out


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(st.one_of(word, word, word, markup), min_size=6, max_size=40), min_size=1, max_size=3),
    changes,
    st.lists(word, max_size=30),
    st.lists(word, max_size=30),
)
def test_scores_of_changed_questions_equal_the_oracle(
    questions: list[list[str]], edits: list[tuple[int, str, str]], before: list[str], after: list[str]
) -> None:
    rows: list[dict[str, Any]] = [
        {"id": str(i), "text": " ".join(words), "source": "s"} for i, words in enumerate(questions)
    ]
    known = [Item("s", row["id"], (row["text"],), (), row["text"]) for row in rows]
    index = Index(known, Rules(6, 4, 2, 3, 20))
    texts = [" ".join([*before, *edited(words, edits), *after]) for words in questions]
    texts.append("\n".join(texts))
    with TemporaryDirectory() as folder:
        fold = BenchmarkGrams(n=6, anchor=3, min_short_words=4, max_items=2)
        stage = prepared(fold, rows, Path(folder), window=20)
    assert scores(stage, texts) == [index.scores(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (QUESTION, "verbatim"),
        (QUESTION.upper().replace(" ", "\n# "), "verbatim"),
        (QUESTION.replace("seventeen", "17"), "variant"),
        (QUESTION.replace("seventeen", "forty"), "variant"),
        (QUESTION.replace(" ", "&nbsp;").replace(",", "&#44;"), "verbatim"),
        (f"<p>{QUESTION.replace(' hens', ' <b>hens</b>').replace('. ', '.<br /> ')}</p>", "verbatim"),
        (" ".join("other" if i % 10 == 9 else w for i, w in enumerate(QUESTION.split())), "altered"),
        (f"{FILLER} " * 400 + QUESTION.replace("hens", "geese") + f" {FILLER}" * 400, "altered"),
    ],
)
def test_changed_words(tmp_path: Path, text: str, match: str) -> None:
    stage = prepared(BenchmarkGrams(), one_item(), tmp_path)
    assert reasons(stage, [text]) == ["contaminated"]
    found = scores(stage, [text])[0]
    assert (found.match, found.benchmark, found.item, found.items) == (match, "farm", "i", ("i",))


def test_changed_numbers_are_a_variant(tmp_path: Path) -> None:
    rows = [{"id": "boats", "question": LEMMA, "source": "s"}, {"id": "milk", "question": HAN, "source": "s"}]
    stage = prepared(BenchmarkGrams(), rows, tmp_path)
    boats = f"{FILLER}\n{LEMMA.replace('7', '1,250').replace('9', '11').replace('3', '4.5')}\n{FILLER}"
    milk = f"{FILLER}{HAN.replace('12', '35.5')}"
    found = scores(stage, [boats, milk, f"{FILLER} {LEMMA}"])
    assert [(one.match, one.item, one.matched, one.numbers) for one in found] == [
        ("variant", "boats", 1.0, 1 / 4),  # "one" is a number, too
        ("variant", "milk", 1.0, 3 / 4),
        ("verbatim", "boats", 1.0, 1.0),
    ]
    assert reasons(stage, [boats, milk]) == ["contaminated"] * 2
    strict = prepared(BenchmarkGrams(), rows, tmp_path, variant=1.0)
    other_name = boats.replace("harbour", "river")
    assert reasons(strict, [boats, other_name]) == ["contaminated", None]
    assert reasons(prepared(BenchmarkGrams(), rows, tmp_path, variant=0.9), [other_name]) == ["contaminated"]


def test_words_far_apart_are_no_question(tmp_path: Path) -> None:
    stage = prepared(BenchmarkGrams(), one_item(), tmp_path)
    words = QUESTION.split()
    scattered = " ".join(f"{' '.join(words[i : i + 5])} {FILLER}" for i in range(0, len(words), 5))
    backwards = " ".join(" ".join(words[i : i + 5]) for i in reversed(range(0, len(words), 5)))
    assert reasons(stage, [scattered, backwards]) == [None, None]
    # The whole text of an item that shares its form with many others, with other things in it.
    rows = [
        {"id": str(i), "question": QUESTION.replace("hens", f"hens{i}x"), "source": "s"} for i in range(11)
    ]
    common = prepared(BenchmarkGrams(), rows, tmp_path)
    assert reasons(common, [QUESTION.replace("hens", "goats")]) == [None]


def test_the_place_in_a_long_document_does_not_matter(tmp_path: Path) -> None:
    """Blocks overlap: half of the anchors that are left would be too few."""
    stage = prepared(BenchmarkGrams(), one_item(), tmp_path)
    words = QUESTION.split()
    for at in (8, 13, 18, 23, 25):
        words[at] = "other"
    block = near_questions.BLOCK
    for before in range(block - len(words) - 8, block + 8, 5):
        (found,) = scores(stage, ["word " * before + " ".join(words) + " word" * 50])
        assert (found.match, found.items) == ("altered", ("i",)), before


def test_short_questions_are_looked_for_with_what_follows_them(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "question": "Which is heavier?", "text": "Which is heavier?\niron\nlead\nfoam\noak\nice"},
        {"id": "2", "question": "Name the tallest tree.", "answer": "the coast redwood of the north"},
        {"id": "3", "question": "What is six times seven?", "answer": "42"},
    ]
    stage = prepared(BenchmarkGrams(), [{"source": "s", **row} for row in rows], tmp_path)
    both = "which is heavier: (A) iron, (B) lead, (C) foam, (D) oak"
    texts = [
        f"{FILLER} {rows[0]['text']} {FILLER}",
        f"{FILLER} Name the tallest tree. The coast redwood of the north. {FILLER}",
        f"{FILLER} Name the tallest tree. {FILLER}",
        f"{FILLER} {both} {FILLER}",
        "What is six times seven? 42",
    ]
    assert reasons(stage, texts) == ["contaminated", "contaminated", None, None, None]
    assert [one.item for one in scores(stage, texts[:2])] == ["1", "2"]
