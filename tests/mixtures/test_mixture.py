from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.mixtures.draw import Draw
from corpusmill.mixtures.mixture import Mixture
from corpusmill.mixtures.plan.histogram import HISTOGRAM
from corpusmill.pipelines.documents import Documents, document_id
from corpusmill.pipelines.errors import IntegrityError, UserError
from corpusmill.pipelines.randomness import is_held_out
from corpusmill.pipelines.stage import Context


def encoded(sizes: Sequence[tuple[str, int]], groups: Sequence[str | None] | None = None) -> Documents:
    """Encoded documents of (source, tokens)."""
    n = len(sizes)
    return Documents(
        pa.table(
            {
                "id": pa.array([document_id(str(i), b"") for i in range(n)], pa.string()),
                "source": pa.array([source for source, _ in sizes], pa.string()),
                "group": pa.array(groups or [None] * n, pa.string()),
                "bytes": pa.array([3 * size for _, size in sizes], pa.int64()),
                "tokens": pa.array([list(range(size)) for _, size in sizes], pa.large_list(pa.uint16())),
            }
        )
    )


def planned(docs: Documents, folder: Path, seed: int = 1, **options: Any) -> dict[str, Any]:
    stage = Mixture(**options).prepare(Context(seed=seed))
    plan = stage.finish(stage.map(iter([docs])), folder)
    assert json.loads((folder / "plan.json").read_text()) == plan
    return plan


def emitted(docs: Documents, folder: Path, unit: int = 0) -> pa.Table:
    stage = Draw().prepare(Context(artefacts={"mixture": folder}))
    return stage.emit(docs, unit, np.arange(len(docs), dtype=np.uint32)).rows


def many(count: int, *sources: str) -> list[tuple[str, int]]:
    sizes = np.random.default_rng(5).integers(1, 50, count).tolist()
    return [(sources[i % len(sources)], size) for i, size in enumerate(sizes)]


def test_without_options_everything_is_taken_once(tmp_path: Path) -> None:
    docs = encoded(many(999, "a", "b", "c"))
    plan = planned(docs, tmp_path)
    assert plan["documents"] == 999
    assert plan["requested_tokens"] is None
    rows = emitted(docs, tmp_path)
    assert rows.column("row").to_pylist() == list(range(999))
    assert set(rows.column("epoch").to_pylist()) == {0}
    for one in plan["sources"].values():
        assert (one["full_epochs"], one["threshold"], one["epochs"], one["shortfall"]) == (1, 0, 1.0, None)


@pytest.mark.parametrize("tokens", [500, 5_000, 20_000, 33_333])
def test_what_is_planned_is_what_is_drawn(tmp_path: Path, tokens: int) -> None:
    docs = encoded(many(1500, "a", "b", "b", "c"))
    plan = planned(docs, tmp_path, tokens=tokens, weights={"a": 0.5, "b": 0.25, "c": 0.25}, max_epochs=3)
    rows = emitted(docs, tmp_path)
    sizes = np.diff(rows.column("tokens").combine_chunks().offsets.to_numpy())
    sources = np.array(rows.column("source").to_pylist())
    for source, one in plan["sources"].items():
        mine = sources == source
        assert (int(sizes[mine].sum()), int(mine.sum())) == (one["tokens"], one["documents"])
        assert one["bytes"] == 3 * one["tokens"]
        wanted = min(one["requested_tokens"], int(3 * one["available_tokens"]))
        assert abs(one["tokens"] - wanted) <= 25  # half of the longest document
    assert plan["tokens"] == int(sizes.sum())
    assert sum(one["share"] for one in plan["sources"].values()) == pytest.approx(1)


