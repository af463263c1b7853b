"""An estimate carried on to input of another size."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.run.at_scale import (
    Prices,
    at_scale,
    render_at_scale,
    resolution_memory,
    runner_memory,
    size_of,
)
from corpusmill.pipelines.run.estimate import Estimate, StepCost
from corpusmill.pipelines.run.operators.layout import layout_of, rounded
from corpusmill.pipelines.run.requests_at_scale import writes_of

STEPS = (
    StepCost("a.index", 10.0, 1000, "index", 1.0),
    StepCost("a", 3600.0, 10**9, "read", 2.0),
    StepCost("dedup.exact.scatter", 360.0, 10**8, "scatter", 1.0),
    StepCost("dedup.exact.gather", 36.0, 10**7, "match", 1.0),
    StepCost("dedup.exact", 3.6, 10**6, "apply_removals", 1.0),
    StepCost("train", 720.0, 10**5, "task", 3.0),
)
COST = Estimate(200, STEPS, 4, 1000.0, 8 * 2**30, 2 * 10**9, 10**9, 4 * 10**8)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "x.jsonl").write_text('{"text": "one"}\n')
    path = tmp_path / "recipe.yaml"
    path.write_text("name: scale\nsources: {a: {read: {jsonl: {files: x.jsonl, split_bytes: 32MiB}}}}\n")
    return load_recipe(path)


@pytest.mark.parametrize(
    ("text", "size"),
    [("100TB", 10**14), ("1.5 TiB", 3 * 2**39), ("7", 7), ("3k", 3000), (".5GB", 5 * 10**8), ("2pib", 2**51)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "TB", "-1TB", "1XB", "1 T B", "0", "0.1", "1iB", "9" * 400])
def test_what_is_no_size_is_told_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="write for example 10TB"):
        size_of(text)


@pytest.mark.parametrize("price", [-1.0, math.nan, math.inf])
def test_what_is_no_price_is_told_with_its_option(price: float) -> None:
    with pytest.raises(UserError, match=r"--million-reads: .* is no price"):
        Prices(million_reads=price)


def test_what_grows_and_what_does_not(recipe: Recipe) -> None:
    same, tenfold = at_scale(recipe, COST, 10**9), at_scale(recipe, COST, 10**10)
    assert [step.core_hours for step in same.steps] == [step.seconds / 3600 for step in STEPS]
    for one, ten, step in zip(same.steps, tenfold.steps, STEPS, strict=True):
        factor = 1 if step.name == "train" else 10
        assert ten.core_hours == pytest.approx(factor * one.core_hours)
        assert ten.disk == factor * one.disk
    assert same.worker_memory == 2 * 2**30
    assert same.money == pytest.approx(same.core_hours * 0.04 + same.disk / 1e9 * 0.02)
    dear = at_scale(recipe, COST, 10**9, Prices(1.0, 0.0, 10**6, 0.0))
    assert dear.money == pytest.approx(dear.core_hours)
    assert dear.requests_money == dear.writes


def test_units_follow_the_rules_of_a_run(recipe: Recipe) -> None:
    found = {step.name: step for step in at_scale(recipe, COST, 10**13).steps}
    reading, text = -(-(10**13) // 2**25), 4 * 10**12
    partitions = rounded(-(-text // 2**28))
    assert (found["a"].units, found["a"].files) == (reading, 2 * reading)
    assert found["dedup.exact.gather"].units == partitions
    assert found["dedup.exact.scatter"].units == sum(layout_of(partitions, reading, text).files)
    assert found["dedup.exact"].units == -(-reading // 64)
    assert (found["train"].units, found["train"].files) == (1, 3)
    lines = render_at_scale(at_scale(recipe, replace(COST, input_bytes=0), 10**13))
    assert lines[1] == "at 10.0 TB of input, from the same cut:"
    assert len(lines) == 2 + len(STEPS) + 4


def test_requests_follow_from_files_units_and_what_units_open(recipe: Recipe) -> None:
    found = {step.name: step for step in at_scale(recipe, COST, 10**13).steps}
    reading, text = -(-(10**13) // 2**25), 4 * 10**12
    layout = layout_of(rounded(-(-text // 2**28)), reading, text)
    assert found["a.index"].reads == -(-(10**13) // 2**24)
    assert found["a"].reads == 3 * reading  # two ranges of 16 MiB, and what begins in them
    assert found["a"].writes == 3 * reading + -(-reading // 10_000) + 3
    groups = layout.files[-1] // layout.coarse
    assert found["dedup.exact.gather"].reads == layout.partitions * groups
    merges = layout.files[0] * layout.coarse + sum(layout.files[1:-1])
    assert found["dedup.exact.scatter"].reads == reading + merges
    assert (found["train"].reads, found["train"].writes) == (1, 3 + 1 + 1 + 3)
    masked = replace(COST, steps=(*STEPS, StepCost("tokens", 1.0, 10, "encode", 1.0, masks=2)))
    assert at_scale(recipe, masked, 10**13).steps[-1].reads == 3 * reading


def test_a_file_of_over_32_mib_is_sent_in_parts() -> None:
    assert writes_of(10, 20, 20 * 2**25) == 20 + 10 + 1 + 3
    assert writes_of(10, 20, 40 * 2**25) == 20 * 3 + 40 + 10 + 1 + 3


def test_memory_of_runner_and_resolution_is_bounded_but_for_a_list_of_units() -> None:
    few, many, more = (runner_memory(units) for units in (1000, 10**6, 10**7))
    assert few < many < more
    assert more - many == 9 * 10**6 * 40
    assert resolution_memory(1000) == 700_000
    assert resolution_memory(2**18) == 2**18 * 700
    assert resolution_memory(2**30) == resolution_memory(2**18)
    assert resolution_memory(2**40) == 2**24 * 700  # no more than 65,536 partitions
