"""What may not be taken over from an earlier version: what is damaged, or is not what the key says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.operators import index
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from tests.pipelines.run.test_increments import current_files, plan_of, redone, run, write_file, write_recipe

SAME_TIME = 1_700_000_000


@pytest.fixture
def grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe of 60 files, up to 8 of which are indexed by one unit, that has run in `run`."""
    monkeypatch.setattr(index, "_FILES_PER_UNIT", 8)
    recipe = write_recipe(tmp_path)
    run(recipe, tmp_path / "run")
    return recipe


def run_so(recipe: Path, **how: bool) -> RunResult:
    try:
        return run_recipe(load_recipe(recipe, [f"output={recipe.parent / 'run'}"]), **how)
    finally:
        plugins.clear_plugins()


def version_of(out: Path, step: str) -> StepFolder:
    folder = RunFolder(out).current_step(step)
    assert folder is not None
    return folder


def flip(path: Path, at: int = 40) -> None:
    """Change a byte in place."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0x55
    with path.open("r+b") as file:
        file.write(content)


def expect_a_fresh_runs_bytes(recipe: Path) -> None:
    folder = recipe.parent
    run(recipe, folder / "fresh")
    assert current_files(folder / "run") == current_files(folder / "fresh")


def test_repair_does_not_take_damage_over_again(grown: Path) -> None:
    out = grown.parent / "run"
    data = version_of(out, "a").data
    for path in sorted(data.glob("*.parquet"))[:3]:
        flip(path)
    write_file(grown.parent / "in" / "999.jsonl", 1000)
    run(grown, out)  # what was made of these files is taken over, so that nothing reads them
    result = run_so(grown, repair=True)
    assert result.repairs is not None
    assert len(result.repairs.faults) == 3
    expect_a_fresh_runs_bytes(grown)


def test_damage_to_a_file_that_versions_share_is_repaired(grown: Path) -> None:
    out = grown.parent / "run"
    write_file(grown.parent / "in" / "999.jsonl", 1000)
    run(grown, out)
    flip(sorted(version_of(out, "a").data.glob("*.parquet"))[0])
    run_so(grown, repair=True)
    expect_a_fresh_runs_bytes(grown)


@pytest.mark.parametrize("step", ["a.index", "a", "dedup.exact.scatter"])
def test_nothing_is_taken_from_a_version_with_a_damaged_segment(grown: Path, step: str) -> None:
    out = grown.parent / "run"
    (segment,) = version_of(out, step).segments.iterdir()
    flip(segment)
    write_file(grown.parent / "in" / "999.jsonl", 1000)
    plan_of(grown, out)
    run_so(grown, repair=True)
    expect_a_fresh_runs_bytes(grown)


def rewrite(path: Path) -> None:
    """Other text of the same size, at the same time."""
    stat = path.stat()
    text = path.read_text("utf-8")
    path.write_text(text.replace("stone", "stane"), "utf-8")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_verified_inputs_take_no_false_index_over(grown: Path) -> None:
    folder, out = grown.parent / "in", grown.parent / "run"
    rewrite(folder / "000.jsonl")
    write_file(folder / "999.jsonl", 1000)
    run_so(grown, verify_inputs=True)
    expect_a_fresh_runs_bytes(grown)
    write_file(folder / "998.jsonl", 1001)
    run(grown, out)
    (folder / "999.jsonl").unlink()
    run(grown, out)
    (out.parent / "fresh").rename(out.parent / "fresh before")
    expect_a_fresh_runs_bytes(grown)


def test_other_files_of_the_same_names_sizes_and_times_are_indexed(grown: Path) -> None:
    folder, out = grown.parent / "in", grown.parent / "run"
    for path in folder.iterdir():
        os.utime(path, (SAME_TIME, SAME_TIME))
    run(grown, out)
    other = grown.parent / "on"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_text(path.read_text().replace("stone", "stane"))
        os.utime(other / path.name, (SAME_TIME, SAME_TIME))
    grown.write_text(grown.read_text().replace("in/*.jsonl", "on/*.jsonl"))
    result = run(grown, out)
    assert redone(result, "a")[1] == 0
    expect_a_fresh_runs_bytes(grown)


def test_the_plan_counts_what_will_be_taken_over_beside_what_was_done(
    grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = grown.parent / "run"
    write_file(grown.parent / "in" / "999.jsonl", 1000)

    def stop(folder: StepFolder, *given: object) -> None:
        raise UserError(f"stopped before {folder.path} was complete")

    with monkeypatch.context() as patch:
        patch.setattr(StepFolder, "complete", stop)
        with pytest.raises(UserError, match="stopped before"):
            run(grown, out)
    (planned,) = (step for step in plan_of(grown, out).steps if step.name == "a.index")
    assert planned.units is not None
    assert planned.units > 1
    assert planned.left == 0


def test_a_plan_stands_beside_a_damaged_version(grown: Path) -> None:
    out = grown.parent / "run"
    flip(version_of(out, "a.index").manifest_path)
    write_file(grown.parent / "in" / "999.jsonl", 1000)
    (planned,) = (step for step in plan_of(grown, out).steps if step.name == "a.index")
    assert planned.state == "run"
    assert "manifest.json" in planned.why
    run(grown, out)
    expect_a_fresh_runs_bytes(grown)


def test_two_readers_of_one_file_may_look_at_different_things_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "repository"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("def f():\n    return 1\n")
    (folder / "LICENSE").write_text("MIT License\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: two\nengine: {kind: inline}\nsources:\n  code: {read: {tree: {files: in}}}\n"
        "  text: {read: {text: {files: in/*/a.py}}}\noutput: run\n"
    )
    result = run(recipe, tmp_path / "run")
    assert result.manifest("code").rows >= 1
    assert result.manifest("text").rows == 1


def test_units_without_files_are_taken_over(tmp_path: Path) -> None:
    """Documents without an address send nothing to `url`: its units leave no file."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: bare\noutput: run\nengine: {kind: inline}\ndedup: [url]\nsources:\n"
        "  a: {read: {jsonl: a.jsonl}, steps: []}\n  b: {read: {jsonl: b.jsonl}, steps: []}\n",
        "utf-8",
    )
    for name, text in (("a", "one"), ("b", "two")):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "{text} document"}}\n', "utf-8")
    run(recipe, tmp_path / "run")
    (tmp_path / "b.jsonl").write_text('{"text": "another document"}\n', "utf-8")
    result = run(recipe, tmp_path / "run")
    assert {state.step.name: state.redone for state in result.steps}["dedup.url.scatter"] == 1
    assert not any(version_of(tmp_path / "run", "dedup.url.scatter").data.iterdir())
    expect_a_fresh_runs_bytes(recipe)
