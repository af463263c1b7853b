from __future__ import annotations

import hashlib
import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.contract.randomness import HELD_OUT, draws, is_held_out
from corpusmill.pipelines.contract.stage import Context
from corpusmill.tokenizer.bpe.sample_budget import allotted, shared
from corpusmill.tokenizer.bpe.sample_histogram import bins_of, first_bytes, largest_draw
from corpusmill.tokenizer.bpe.sampling import read_sample, read_verification
from corpusmill.tokenizer.tokenizer_sample import TokenizerSample
from tests.oracles.tokenizer_counts import sampled
from tests.oracles.tokenizer_texts import as_documents, made_texts


def corpus(count: int = 400, seed: int = 1) -> Documents:
    """Documents of four strata of uneven size."""
    texts = made_texts(count, seed)
    draw = random.Random(seed)
    kinds = draw.choices(
        [("web", "en"), ("web", "zh"), ("web", None), ("code", None)], (12, 4, 1, 3), k=count
    )
    return as_documents(texts, source=[kind[0] for kind in kinds], lang=[kind[1] for kind in kinds])


def chosen_by(folder: Path, docs: Documents) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """Of every stratum, id and bytes of the documents chosen."""
    sample = read_sample(folder / "sample.json")
    kept = docs.keep(sample.choose(docs))
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for row, size in zip(kept.table.to_pylist(), sample.stops(kept.text).tolist(), strict=True):
        found.setdefault((row["source"], row["lang"] or "und"), []).append((row["id"], size))
    return found


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.text("aé中🙂 \n", max_size=30), st.sampled_from("ab"), st.sampled_from([None, "en"]))
    ),
    st.integers(1024, 4000),
    st.randoms(use_true_random=False),
)
def test_any_order_and_division_gives_one_partial(
    rows: list[tuple[str, str, str | None]], budget: int, draw: random.Random
) -> None:
    docs = as_documents(
        [row[0] * 40 for row in rows], source=[row[1] for row in rows], lang=[row[2] for row in rows]
    )
    stage = TokenizerSample(
        verification_bytes=4096, max_document_bytes=256, sample_bytes=budget, held_out=0.2
    )
    stage = stage.prepare(Context(seed=1))
    whole = stage.combine([stage.map(iter([docs]))])
    order = list(range(len(rows)))
    draw.shuffle(order)
    parts = [stage.map(iter([docs.slice(row, 1)])) for row in order] or [stage.map(iter([]))]
    while len(parts) > 1:
        at = draw.randrange(len(parts) - 1)
        parts[at : at + 2] = [stage.combine(parts[at : at + 2])]
    assert parts[0].equals(whole)


def test_any_division_gives_the_same_files(tmp_path: Path) -> None:
    docs = corpus()
    sampled(tmp_path / "one", [docs], sample_bytes=60_000, max_document_bytes=2000)
    units = [docs.slice(start, 7) for start in range(0, 400, 7)][::-1]
    sampled(tmp_path / "many", units, sample_bytes=60_000, max_document_bytes=2000)
    assert digests(tmp_path / "one") == digests(tmp_path / "many")


def test_of_each_stratum_the_smallest_draws_are_chosen(tmp_path: Path) -> None:
    docs = corpus()
    facts = sampled(tmp_path / "s", [docs], 9, sample_bytes=90_000, max_document_bytes=300, held_out=0.1)
    chosen = chosen_by(tmp_path / "s", docs)
    drawn = dict(
        zip(docs.column("id").to_pylist(), draws(docs.column("id"), 9, "tokenizer.sample"), strict=True)
    )
    held = is_held_out(docs.column("id"), 9, 0.1)
    for each in facts["strata"]:
        stratum = each["source"], each["lang"]
        offered = sorted(
            (drawn[row["id"]], row["id"], len(row["text"].encode()[:300].decode(errors="ignore").encode()))
            for row, out in zip(docs.table.to_pylist(), held, strict=True)
            if (row["source"], row["lang"] or "und") == stratum and not out
        )
        assert (each["documents"], each["bytes"]) == (len(offered), sum(size for *_, size in offered))
        expected = {name for _, name, _ in offered[: each["chosen_documents"]]}
        assert {name for name, _ in chosen[stratum]} == expected
        assert sum(size for _, size in chosen[stratum]) == each["chosen_bytes"] <= each["budget_bytes"]
        # Full up to a document and a bin's width.
        if each["chosen_documents"] < each["documents"]:
            assert each["chosen_bytes"] > each["budget_bytes"] * 0.97 - 600
    assert facts["bytes"] == sum(each["chosen_bytes"] for each in facts["strata"]) <= 90_000
    assert sum(each["held_out_documents"] for each in facts["strata"]) == held.sum() > 20


