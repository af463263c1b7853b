"""Sweeps: every value gives what a what-if with it gives, and shares only grow as a limit loosens."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.what_if.rendering import render_sweep
from corpusmill.pipelines.inspection.what_if.sweep import sweep
from corpusmill.pipelines.inspection.what_if.what_if import what_if
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder


def test_a_sweep_is_many_what_ifs(asked_folder: Path) -> None:
    recipe = load_recipe(asked_folder / "recipe.yaml")
    folder = RunFolder(asked_folder / "run")
    found = sweep(folder, "web.enough_words.at_least=0:200:25")
    curve = found.sources["web"]
    assert [one.value for one in curve.values] == list(range(0, 201, 25))
    assert curve.now == 40
    passed = [one.passed.documents for one in curve.values]
    assert passed == sorted(passed, reverse=True)
    assert passed[0] > passed[-1] > 0
    for one in curve.values:
        single = what_if(folder, [f"web.enough_words.at_least={one.value:g}"], recipe, 0).sources["web"]
        assert single.came == curve.came
        assert one.unjudged.documents == single.passed.documents
        assert one.unjudged.bytes == single.passed.bytes
        assert one.kept.documents == single.kept.documents - single.removed.documents
        parts = (one.kept, one.removed_later, one.unjudged)
        assert one.passed.documents == sum(part.documents for part in parts)


def test_the_curve_is_drawn_with_the_value_of_the_run(asked_folder: Path) -> None:
    load_recipe(asked_folder / "recipe.yaml")
    drawn = render_sweep(sweep(RunFolder(asked_folder / "run"), "web.vowels.most=0.36:0.44:0.02"))
    lines = drawn.splitlines()
    values = [line.split()[0] for line in lines if "%" in line]
    assert values == ["0.36", "0.38", "0.4", "0.42", "0.44"]
    (marked,) = [line for line in lines if "the run has 0.395" in line]
    assert marked.strip().startswith("0.4 ")
    assert "█" in marked


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("web.enough_words.at_least=10:5:1", "TO not below FROM"),
        ("web.enough_words.at_least=1:5:0", "STEP must be above 0"),
        ("web.enough_words.at_least=1:5", "FROM:TO:STEP"),
        ("web.enough_words.at_least=a:b:c", "FROM:TO:STEP"),
        ("web.enough_words.at_least=0:nan:1", "STEP must be above 0"),
        ("web.enough_words.at_least=0:100000:1", "more than 500"),
        ("web.enough_words.at_lest=0:10:1", "did you mean `at_least`"),
        ("web.enough_words.at_least=0:1:0.5", "whole number"),
    ],
)
def test_what_is_no_sweep_is_told(asked_folder: Path, written: str, words: str) -> None:
    load_recipe(asked_folder / "recipe.yaml")
    with pytest.raises(UserError, match=words):
        sweep(RunFolder(asked_folder / "run"), written)