@pytest.mark.parametrize("tokens", [None, 5_000, 60_000])
def test_what_is_held_out_is_planned_beside(tmp_path: Path, tokens: int | None) -> None:
    """Every document is drawn to train on, held out, or left out, and the plan counts each exactly."""
    sizes = many(1500, "a", "b", "c")
    docs = encoded(sizes)
    weights = {"a": 0.5, "b": 0.5, "c": 0.0}
    plan = planned(docs, tmp_path, tokens=tokens, weights=weights, max_epochs=3, held_out=0.1)
    held = is_held_out(docs.column("id"), 1, 0.1)
    rows = emitted(docs, tmp_path)
    apart = np.array(rows.column("held_out").to_pylist())
    row = rows.column("row").to_numpy()
    np.testing.assert_array_equal(apart, held[row])
    assert 0 < plan["held_out"]["documents"] == apart.sum()
    assert plan["held_out"]["share"] == 0.1
    for source in "ab":
        mine = np.array([name == source for name, _ in sizes])
        size = np.array([count for _, count in sizes])
        one, other = plan["sources"][source], plan["held_out"]["sources"][source]
        assert one["available_tokens"] == size[mine & ~held].sum()
        assert one["tokens"] == size[row[~apart]][mine[row[~apart]]].sum()
        expected = {"tokens": size[mine & held].sum(), "documents": (mine & held).sum()}
        assert other == {**expected, "bytes": 3 * expected["tokens"]}
        assert one["available_tokens"] + other["tokens"] == size[mine].sum()
    assert set(plan["held_out"]["sources"]) == {"a", "b"}
    assert "c" not in rows.column("source").to_pylist()


def test_copies_are_numbered_and_no_epoch_is_left_out(tmp_path: Path) -> None:
    docs = encoded(many(300, "a"))
    total = sum(size for _, size in many(300, "a"))
    planned(docs, tmp_path, tokens=int(2.5 * total))
    rows = emitted(docs, tmp_path)
    copies: dict[str, list[int]] = {}
    for name, epoch in zip(rows.column("id").to_pylist(), rows.column("epoch").to_pylist(), strict=True):
        copies.setdefault(name, []).append(epoch)
    assert len(copies) == 300
    assert {tuple(epochs) for epochs in copies.values()} == {(0, 1), (0, 1, 2)}
    assert 100 < sum(len(epochs) == 3 for epochs in copies.values()) < 200
    keys = rows.column("key").to_pylist()
    assert len(set(keys)) == len(keys)


def test_max_epochs_limits_and_says_so(tmp_path: Path) -> None:
    docs = encoded([("a", 10)] * 10 + [("b", 10)] * 90)
    options: dict[str, Any] = {"weights": {"a": 0.6, "b": 0.4}, "tokens": 1000, "max_epochs": 2.5}
    plan = planned(docs, tmp_path, **options)
    a, b = plan["sources"]["a"], plan["sources"]["b"]
    assert (a["requested_tokens"], a["tokens"], a["epochs"]) == (600, 250, 2.5)
    assert "max_epochs 2.5 allows 250 of the 600 tokens requested (6.00 epochs of 100)" in a["shortfall"]
    assert (b["tokens"], b["shortfall"]) == (400, None)
    with pytest.raises(UserError, match="a: max_epochs"):
        planned(docs, tmp_path, **options, on_shortfall="fail")


def test_a_source_without_tokens_is_a_shortfall(tmp_path: Path) -> None:
    plan = planned(encoded([("a", 10)]), tmp_path, weights={"a": 0.5, "b": 0.5}, tokens=10)
    assert plan["sources"]["b"]["tokens"] == 0
    assert "no tokens" in plan["sources"]["b"]["shortfall"]


def test_weight_zero_leaves_a_source_out(tmp_path: Path) -> None:
    docs = encoded([("a", 10), ("b", 10)])
    plan = planned(docs, tmp_path, weights={"a": 1, "b": 0})
    assert (plan["tokens"], plan["sources"]["b"]["tokens"]) == (10, 0)
    assert emitted(docs, tmp_path).column("source").to_pylist() == ["a"]


