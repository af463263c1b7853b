"""A file of a finished run that is missing: every command names it and the cure, and the cure restores it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.cli.failures import run_and_exit
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.inspection.doctor import doctor
from corpusmill.pipelines.inspection.inspect import inspect
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.pointer import Pointer
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder

Copies = Callable[[], RunFolder]


def again(run: RunFolder, copy: RunFolder, until: list[str] | None = None, **options: bool) -> RunResult:
    """The recipe of `run`, run in the copy of its folder."""
    recipe = load_recipe(run.path.parent / "recipe.yaml", [f"output={copy.path}"])
    return run_recipe(recipe, None, until, **options)


def redone(result: RunResult) -> dict[str, int]:
    return {state.step.name: state.redone for state in result.steps if state.redone}


def lose(copy: RunFolder, name: str) -> Path:
    """Remove `name`, or of the step it names the manifest or the whole version; the file that is missed."""
    step = copy.current_step("dedup.exact")
    assert step is not None
    missed = {"manifest": step.manifest_path, "version": step.manifest_path}.get(name, copy.path / name)
    if name == "version":
        shutil.rmtree(step.path)
    else:
        missed.unlink()
    return missed


@pytest.mark.parametrize("name", ["current.json", "recipe.json", "manifest", "version"])
def test_a_missing_file_is_named_with_its_cure_and_comes_back(
    run: RunFolder, copy_of: Copies, name: str
) -> None:
    copy = copy_of()
    before = copy.current()
    missed = lose(copy, name)
    for look in (lambda: inspect(copy.path), lambda: gather(copy), lambda: load_record(copy)):
        with pytest.raises(IntegrityError) as told:
            look()
        assert str(told.value).startswith(f"{missed}: missing; cure: `corpusmill run")
        assert "--repair" in str(told.value)
    found = doctor(copy)
    (fault,) = [check for check in found.checks if check.damage]
    assert str(missed) in fault.detail
    assert fault.cure.endswith("--repair")
    assert found.exit_code == 2
    result = again(run, copy, repair=True)
    assert result.repairs is not None
    # A manifest follows from its receipts.
    assert redone(result) == ({"dedup.exact": 1} if name == "version" else {})
    assert result.repairs.faults == [f"{missed}: missing"]
    assert copy.current() == before
    assert copy.recipe()
    assert doctor(copy).exit_code == 0


def test_a_damaged_pointer_comes_back_though_only_a_part_is_asked_for(
    run: RunFolder, copy_of: Copies
) -> None:
    copy = copy_of()
    steps = copy.current().steps
    copy.current_path.write_text("{", encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"current\.json: not valid JSON"):
        again(run, copy, ["dedup.exact"])
    result = again(run, copy, ["dedup.exact"], repair=True)
    assert redone(result) == {}
    assert copy.current().steps == steps
    copy.current_path.unlink()
    assert redone(again(run, copy, ["tokenizer"])) == {}  # a missing one is made again unasked
    assert copy.current().steps == steps
    assert copy.current().stale == ()


def test_a_run_that_was_only_begun_is_a_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert not folder.begun
    folder.write_current(Pointer())
    assert folder.begun
    with pytest.raises(IntegrityError, match=r"recipe\.json: missing"):
        load_record(folder)


@pytest.mark.parametrize("command", [["inspect"], ["report"], ["doctor"], ["explain", "0", "--run"]])
def test_damage_has_one_exit_code(
    copy_of: Copies, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    copy = copy_of()
    copy.current_path.unlink()
    with pytest.raises(SystemExit) as left:
        run_and_exit(app, [*command, str(copy.path)])
    assert left.value.code == 2
    told = capsys.readouterr()
    assert "current.json: missing" in told.out + told.err
    assert "--repair" in told.out + told.err


def test_a_folder_without_a_run_stays_the_users_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run_and_exit(app, ["doctor", str(tmp_path)])
    assert left.value.code == 1
    assert "not a run folder" in capsys.readouterr().err
