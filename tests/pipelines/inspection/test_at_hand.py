"""A step is named without its hash: the run's own version of it, in the one run around that has it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.at_hand import runs_at_hand, step_at_hand, steps_of
from corpusmill.pipelines.storage.run_folder import RunFolder


@pytest.fixture
def place(run: RunFolder, tmp_path: Path) -> Path:
    """A working directory with a run where recipes put it."""
    shutil.copytree(run.path, tmp_path / "runs" / "first")
    return tmp_path


def test_runs_are_found_where_recipes_put_them_the_newest_first(place: Path) -> None:
    first, second = place / "runs" / "first", place / "build" / "runs" / "second"
    second.parent.mkdir(parents=True)
    shutil.copytree(first, second)
    os.utime(first / "current.json", ns=(1, 1))
    assert runs_at_hand(place) == [second, first]
    assert runs_at_hand(first) == [first]
    assert runs_at_hand(place / "build") == [second]


def test_a_step_by_its_name_or_by_the_end_of_it(place: Path) -> None:
    run = place / "runs" / "first"
    assert "dedup.exact" in steps_of(run)
    for name in ("dedup.exact", "exact"):
        assert step_at_hand(name, None, place) == run / "steps" / "dedup.exact"
        assert step_at_hand(name, run, Path("/")) == run / "steps" / "dedup.exact"


def test_a_step_that_the_run_no_longer_has_is_its_newest_version(place: Path) -> None:
    run = place / "runs" / "first"
    (version,) = (run / "steps" / "dedup.exact").iterdir()
    older = shutil.copytree(run / "steps" / "dedup.exact", run / "steps" / "older")
    os.utime(shutil.copytree(older / version.name, older / ("f" * 16)) / "manifest.json", ns=(1, 1))
    assert step_at_hand("older", None, place) == older / version.name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scatter", ["could be any of dedup.exact.scatter, pack.scatter", "write one of them"]),
        ("exakt", ["no run here has a step `exakt`", "there are: "]),
        ("dedup.exat", ["did you mean `dedup.exact`?"]),
    ],
)
def test_what_may_be_meant_is_listed(place: Path, name: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        step_at_hand(name, None, place)
    assert str(caught.value).startswith(f"{name}: ")
    assert [word for word in words if word not in str(caught.value)] == []


def test_several_runs_with_the_step_are_listed(place: Path) -> None:
    shutil.copytree(place / "runs" / "first", place / "runs" / "second")
    os.utime(place / "runs" / "first" / "current.json", ns=(1, 1))
    with pytest.raises(UserError, match=r"2 runs have such a step; choose one, the newest first: ") as caught:
        step_at_hand("exact", None, place)
    assert str(caught.value).endswith("`dedup.exact --run runs/second`, `dedup.exact --run runs/first`")


def test_without_a_run_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run lies here whose step it could be; name one with `--run RUN`"):
        step_at_hand("exact", None, tmp_path)
    with pytest.raises(UserError, match="not a run folder"):
        step_at_hand("exact", tmp_path, tmp_path)


def test_inspect_takes_a_step_by_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    done = CliRunner().invoke(app, ["inspect", "exact", "--json"], catch_exceptions=False)
    told = json.loads(done.stdout)
    assert (told["name"], told["version"]) == ("dedup.exact", "current")
    arguments = ["inspect", "exact", "--run", "runs/first", "--json"]
    named = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert json.loads(named.stdout) == {**told, "path": told["path"].replace(f"{place}/", "")}
    (place / "exact").mkdir()  # what lies there comes first
    with pytest.raises(UserError, match="exact: neither a run folder nor"):
        CliRunner().invoke(app, ["inspect", "exact"], catch_exceptions=False)
