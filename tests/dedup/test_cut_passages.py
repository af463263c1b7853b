"""`decontaminate: {action: cut}`: spans against plain Python, and nothing found in what is left."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.benchmark_grams import BenchmarkGrams
from corpusmill.dedup.decontaminate import Decontaminate
from corpusmill.dedup.matching.cut_passages import ROUNDS
from corpusmill.pipelines.contract.documents import contiguous
from tests.dedup.test_decontaminate import (
    FILLER,
    QUESTION,
    SOLUTION,
    one_item,
    part,
    piece,
    prepared,
)
from tests.oracles.dedup_contamination import Index, Item, Rules
from tests.oracles.dedup_cut_passages import cut
from tests.oracles.dedup_exchange import documents

Row = dict[str, Any]
TULIPS = "Marta plants ninety tulips in five long rows and waters every third row before breakfast on Monday."


def verdicts(stage: Decontaminate, texts: list[str]) -> list[Row]:
    """Of each text: `reason`, `outcome`, `spans` and what is `left`."""
    outcome = stage.apply(documents(texts))
    names = ("outcome", "spans")
    columns = [outcome.documents.table.column(f"decontaminate.{name}").to_pylist() for name in names]
    found = []
    for text, reason, told, spans in zip(texts, outcome.reasons.to_pylist(), *columns, strict=True):
        raw, left, at = text.encode(), b"", 0
        for span in spans:
            assert at <= span["start"] < span["end"]
            left, at = left + raw[at : span["start"]], span["end"]
        left += raw[at:]
        found.append({"reason": reason, "outcome": told, "spans": spans, "left": left.decode()})
    return found


def test_whole_paragraphs_are_cut_and_the_rest_stays(tmp_path: Path) -> None:
    before, after = f"{FILLER}.\n\n", f"\n{FILLER}\nand more of it"
    text = f"{before}Exercise 3. {QUESTION}\nIts answer is easy.\n{after}"
    stage = prepared(BenchmarkGrams(), one_item(), tmp_path, action="cut")
    found, clean = verdicts(stage, [text, FILLER])
    assert found["left"] == before + after
    assert (found["reason"], found["outcome"]) == (None, "cut")
    assert [(span["benchmark"], span["item"]) for span in found["spans"]] == [("farm", "i")]
    assert clean == {"reason": None, "outcome": None, "spans": [], "left": FILLER}


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"cut_to": "line"}, "one\ntwo\nfour\n\nfive"),
        ({"cut_to": "line", "margin": 1}, "one\n\nfive"),
        ({"cut_to": "words"}, "one\ntwo\nSo?\nfour\n\nfive"),
        ({"cut_to": "paragraph"}, "\nfive"),
        ({"cut_to": "paragraph", "margin": 1}, ""),
    ],
)
def test_what_is_cut_whole(tmp_path: Path, options: Row, left: str) -> None:
    stage = prepared(BenchmarkGrams(), one_item(), tmp_path, action="cut", **options)
    (found,) = verdicts(stage, [f"one\ntwo\nSo: {QUESTION}\nfour\n\nfive"])
    assert found["left"] == left
    assert found["reason"] == (None if left else "emptied")


def test_several_items_in_a_document_are_told_apart(tmp_path: Path) -> None:
    rows = [*one_item(), {"id": "j", "question": TULIPS, "source": "garden"}]
    stage = prepared(BenchmarkGrams(), rows, tmp_path, action="cut")
    changed = QUESTION.replace("brown", "red").replace("barn", "shed")
    text = "\n\n".join([FILLER, TULIPS, FILLER, changed, FILLER, SOLUTION])
    (found,) = verdicts(stage, [text])
    assert [(span["benchmark"], span["item"]) for span in found["spans"]] == [
        ("garden", "j"),
        ("farm", "i"),
        ("farm", "i"),
    ]
    assert found["left"] == f"{FILLER}\n\n\n{FILLER}\n\n\n{FILLER}\n\n"


def test_a_document_of_items_alone_is_emptied_and_of_endless_copies_removed(tmp_path: Path) -> None:
    stage = prepared(BenchmarkGrams(), one_item(), tmp_path, action="cut")
    changed = " ".join(
        "blue" if k % 10 == 9 else word for k, word in enumerate(QUESTION.split())
    )  # aligned once a scan
    many = "\n\n".join([f"{changed}\n\n{FILLER}"] * (ROUNDS + 2))
    emptied, over = verdicts(stage, [f"{QUESTION}\n\n", many])
    assert (emptied["reason"], emptied["left"].strip()) == ("emptied", "")
    assert (over["reason"], over["outcome"]) == ("contaminated", "contaminated")


def test_what_a_cut_brings_together_is_cut_as_well(tmp_path: Path) -> None:
    words = TULIPS.split()
    text = f"{' '.join(words[:9])}\n{SOLUTION}\n{' '.join(words[9:])}\n\n{FILLER}\n"
    rows = [{"id": "j", "question": TULIPS, "answer": SOLUTION, "source": "garden"}]
    stage = prepared(BenchmarkGrams(), rows, tmp_path, action="cut", cut_to="line")
    found, apart = verdicts(stage, [text, text.replace(f"{SOLUTION}\n", f"{FILLER} and so on\n")])
    assert found["left"] == f"\n{FILLER}\n"
    assert apart["outcome"] is None


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"id": st.sampled_from("12345"), "source": st.sampled_from(["p", "q"]), "text": part},
            optional={"question": part, "answer": part},
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda row: row["id"],
    ),
    st.lists(st.lists(piece, max_size=14).map(" ".join), max_size=5),
    st.sampled_from(["words", "line", "paragraph"]),
    st.integers(0, 2),
)
def test_spans_equal_the_oracle_and_nothing_is_found_in_what_is_left(
    rows: list[dict[str, str]], texts: list[str], unit: str, margin: int
) -> None:
    known = []
    for row in rows:
        questions = (row["question"],) if row.get("question", "").strip() else (row["text"],)
        known.append(Item(row["source"], row["id"], questions, (row.get("answer", ""),), row["text"]))
    index = Index(known, Rules(3, 2, 4, 2, 6))
    texts = texts + [
        f"x é\n{row['text'].replace('7', '12 ab')}\n\n数 {text}" for row in rows for text in texts
    ]
    with TemporaryDirectory() as folder:
        fold = BenchmarkGrams(n=3, anchor=2, min_short_words=2, max_items=4)
        options = {"window": 6, "action": "cut", "cut_to": unit, "margin": margin}
        stage = prepared(fold, rows, Path(folder), **options)
    found = verdicts(stage, texts)
    for text, got in zip(texts, found, strict=True):
        left, gone, outcome = cut(index, text, unit, margin, ROUNDS)
        spans = {at for span in got["spans"] for at in range(span["start"], span["end"])}
        assert (got["left"], spans, got["outcome"]) == (left, gone, outcome)
        assert got["reason"] == (None if outcome == "cut" else outcome)
    assert found == [one for text in texts for one in verdicts(stage, [text])]
    kept = [one["left"] for one in found if one["reason"] is None]
    again = stage.model_copy(update={"action": "drop"}).apply(documents(kept))
    assert contiguous(again.reasons).null_count == len(kept)
