"""Repeated substrings: equal to a dictionary of all windows, in any layout of the data."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.kernels.anchors import find_anchors
from corpusmill.dedup.matching import substrings
from corpusmill.dedup.matching.substrings import gram_width
from corpusmill.dedup.substring import Substring
from corpusmill.pipelines.contract.documents import Documents
from tests.oracles import dedup_substrings as oracle
from tests.oracles.dedup_exchange import documents, edits_of
from tests.oracles.dedup_pieces import Document
from tests.pipelines.run.edited import rows_of, run, write_recipe

parts = st.sampled_from(
    ["a", "b", "ab", "aaaa", " ", "\n", "\r\n", "\r", "é", "e\u0301", "水", "日本語", "😀", "-"]
)
short = st.lists(parts, max_size=20).map("".join)
runs = st.tuples(st.text("ab", max_size=3), st.text("abc", min_size=1, max_size=5), st.integers(1, 12)).map(
    lambda run: run[0] + run[1] * run[2]
)
texts = st.one_of(short, runs)
corpora = st.lists(st.tuples(texts, st.sampled_from(["web", "code"])), max_size=6)


def as_documents(corpus: list[tuple[str, str]]) -> tuple[Documents, list[Document]]:
    docs = documents([text for text, _ in corpus], [source for _, source in corpus])
    ids = docs.column("id").to_pylist()
    return docs, [Document(name, text, source) for name, (text, source) in zip(ids, corpus, strict=True)]


def check(
    corpus: list[tuple[str, str]],
    length: int,
    keep: Any,
    bounds: Any,
    layout: tuple[int, int, int],
    priority: list[str],
) -> int:
    """That the stage finds what the oracle finds; returns the number of spans."""
    docs, plain = as_documents(corpus)
    stage = Substring(min_bytes=length, keep=keep, bounds=bounds, priority=priority)
    found = edits_of(stage, docs, *layout) if corpus else []
    spans, better = oracle.repeats(plain, length, keep, priority)
    wanted = {}
    for place, start, end in spans:
        left = oracle.narrowed(plain[place].text, start, end, bounds)
        if left is not None:
            wanted[place, *left] = start
    if bounds == "characters":  # the spine narrows what it cuts
        wanted = {(place, start, end): start for place, start, end in spans}
    made = {}
    for row in found:
        assert row["reason"] == "repeated_substring"
        keeper = row["survivor_unit"]
        place = row["unit"] * layout[0] + row["row"]
        made[place, row["start"], row["end"]] = (
            None if keeper is None else keeper * layout[0] + row["survivor_row"]
        )
    assert len(made) == len(found)
    assert set(made) == set(wanted)
    for span, keeper in made.items():
        if keep == "none":
            assert keeper is None
        else:
            assert keeper in better[span[0], wanted[span]]
    return len(made)


@settings(deadline=None, max_examples=150)
@given(
    corpora,
    st.integers(2, 9),
    st.sampled_from(["first", "none"]),
    st.sampled_from(["characters", "words", "lines"]),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)),
    st.sampled_from([[], ["code"]]),
    st.sampled_from([1, substrings.FEW]),
)
def test_equals_the_oracle_in_any_layout(
    corpus: list[tuple[str, str]],
    length: int,
    keep: Any,
    bounds: Any,
    layout: tuple[int, int, int],
    priority: list[str],
    few: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(substrings, "FEW", few)
        check(corpus, length, keep, bounds, layout, priority)


@pytest.mark.parametrize("keep", ["first", "none"])
@pytest.mark.parametrize("length", [24, 70])
@pytest.mark.parametrize("few", [1, substrings.FEW])
def test_equals_the_oracle_on_longer_texts(
    keep: str, length: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of all lengths about the least, near copies, periods, and passages that overlap."""
    monkeypatch.setattr(substrings, "FEW", few)
    draw = random.Random(length)
    base = "".join(draw.choices("abcdefgh ij\n", k=3000))
    made = []
    for _ in range(30):
        text = ""
        for _ in range(draw.randint(1, 6)):
            start = draw.randrange(len(base))
            size = draw.choice([length - 1, length, length + 1, 2 * length, 3 * length])
            kind = draw.random()
            if kind < 0.6:
                text += base[start : start + size]
            elif kind < 0.8:
                text += base[start : start + draw.randint(1, 9)] * draw.randint(1, length)
            else:
                text += "".join(draw.choices("qrstuv", k=size))
        made.append((text, draw.choice(["web", "code"])))
    assert check(made, length, keep, "characters", (7, 3, 5), ["code"]) > 15
    assert check(made, length, keep, "words", (30, 30, 1), []) > 15


def test_a_run_of_one_byte_has_a_few_anchors() -> None:
    docs = documents(["x" * 50 + "a" * 1_000_000 + "ab" * 500_000])
    for first_stays in (True, False):
        found = find_anchors(*docs.utf8(), 100, gram_width(100), first_stays)
        assert len(found.key) < 100
        assert 1 <= len(found.again_text) <= 2
    docs = documents(["a" * 300_000, "b" * 300_000, "a" * 250_000 + "c" * 100])
    edits = edits_of(Substring(min_bytes=100, bounds="characters"), docs, 1, 1, 2)
    assert [(row["unit"], row["start"], row["end"]) for row in edits] == [
        (0, 1, 300_000),
        (1, 1, 300_000),
        (2, 0, 250_000),
    ]


def test_one_passage_in_twenty_thousand_documents() -> None:
    """Time is linear: its anchors have 20,000 members each, and the text around those at its ends differs."""
    passage = " ".join(random.Random(3).choices(["stone", "river", "quiet", "seven"], k=25))
    docs = documents([f"{number:06} {passage} {number * 7:06}" for number in range(20_000)])
    found = edits_of(Substring(min_bytes=100, bounds="characters"), docs, 20_000, 20_000, 3)
    assert len({row["row"] for row in found}) == 19_999
    assert {row["end"] - row["start"] >= len(passage) for row in found} == {True}


def test_a_run_cuts_passages_and_tells_what_keeps_them(tmp_path: Path) -> None:
    """The same in one unit and in several, whatever the order of the input."""
    draw = random.Random(11)
    words = ["水車", "stone", "wéir", "😀", "race", "mill"]
    passages = [" ".join(draw.choices(words, k=40)) for _ in range(20)]
    texts = [
        f"{number} {draw.choice(passages)} {draw.random()} {draw.choice(passages)}" for number in range(1200)
    ]
    texts += ["", "short"]
    stage = "{substring: {min_bytes: 100, bounds: words}}"
    whole = run(write_recipe(tmp_path / "whole", [texts], stage))
    draw.shuffle(texts)
    parts = run(write_recipe(tmp_path / "parts", [texts], stage, reader=", split_bytes: 65536"))
    assert len(parts.view()) > len(whole.view()) == 1
    assert sorted(rows_of(whole)) == sorted(rows_of(parts))
    ledgers = [record.steps["dedup.substring"].ledger.record() for record in (whole, parts)]
    assert ledgers[0] == ledgers[1]
    assert ledgers[0][0].cut["repeated_substring"] > 200_000
    names = [name.rpartition(".")[2] for name in whole.steps if name.startswith("dedup")]
    assert names == ["scatter", "round-1", "round-2", "round-3", "gather", "substring"]
