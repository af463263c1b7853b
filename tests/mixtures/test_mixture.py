from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.mixtures.draw import Draw
from corpusmill.mixtures.mixture import Mixture
from corpusmill.mixtures.mixture_sums import MixtureSums
from corpusmill.mixtures.plan.selection import EDGE
from corpusmill.pipelines.contract.documents import Documents, document_id
from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.contract.randomness import is_held_out
from corpusmill.pipelines.contract.stage import ROW, UNIT, Context


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
    docs = apart(docs, seed, options.get("held_out", 0.0))
    stage = Mixture(**options)
    sums = MixtureSums(**told_by(stage)).prepare(Context(seed=seed))
    sums.finish(sums.combine([sums.map(iter([part])) for part in addressed(docs)]), folder)
    stage = stage.prepare(Context(seed=seed, artefacts={"mixture_sums": folder}))
    parts = [stage.map(iter([part])) for part in addressed(docs)]
    told = stage.finish(stage.combine(parts), folder)
    plan: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    assert {**json.loads(json.dumps(told)), "cells": plan["cells"]} == plan
    return plan


def told_by(stage: Mixture) -> dict[str, Any]:
    """Options of `mixture_sums` beside a mixture, as the section gives them."""
    cells = stage.cells()
    return {
        "told_by": cells.names,
        "edges": {one.name: one.edges for one in cells.columns if one.edges is not None},
        "named": {one.name: sorted(one.named) for one in cells.columns if one.named is not None},
    }


def end_of(plan: dict[str, Any], source: str) -> dict[str, Any]:
    """Where the only cell of a source ends."""
    (cell,) = (cell for cell in plan["cells"] if tuple(cell["values"]) == (source,))
    end: dict[str, Any] = cell["phases"][-1]["end"]
    return end


def apart(docs: Documents, seed: int, share: float) -> Documents:
    """The documents with so many held out."""
    return docs.with_columns({"held_out": pa.array(is_held_out(docs.column("id"), seed, share))})


