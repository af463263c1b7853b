"""Options that are paths: relative to the recipe, looked for when it is checked, content in fingerprints."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.run.plan import make_plan
from corpusmill.pipelines.run.runner import run_recipe

PLUGIN = '''
"""Words that a document may not hold."""
from __future__ import annotations
from pathlib import Path
from pydantic import BaseModel
from corpusmill.pipelines.documents import reason_where
from corpusmill.pipelines.stage import Filter

class List(BaseModel):
    words: Path
    ignore_case: bool = False

class NoWords(Filter):
    """Removes documents with one of the words."""
    file: Path = Path("words.txt")
    more: dict[str, Path | List] = {}
    folder: Path | None = None
    single_files = ("file",)

    def score(self, docs):
        import numpy as np
        lists = [more.words if isinstance(more, List) else more for more in self.more.values()]
        files = [self.file, *lists, *(sorted(self.folder.iterdir()) if self.folder else [])]
        words = {word for file in files for word in file.read_text("utf-8").split()}
        return {"hits": np.array([len(words & set(t.split())) for t in docs.text.to_pylist()])}

    def judge(self, scores):
        return reason_where((scores["hits"] > 0, "listed"))
'''
RECIPE = """\
name: words
output: out
plugins: [no_words.py]
engine: {kind: inline}
sources:
  s:
    read: {jsonl: d.jsonl}
    steps: [STEP]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "no_words.py").write_text(PLUGIN)
    (tmp_path / "words.txt").write_text("harbour")
    rows = [{"text": f"a {word} in the rain"} for word in ("harbour", "station", "garden")]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    yield tmp_path
    plugins.clear_plugins()


def recipe(folder: Path, step: str = "no_words", inputs: bool = True) -> Recipe:
    (folder / "r.yaml").write_text(RECIPE.replace("STEP", step))
    return load_recipe(folder / "r.yaml", inputs=inputs)


def removed(made: Recipe) -> int:
    entries = run_recipe(made).manifest("s").ledger
    return sum(sum(n for n, _ in entry.removed.values()) for entry in entries)


@pytest.mark.parametrize(
    "step",
    [
        "no_words",
        "{no_words: {file: words.txt}}",
        "{no_words: {file: empty.txt, more: {a: words.txt}}}",
        "{no_words: {file: empty.txt, more: {a: {words: ./words.txt}}}}",
        '{no_words: {file: "${WORDS}/words.txt"}}',
    ],
)
def test_a_path_is_relative_to_the_recipe_and_its_content_decides(
    folder: Path, step: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "empty.txt").write_text("")
    monkeypatch.setenv("WORDS", str(folder))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert removed(recipe(folder, step)) == 1
    (folder / "words.txt").write_text("garden station")
    states = {one.name: one for one in make_plan(recipe(folder, step)).steps}
    assert states["s"].why == "no_words: file words.txt changed"
    assert removed(recipe(folder, step)) == 2
    os.utime(folder / "words.txt", (1, 1))  # other times, same bytes
    assert all(one.state == "done" for one in make_plan(recipe(folder, step)).steps)


def test_a_folder_stands_for_all_files_in_it(folder: Path) -> None:
    step = "{no_words: {folder: lists}}"
    (folder / "lists").mkdir()
    (folder / "lists" / "a").write_text("station")
    assert removed(recipe(folder, step)) == 2
    (folder / "lists" / "b").write_text("garden")
    steps = make_plan(recipe(folder, step)).steps
    assert (steps[1].state, steps[1].why) == ("run", "no_words: file lists changed")


def test_keys_hold_no_path_of_the_machine(folder: Path, tmp_path: Path) -> None:
    result = run_recipe(recipe(folder, "{no_words: {more: {a: {words: words.txt}}}}"))
    key = json.dumps(encode(result.manifest("s").key))
    assert str(tmp_path) not in key
    assert "words.txt" in key


def test_missing_files_are_named_together_with_their_lines(folder: Path) -> None:
    step = "{no_words: {file: wrods.txt, more: {a: {words: b/none.txt}}}}"
    assert recipe(folder, step, inputs=False).sources  # the recipe may be checked where its files are not
    with pytest.raises(InvalidRecipeError) as caught:
        recipe(folder, step)
    first, second = caught.value.lines
    assert "r.yaml:8:25: sources.s.steps.0.no_words.file: there is no file" in first
    assert "wrods.txt" in first
    assert "words.txt" in first.split(";")[1]
    assert "sources.s.steps.0.no_words.more.a.words: there is no file" in second


def test_a_folder_where_a_file_is_meant(folder: Path) -> None:
    (folder / "lists").mkdir()
    with pytest.raises(InvalidRecipeError, match=r"no_words\.file: .*/lists is a folder; name a file in it"):
        recipe(folder, "{no_words: {file: lists, folder: lists}}")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("{no_words: {file: 3}}", "expected a path, relative to the recipe, got the number 3"),
        ('{no_words: {file: ""}}', "got an empty text"),
        ('{no_words: {file: "a\\0b"}}', "NUL"),
        ("{no_words: {file: [a]}}", "got a list"),
        ('{no_words: {file: "${NOT_SET_ANYWHERE}/a"}}', "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_what_is_no_path(folder: Path, step: str, words: str) -> None:
    with pytest.raises(InvalidRecipeError) as caught:
        recipe(folder, step)
    assert words in str(caught.value)
    assert len(caught.value.lines) == 1
