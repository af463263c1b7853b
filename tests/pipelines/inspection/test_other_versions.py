"""Runs that another version of corpusmill wrote: told as that, with the cure, and the cure works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import OtherVersionError
from corpusmill.pipelines.inspection.doctor import Check, doctor
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.plan import make_plan
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.pipelines.storage.sealed import digest

RECIPE = """
name: old
output: run
engine: {kind: inline}
sources: {a: {read: {jsonl: a.jsonl}}}
dedup: [exact]
"""
PLACES = {"current.json": "current steps", "graph.json": "graph", "recipe.json": "recipe"}


def run(folder: Path, repair: bool = False) -> RunResult:
    return run_recipe(load_recipe(folder / "recipe.yaml"), repair=repair)


@pytest.fixture
def finished(tmp_path: Path) -> RunFolder:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "text {n}"}}\n' for n in range(9)), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return run(tmp_path).folder


def faults_of_the_run(run: RunFolder) -> list[Check]:
    """What `doctor` finds, apart from what this machine lacks."""
    return [one for one in doctor(run).faults if one.name.endswith(".json") or one.name.startswith("step ")]


def make_older(path: Path, place: str) -> None:
    """As another version would have written it: sealed, with another number and a field of its own."""
    value = json.loads(path.read_text("utf-8"))
    del value["seal"]
    value |= {"version": 0, "then": 1}
    path.write_text(json.dumps({**value, "seal": digest([place, value])}), encoding="utf-8")


@pytest.mark.parametrize("name", sorted(PLACES))
def test_a_file_of_another_version_is_told_and_a_run_replaces_it(
    finished: RunFolder, tmp_path: Path, name: str
) -> None:
    make_older(finished.path / name, PLACES[name])
    with pytest.raises(
        OtherVersionError, match=rf"{name}: a .* of version 0.*run its recipe again with this"
    ):
        load_record(finished)
    (fault,) = [check for check in doctor(finished).faults if check.name.endswith(".json")]
    assert (fault.name, fault.cure) == (name, "run its recipe again with this version")
    assert doctor(finished).exit_code == 1  # nothing is damaged
    assert make_plan(load_recipe(tmp_path / "recipe.yaml"))
    assert sum(state.redone for state in run(tmp_path).steps) == 0
    assert load_record(finished).stale == []
    assert faults_of_the_run(finished) == []


def test_a_manifest_of_another_version_is_told(finished: RunFolder) -> None:
    step = finished.current_step("dedup.exact")
    assert step is not None
    make_older(step.manifest_path, "manifest")
    with pytest.raises(OtherVersionError, match=r"manifest\.json: a manifest of version 0"):
        load_record(finished)
    (fault,) = faults_of_the_run(finished)
    assert (fault.name, fault.damage) == ("step dedup.exact", False)


def test_repair_takes_files_of_another_version_for_lost(finished: RunFolder, tmp_path: Path) -> None:
    make_older(finished.path / "current.json", "current steps")
    result = run(tmp_path, repair=True)
    assert sum(state.redone for state in result.steps) == 0
    assert load_record(finished).stale == []
