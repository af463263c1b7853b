"""The page of questions: its Python runs as it stands, and its SQL is answered."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import corpusmill as cm
from corpusmill.pipelines.cli.main import app

PAGE = (Path(__file__).parents[3] / "docs" / "questions.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_python_of_the_page_runs(made_folder: Path, compared: Path, tmp_path: Path) -> None:
    folder = made_folder / "run"
    names = {"FOLDER": folder, "BEFORE": folder, "INPUTS": made_folder, "OUTPUT": tmp_path / "out", "pl": pl}
    names["WITH_MINHASH"] = compared / "run"
    for code in _blocks("python"):
        exec(compile(code, "questions.md", "exec"), names)
    lost, kept, story = names["lost"], names["kept"], names["story"]
    assert isinstance(lost, pl.DataFrame)
    assert set(lost["reason"]) >= {"too_few_words", "exact_duplicate"}
    assert isinstance(kept, pl.DataFrame)
    assert kept.height > 100
    assert story is not None
    assert names["repeated"]["unique_tokens"].sum() > 0  # type: ignore[index]
    assert names["changes"] == ()
    assert [one.similarity for one in names["alike"]] == [pytest.approx(2 / 3)]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page, and a run with `minhash`, which texts are compared by."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "page.txt").write_text("one two three four five six seven", "utf-8")
    (folder / "web.jsonl").write_text('{"text": "one two three four five six eight"}\n', "utf-8")
    recipe = {"sources": {"web": {"read": {"jsonl": "web.jsonl"}, "steps": []}}, "dedup": ["minhash"]}
    about = {"name": "near", "output": "run", "engine": {"kind": "inline"}}
    cm.Recipe(about | recipe, folder=folder).run()
    return folder


COMMANDS = [one for block in _blocks("sh") for one in re.split(r"\n(?=corpusmill)", block)]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page_are_answered(
    command: str, run: cm.Run, made_folder: Path, compared: Path, tmp_path: Path
) -> None:
    some = run.duplicates().collect()["id"][0]
    asked = compared / "run" if " nearest " in command else run.path
    for place in ("build/runs/tiny", "build/runs/before"):
        command = command.replace(place, str(asked))
    words = shlex.split(command.replace("0f3a", some[:8]))
    places = {
        "configs/tiny.yaml": str(made_folder / "recipe.yaml"),
        "sites.csv": str(tmp_path / "sites.csv"),
        "page.txt": str(compared / "page.txt"),
    }
    found = CliRunner().invoke(app, [places.get(word, word) for word in words[1:]])
    assert found.exit_code == 0, found.output
    assert found.output.strip()