def addressed(docs: Documents, rows: int = 40) -> list[Documents]:
    """The documents in units of so many rows, with their addresses."""
    found = []
    for at in range(0, max(1, len(docs)), rows):
        part = docs.slice(at, rows)
        unit = pa.array([at // rows] * len(part), pa.uint32())
        found.append(part.with_columns({UNIT: unit, ROW: pa.array(range(len(part)), pa.uint32())}))
    return found


def emitted(docs: Documents, folder: Path) -> pa.Table:
    """What is drawn of the documents, `row` counting through all units."""
    stage = Draw().prepare(Context(artefacts={"mixture": folder}))
    plan = json.loads((folder / "plan.json").read_text())
    docs = apart(docs, plan["seed"], plan["held_out"]["share"])
    tables = []
    for unit, part in enumerate(addressed(docs)):
        rows = stage.emit(part.drop(UNIT, ROW), unit, np.arange(len(part), dtype=np.uint32)).rows
        column = pa.array(rows.column("row").to_numpy() + 40 * unit, pa.uint32())
        tables.append(rows.set_column(rows.column_names.index("row"), "row", column))
    return pa.concat_tables(tables)


def lengths(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Tokens of each row as it is trained on: all, or those it is cut to."""
    whole = np.diff(rows.column("tokens").combine_chunks().offsets.to_numpy())
    cut = rows.column("cut_to").to_numpy()
    assert (cut < whole).all()
    return np.where(cut >= 0, cut, whole)


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
        assert (one["epochs"], one["shortfall"]) == (1.0, None)
    for cell in plan["cells"]:
        assert cell["phases"][0]["end"] == {"epoch": 1}


@pytest.mark.parametrize("tokens", [500, 5_000, 20_000, 33_333])
def test_what_is_planned_is_what_is_drawn(tmp_path: Path, tokens: int) -> None:
    docs = encoded(many(1500, "a", "b", "b", "c"))
    plan = planned(docs, tmp_path, tokens=tokens, weights={"a": 0.5, "b": 0.25, "c": 0.25}, max_epochs=3)
    rows = emitted(docs, tmp_path)
    sizes = lengths(rows)
    sources = np.array(rows.column("source").to_pylist())
    for source, one in plan["sources"].items():
        mine = sources == source
        assert (int(sizes[mine].sum()), int(mine.sum())) == (one["tokens"], one["documents"])
        assert one["bytes"] == 3 * one["tokens"]
        assert one["tokens"] == min(one["requested_tokens"], int(3 * one["available_tokens"]))
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
    aside = np.array(rows.column("held_out").to_pylist())
    row = rows.column("row").to_numpy()
    np.testing.assert_array_equal(aside, held[row])
    assert 0 < plan["held_out"]["documents"] == aside.sum()
    assert plan["held_out"]["share"] == 0.1
    for source in "ab":
        mine = np.array([name == source for name, _ in sizes])
        size = np.array([count for _, count in sizes])
        one, other = plan["sources"][source], plan["held_out"]["sources"][source]
        assert one["available_tokens"] == size[mine & ~held].sum()
        assert one["tokens"] == lengths(rows)[~aside][mine[row[~aside]]].sum()
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
    assert a["shortfall"].startswith("600 tokens asked, 250 drawn: max_epochs 2.5 allows no more of the 100 ")
    assert "(6.00 epochs are asked)" in a["shortfall"]
    assert (a["cause"], b["tokens"], b["shortfall"], b["cause"]) == ("max_epochs", 400, None, None)
    with pytest.raises(UserError, match="mixture: a: 600 tokens asked, 250 drawn"):
        planned(docs, tmp_path, **options, on_shortfall="fail")


SHORT = [
    ([("a", 10)], {}, "empty", "5 tokens asked, 0 drawn: the source has no tokens, nothing is left of it"),
    ([("a", 10), ("b", 0), ("b", 0)], {}, "empty", "the 2 documents of the source have no tokens"),
    ([("a", 10)] * 9 + [("b", 9)], {"held_out": 0.5}, "held_out", "its only document is held out"),
    (
        [("a", 10), ("b", 9)],
        {"weights": {"a": 0.99, "b": 0.01}},
        "rounding",
        "0.01 of 10 tokens, is less than",
    ),
    ([("a", 10), ("b", 2)], {"max_epochs": 2}, "max_epochs", "5 tokens asked, 4 drawn: max_epochs 2 allows"),
]


@pytest.mark.parametrize(("sizes", "options", "cause", "said"), SHORT)
def test_every_share_that_is_missed_is_said(
    tmp_path: Path, sizes: list[tuple[str, int]], options: dict[str, Any], cause: str, said: str
) -> None:
    docs = encoded(sizes)
    options = {"weights": {"a": 0.5, "b": 0.5}, "tokens": 10, "max_epochs": 100, **options}
    seeds = range(1, 60)
    if cause == "held_out":  # a seed that holds out the document of b, and not all of a
        held = {seed: is_held_out(docs.column("id"), seed, 0.5) for seed in seeds}
        seeds = [seed for seed in seeds if held[seed][-1] and not held[seed][:-1].all()][:1]
    plan = planned(docs, tmp_path, seed=seeds[0], **options)
    one = plan["sources"]["b"]
    assert (one["cause"], one["tokens"] < plan["tokens"]) == (cause, True)
    assert said in one["shortfall"]
    assert plan["sources"]["a"]["shortfall"] is None
    with pytest.raises(UserError, match="mixture: b: "):
        planned(docs, tmp_path, seed=seeds[0], **options, on_shortfall="fail")


def test_a_document_larger_than_its_share_is_drawn_in_part(tmp_path: Path) -> None:
    docs = encoded([*many(300, "big"), ("one", 4_001)])
    plan = planned(docs, tmp_path, tokens=5_000, weights={"big": 0.8, "one": 0.2}, on_shortfall="fail")
    one, name = plan["sources"]["one"], docs.column("id")[300].as_py()
    assert (one["requested_tokens"], one["tokens"], one["documents"]) == (1_000, 1_000, 1)
    assert one["bytes"] == 3_000
    last = end_of(plan, "one")["last"]
    assert last == {
        **last,
        "document": name,
        "unit": 7,
        "row": 20,
        "tokens": 1_000,
        "of": 4_001,
    }
    rows = emitted(docs, tmp_path)
    assert rows.filter(pc.equal(rows.column("source"), "one")).column("cut_to").to_pylist() == [1_000]
    assert sum(to >= 0 for to in rows.column("cut_to").to_pylist()) <= 2
    assert lengths(rows).sum() == 5_000


corpora = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.one_of(st.integers(0, 6), st.integers(0, 3_000)),
        st.one_of(st.integers(0, 3), st.integers(4, 2**30)),  # a few ids come again and again
    ),
    min_size=1,
    max_size=90,
)


@settings(deadline=None, max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    corpora,
    st.tuples(*[st.integers(0, 20)] * 3).filter(any),
    st.integers(1, 30_000),
    st.sampled_from([0.3, 1.0, 2.5, 40.0]),
    st.sampled_from([0.0, 0.2]),
    st.randoms(use_true_random=False),
)
def test_shares_are_exact_and_the_plan_tells_what_is_drawn(
    tmp_path: Path,
    corpus: list[tuple[str, int, int]],
    weights: tuple[int, int, int],
    tokens: int,
    max_epochs: float,
    held_out: float,
    random_: Any,
) -> None:
    """For any lengths, weights, epochs, groups and repeated ids: a source gives what its share asks, to the
    token, or what max_epochs allows, with a reason; one document a source is cut; any division of the
    documents draws the same."""
    groups = [[None, None, "r", "s"][identity % 4] for *_, identity in corpus]
    docs = encoded([(source, size) for source, size, _ in corpus], groups)
    ids = [document_id(source, f"{identity}:{size}".encode()) for source, size, identity in corpus]
    docs = docs.with_columns({"id": pa.array(ids, pa.string())})
    options: dict[str, Any] = {"weights": dict(zip("abc", weights, strict=True)), "normalize": True}
    options |= {"tokens": tokens, "max_epochs": max_epochs, "held_out": held_out}
    held = is_held_out(docs.column("id"), 1, held_out)
    if not any(
        size and weights["abc".index(source)] and not one
        for (source, size, _), one in zip(corpus, held, strict=True)
    ):
        with pytest.raises(UserError, match="has no tokens"):
            planned(docs, tmp_path, **options)
        return
    plan = planned(docs, tmp_path, **options)
    rows = emitted(docs, tmp_path)
    aside = np.array(rows.column("held_out").to_pylist(), bool)
    sizes, sources = lengths(rows), np.array(rows.column("source").to_pylist(), object)
    cut = rows.column("cut_to").to_numpy()
    for source, one in plan["sources"].items():
        mine = (sources == source) & ~aside
        assert (sizes[mine].sum(), mine.sum()) == (one["tokens"], one["documents"])
        asked, most = one["requested_tokens"], int(max_epochs * one["available_tokens"])
        assert abs(asked - one["requested_share"] * tokens) < 1 + 1e-6
        assert one["tokens"] == min(asked, most)
        missed = asked > most or (asked == 0 and one["requested_share"] > 0)
        assert (one["shortfall"] is not None) == (one["cause"] is not None) == missed
        assert (cut[mine] >= 0).sum() <= 1
        epochs = rows.column("epoch").to_numpy()[mine]
        full_epochs = end_of(plan, source).get("epoch", 0) if len(epochs) else 0
        assert not len(epochs) or epochs.max() <= full_epochs
        assert (epochs[cut[mine] >= 0] == full_epochs).all()
    assert sum(one["requested_tokens"] for one in plan["sources"].values()) == tokens
    assert not (cut[aside] >= 0).any()
    order = random_.sample(range(len(ids)), len(ids))
    again = Documents(docs.table.take(pa.array(order)))
    planned(again, tmp_path, **options)
    other = emitted(again, tmp_path)
    names = ("key", "id", "epoch", "held_out", "cut_to", "source")
    mine, theirs = (
        sorted(zip(*(t.column(n).to_pylist() for n in names), strict=True)) for t in (rows, other)
    )
    assert mine == theirs


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
        ({"weights": {"a": float("nan")}}, r"weights\.a\n.*finite number"),
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
    for unprepared in (stage, MixtureSums()):
        with pytest.raises(RuntimeError, match="call prepare first"):
            unprepared.map(iter([apart(encoded([("a", 1)]), 1, 0.0)]))
    with pytest.raises(RuntimeError, match="call prepare first"):
        stage.finish(EDGE.empty_table(), tmp_path)


def test_sources_and_weights_must_agree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="source b has no weight"):
        planned(encoded([("a", 1), ("b", 1)]), tmp_path, weights={"a": 1.0})
    with pytest.raises(UserError, match="no tokens"):
        planned(encoded([]), tmp_path)
    planned(encoded([("a", 1)]), tmp_path)
    with pytest.raises(IntegrityError, match="does not know source b"):
        emitted(encoded([("b", 1)]), tmp_path)


def test_selection_depends_on_ids_and_seed_alone(tmp_path: Path) -> None:
    docs = encoded(many(400, "a"))
    half = sum(size for _, size in many(400, "a")) // 2
    taken = []
    for seed in (1, 1, 2):
        planned(docs, tmp_path, seed=seed, tokens=half)
        taken.append(emitted(docs, tmp_path).column("id").to_pylist())
    assert set(taken[0]) == set(taken[1]) != set(taken[2])
    assert 120 < len(taken[0]) < 280