def test_without_pressure_all_that_is_not_held_out_is_chosen(tmp_path: Path) -> None:
    docs = corpus()
    sampled(tmp_path / "s", [docs], held_out=0.3)
    chosen = read_sample(tmp_path / "s" / "sample.json").choose(docs)
    assert np.array_equal(chosen, ~is_held_out(docs.column("id"), 3, 0.3))


def test_held_out_is_a_share_by_a_draw_of_its_own() -> None:
    ids = as_documents([str(i) for i in range(5000)]).column("id")
    for share in (0.0, 0.01, 0.25, 1.0):
        expected = [int(draw) < Fraction(share) * 2**64 for draw in draws(ids, 4, HELD_OUT)]
        held = is_held_out(ids, 4, share)
        assert held.tolist() == expected
        assert abs(held.mean() - share) < 0.02
    assert not np.array_equal(is_held_out(ids, 4, 0.25), is_held_out(ids, 5, 0.25))
    low = draws(ids, 4, "tokenizer.sample") < np.uint64(2**62)
    assert abs(is_held_out(ids, 4, 0.5)[low].mean() - 0.5) < 0.06


def test_own_budgets_go_first_and_the_rest_is_shared() -> None:
    sizes = {("code", "und"): 50, ("web", "en"): 1000, ("web", "fr"): 100, ("web", "zh"): 400}
    assert allotted(sizes, 10_000, {}, 1.0) == sizes
    assert allotted(sizes, 155, {}, 1.0) == {
        ("code", "und"): 5,
        ("web", "en"): 100,
        ("web", "fr"): 10,
        ("web", "zh"): 40,
    }
    given_ = allotted(sizes, 500, {"web/zh": 300, "code": 80}, 1.0)
    assert given_ == {("web", "zh"): 300, ("code", "und"): 50, ("web", "en"): 136, ("web", "fr"): 13}
    given_ = allotted(sizes, 500, {"web": 110, "web/zh": 0}, 1.0)
    assert given_ == {("web", "zh"): 0, ("web", "en"): 100, ("web", "fr"): 10, ("code", "und"): 50}
    for wrong in ("wbe", "web/de", "web/"):
        with pytest.raises(UserError, match=f"budgets names {wrong}, .* there are code, web, code/und"):
            allotted(sizes, 500, {wrong: 5}, 1.0)


@settings(deadline=None, max_examples=100)
@given(
    st.dictionaries(st.tuples(st.text("ab", max_size=3), st.just("x")), st.integers(0, 10**12), max_size=9),
    st.integers(0, 10**12),
    st.sampled_from((0.0, 0.3, 0.7, 1.0)),
)
def test_sharing_uses_the_budget_and_favours_the_small(
    sizes: dict[tuple[str, str], int], budget: int, exponent: float
) -> None:
    given_ = shared(sizes, budget, exponent)
    assert set(given_) == set(sizes)
    assert all(0 <= given_[stratum] <= size for stratum, size in sizes.items())
    whole = sum(sizes.values())
    assert sum(given_.values()) <= budget
    assert sum(given_.values()) >= min(budget, whole) - len(sizes) - budget * 1e-9
    shares = [(given_[stratum] / size, size) for stratum, size in sizes.items() if size]
    for share, size in shares:
        for other, larger in shares:
            if size < larger:
                assert share >= other - 2 / size - 1e-9


