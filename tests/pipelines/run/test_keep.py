"""`keep`: files that no later step needs go; figures and content stay, and a rerun brings files back."""

from __future__ import annotations

import json
import random
import shutil
import signal
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import NotKeptError
from corpusmill.pipelines.inspection.doctor import doctor
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.inspect import inspect
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.run.plan import make_plan
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from corpusmill.pipelines.storage.not_kept import goes
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.pipelines.run.test_increments import current_files
from tests.warm import Warm

RECIPE = """\
name: kept
seed: 9
engine: {kind: inline}
sources:
  a: {read: {jsonl: {files: a.jsonl, split_bytes: 65536}}, steps: [gopher_repetition]}
dedup: [exact, minhash: {preset: verified}]
tokenizer: {train: {vocab_size: 300}}
pack: {sequence_length: 64}
output: all
"""
DEDUP = {f"dedup.{name}.{half}" for name in ("exact", "minhash") for half in ("scatter", "gather")}
WAY = {*DEDUP, "pack.scatter"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe and a run of it that keeps all, in `all`."""
    folder = tmp_path_factory.mktemp("keep")
    draw = random.Random(4)
    words = ["".join(draw.choices("abcdefghijklmnop", k=6)) for _ in range(400)]
    lines = []
    for number in range(120):
        text = draw.choices(words, k=80)
        near = [*text[:40], "changed", *text[41:]]
        for k, each in enumerate((text, near, text)[: 1 + number % 3]):
            lines.append(json.dumps({"id": f"{number}-{k}", "text": " ".join(each)}))
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    run(folder, "all")
    return folder


def run(folder: Path, out: str, *settings: str) -> RunResult:
    return run_recipe(load_recipe(folder / "recipe.yaml", [f"output={folder / out}", *settings]))


def again(folder: Path, keep: str, out: Path) -> RunResult:
    """A run beside the first one, in a folder of its own, that begins with what that one has."""
    shutil.copytree(folder / "all", out)
    return run(folder, str(out), f"keep={keep}")


def contents(out: Path) -> dict[str, str | None]:
    return {name: step.content for name, step in load_record(RunFolder(out)).steps.items()}


def gone(out: Path) -> set[str]:
    """Steps of the run that lack files; none lacks a list of removed documents."""
    found = set()
    for name, step in load_record(RunFolder(out)).steps.items():
        there = {file.name for file in step.data.units.files() if (step.data.data / file.name).exists()}
        lacking = {file.name for file in step.data.units.files()} - there
        assert all(goes(name) for name in lacking)
        if lacking:
            assert not any(goes(name) for name in there)
            found.add(name)
    return found


def sound(out: Path) -> bool:
    checks = doctor(RunFolder(out), deep=True).checks
    return all(check.ok for check in checks if check.name.startswith(("step", "ledger")))


def document(out: Path, outcome: str) -> str:
    """The id of a document that is in the shards, or was removed by a mask."""
    view = load_record(RunFolder(out)).view()
    for unit in range(len(view)):
        kept = {identity for docs, _ in view.batches(unit) for identity in docs.column("id").to_pylist()}
        if outcome == "kept":
            return min(kept)
        lost = [batch.column("id").to_pylist() for batch in view.mask_batches(unit)]
        return min(identity for ids in lost for identity in ids)
    raise AssertionError(outcome)


def test_what_no_later_step_needs_goes_and_figures_stay(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = again(folder, "needed", out)
    assert sum(state.redone for state in result.steps) == 0
    lacking = gone(out)
    assert lacking >= WAY
    assert not lacking & {"a", "encode", "dedup.exact", "tokenizer", "mixture", "pack", "a.index"}
    assert contents(out) == contents(folder / "all")
    assert "removed after use (`keep: needed`)" in render_inspection(
        inspect(out / "steps" / "dedup.exact.scatter")
    )
    assert "removed after use" not in render_inspection(inspect(out / "steps" / "a"))
    assert sound(out)
    first, second = gather(RunFolder(folder / "all")), gather(RunFolder(out))
    assert (second.ledger, second.funnel) == (first.ledger, first.funnel)
    assert second.distributions == first.distributions
    assert [finding for finding in second.findings if "keep=all" in finding.text]
    story = render_story(explain(RunFolder(out), document(folder / "all", "kept")))
    assert "--set keep=all" in story
    story = render_story(explain(RunFolder(out), document(folder / "all", "removed")))
    assert "removed by minhash" in story or "removed by exact" in story
    assert sum(state.redone for state in run(folder, str(out), "keep=needed").steps) == 0


def test_a_late_option_makes_again_what_it_needs(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    again(folder, "needed", out)
    settings = ("keep=needed", "pack.sequence_length=48")
    plan = {
        step.name: step.why
        for step in make_plan(load_recipe(folder / "recipe.yaml", [f"output={out}", *settings])).steps
        if step.state == "run"
    }
    assert plan["pack.scatter"] == "its files were not kept, and pack needs them"
    done = {state.step.name for state in run(folder, str(out), *settings).steps if state.redone}
    assert done == plan.keys() == {"pack.scatter", "pack"}
    assert gone(out) >= WAY
    run(folder, str(tmp_path / "fresh"), "pack.sequence_length=48")
    assert contents(out) == contents(tmp_path / "fresh")


def test_results_alone_stay_and_all_comes_back(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    again(folder, "results", out)
    assert gone(out) >= {*WAY, "a", "encode"}
    assert contents(out) == contents(folder / "all")
    assert sound(out)
    assert gather(RunFolder(out)).ledger == gather(RunFolder(folder / "all")).ledger
    with pytest.raises(NotKeptError, match=r"00000.parquet: was removed after use.*--set keep=all"):
        explain(RunFolder(out), "0" * 32)
    (removed,) = explain(RunFolder(out), document(folder / "all", "removed")).instances
    assert removed.comparison is not None
    assert "was removed after use" in (removed.comparison.not_shown or "")
    told = explain(RunFolder(out), removed.comparison.survivor_id)
    assert "was removed after use" in (told.untold or "")
    assert [one.documents for one in told.displaced] == [1]
    assert "differences are not shown: " in render_story(told)
    assert sum(state.redone for state in run(folder, str(out), "keep=results").steps) == 0
    run(folder, str(out), "keep=needed")
    assert gone(out) >= WAY
    assert not gone(out) & {"a", "encode"}
    run(folder, str(out))
    assert current_files(out) == current_files(folder / "all")


def test_killed_while_files_go_the_next_run_removes_the_rest(
    folder: Path, tmp_path: Path, warm: Warm
) -> None:
    out = tmp_path / "run"
    shutil.copytree(folder / "all", out)
    command = ("run", folder / "recipe.yaml", "--out", out, "--set", "keep=results")
    for point in ("not-kept-before-files:1", "not-kept-between-files:2", "not-kept-between-files:9"):
        killed = warm.call(*command, env={"CORPUSMILL_FAULTPOINT": point})
        assert killed.returncode == -signal.SIGKILL, point
        assert sound(out)
    assert warm.call(*command).returncode == 0
    assert gone(out) >= {*WAY, "a", "encode"}
    assert contents(out) == contents(folder / "all")
    command = ("run", folder / "recipe.yaml", "--out", out)
    killed = warm.call(*command, env={"CORPUSMILL_FAULTPOINT": "commit-before-receipt:5"})
    assert killed.returncode == -signal.SIGKILL
    assert warm.call(*command).returncode == 0
    assert current_files(out) == current_files(folder / "all")


def test_what_was_not_kept_is_no_damage_and_damage_is_repaired(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    again(folder, "needed", out)
    recipe = load_recipe(folder / "recipe.yaml", [f"output={out}", "keep=needed"])
    repairs = run_recipe(recipe, repair=True).repairs
    assert repairs is not None
    assert repairs.faults == []
    step = RunFolder(out).current_step("dedup.minhash.scatter")
    assert step is not None
    step.manifest_path.write_text("{}")
    (step.path / "not_kept.json").write_text("{}")
    assert not sound(out)
    repairs = run_recipe(recipe, repair=True).repairs
    assert repairs is not None
    assert len(repairs.faults) == 1
    assert sound(out)
    assert contents(out) == contents(folder / "all")