def test_temperature_evens_sources_out(tmp_path: Path) -> None:
    docs = encoded([("a", 10)] * 100 + [("b", 10)] * 4)
    plan = planned(docs, tmp_path, temperature=2, tokens=120, max_epochs=10)
    shares = {source: one["requested_share"] for source, one in plan["sources"].items()}
    assert shares == pytest.approx({"a": 1000**0.5 / (1000**0.5 + 40**0.5), "b": 1 / 6})


def test_normalize_scales_weights(tmp_path: Path) -> None:
    docs = encoded([("a", 10)] * 30 + [("b", 10)] * 30)
    plan = planned(docs, tmp_path, weights={"a": 2, "b": 1}, normalize=True, tokens=300)
    assert [one["tokens"] for one in plan["sources"].values()] == [200, 100]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"a": 0.5, "b": 0.6}}, r"weights add up to 1\.1, not 1"),
        ({"weights": {"a": 0.0}, "normalize": True}, "weights add up to 0"),
        ({"weights": {"a": -0.5, "b": 1.5}}, "weight of a is -0.5"),
        ({"weights": {"a": float("nan")}}, "weight of a is nan"),
        ({"weights": {"a": 1.0}, "temperature": 2.0}, "not both"),
        ({"tokens": 0}, "greater than or equal to 1"),
        ({"max_epochs": 0}, "greater than 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mixture(**options)


def test_an_unprepared_stage_does_not_guess_the_seed(tmp_path: Path) -> None:
    stage = Mixture()
    with pytest.raises(RuntimeError, match="call prepare first"):
        stage.map(iter([encoded([("a", 1)])]))
    part = stage.prepare(Context(seed=1)).map(iter([encoded([("a", 1)])]))
    with pytest.raises(RuntimeError, match="call prepare first"):
        stage.finish(part, tmp_path)


def test_sources_and_weights_must_agree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="source b has no weight"):
        planned(encoded([("a", 1), ("b", 1)]), tmp_path, weights={"a": 1.0})
    with pytest.raises(UserError, match="no tokens"):
        planned(encoded([]), tmp_path)
    planned(encoded([("a", 1)]), tmp_path)
    with pytest.raises(IntegrityError, match="does not know source b"):
        emitted(encoded([("b", 1)]), tmp_path)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=40),
    st.lists(st.integers(0, 39), max_size=5),
    st.randoms(use_true_random=False),
)
def test_partials_combine_in_any_order(sizes: list[tuple[str, int]], cuts: list[int], random_: Any) -> None:
    docs = encoded(sizes)
    stage = Mixture().prepare(Context(seed=2))
    ends = sorted({0, len(docs), *(min(cut, len(docs)) for cut in cuts)})

    def unit(a: int, b: int) -> Iterator[Documents]:
        yield docs.slice(a, b - a)

    parts = [stage.map(unit(a, b)) for a, b in pairwise(ends)] or [stage.map(iter([docs]))]
    random_.shuffle(parts)
    while len(parts) > 1:
        at = random_.randrange(len(parts) - 1)
        parts[at : at + 2] = [stage.combine(parts[at : at + 2])]
    whole = stage.combine([stage.map(iter([docs]))])
    assert stage.combine(parts).equals(whole)
    assert whole.schema == HISTOGRAM
    assert sum(whole.column("tokens").to_pylist()) == sum(size for _, size in sizes)


def test_selection_depends_on_ids_and_seed_alone(tmp_path: Path) -> None:
    docs = encoded(many(400, "a"))
    half = sum(size for _, size in many(400, "a")) // 2
    taken = []
    for seed in (1, 1, 2):
        planned(docs, tmp_path, seed=seed, tokens=half)
        parts = [emitted(docs.slice(at, 40), tmp_path, at // 40) for at in range(0, 400, 40)]
        taken.append(pa.concat_tables(parts[::-1]).column("id").to_pylist())
    assert set(taken[0]) == set(taken[1]) != set(taken[2])
    assert 120 < len(taken[0]) < 280