def test_verification_texts_are_the_smallest_draws(tmp_path: Path) -> None:
    docs = corpus(2000)
    sampled(tmp_path / "s", [docs.slice(0, 900), docs.slice(900, 1100)], 5, verification_bytes=2**15)
    texts = read_verification(tmp_path / "s" / "verification.arrow").to_pylist()
    drawn = draws(docs.column("id"), 5, "tokenizer.verification")
    expected, used = [], 0
    for row in np.argsort(drawn):
        if used >= 2**15:
            break
        text = docs.text[int(row)].as_py().encode()[: 2**15 // 64].decode(errors="ignore")
        used += len(text.encode())
        expected.append(text)
    assert texts == expected
    assert len(texts) > 50


def test_units_that_know_how_large_the_corpus_is_keep_few_texts_and_the_same_are_chosen() -> None:
    docs = corpus(4000)
    stage = TokenizerSample(verification_bytes=2**14).prepare(Context(seed=5))
    units = [docs.slice(start, 200) for start in range(0, 4000, 200)]
    size = int(docs.sizes().sum())
    told = stage.of_corpus(2**11, 1 << (size.bit_length() - 1))
    every = [stage.map(iter([unit])) for unit in units]
    few = [told.map(iter([unit])) for unit in units]
    assert told.combine(few).equals(stage.combine(every))
    assert size > 16 * 2**14
    texts = [sum(part.num_rows - part.column("text").null_count for part in parts) for parts in (every, few)]
    assert texts[1] < texts[0] // 3
    alone = stage.of_corpus(1, 1)  # of a corpus of one document all are kept
    assert alone.map(iter([units[0]])).equals(every[0])


@settings(deadline=None, max_examples=100)
@given(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 63).map(lambda bit: 2**bit)))
def test_bins_are_ordered_and_narrow(draw: int) -> None:
    (bin_,) = bins_of(np.array([draw], np.uint64)).tolist()
    edge = largest_draw(bin_)
    assert draw <= edge < 2**64
    if bin_:
        below = largest_draw(bin_ - 1)
        assert below < draw
        assert (edge - below) <= max(2**11, edge // 128 + 1)


def test_cuts_are_at_characters() -> None:
    texts = pa.array(["water", "中文字", None, "🙂🙂", "é"], pa.large_string())
    assert first_bytes(texts, 4).to_pylist() == ["wate", "中", "", "🙂", "é"]
    assert first_bytes(texts, 100).to_pylist() == ["water", "中文字", "", "🙂🙂", "é"]


def test_an_unforeseen_stratum_is_an_error(tmp_path: Path) -> None:
    docs = corpus()
    sampled(tmp_path / "s", [docs])
    other = as_documents(["text"], source=["books"])
    with pytest.raises(IntegrityError, match="books/und were not there"):
        read_sample(tmp_path / "s" / "sample.json").choose(other)


@pytest.mark.parametrize(
    "texts, options, message",
    [
        ([], {}, "no documents"),
        (["", None], {}, "every document is empty or held out"),
        (["text"], {"held_out": 0.9999999}, "empty or held out"),
        (["text"], {"budgets": {"made": 0}}, "the budgets leave none"),
        (["text"], {"budgets": {"maid": 9}}, "budgets names maid"),
    ],
)
def test_nothing_to_choose_is_the_users_fault(
    texts: list[str], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        sampled(tmp_path / "s", [as_documents(texts)], **options)


def test_a_budget_smaller_than_a_document_still_takes_one(tmp_path: Path) -> None:
    docs = as_documents(["water " * 100] * 50)
    facts = sampled(tmp_path / "s", [docs], budgets={"made": 10}, held_out=0)
    assert facts["documents"] == 1
    assert json.loads((tmp_path / "s" / "sample.json").read_text()) == facts


@pytest.mark.parametrize(
    "options",
    [
        {"sample_bytes": 2048, "max_document_bytes": 4096},
        {"sample_bytes": 2**21, "budgets": {"a": 2**20, "b": 2**20 + 1}},
        {"budgets": {"a": -1}},
        {"held_out": 1.0},
        {"stratum_exponent": 1.5},
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TokenizerSample(**options)
