"""A sound recipe becomes typed stages with every path resolved."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.contract.stage import Deduplicate, Map, Regroup
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.sources.reader import Label, Reader
from tests.pipelines.recipe.in_recipe import stage_of

Load = Callable[..., Recipe]

WHOLE = """
seed: 5
data: in
engine: {kind: ray, address: auto, workers: 3, memory: 2GiB}
sources:
  pages: {read: {pages: {files: p/*.warc, split_bytes: 1MiB}}, domain: web, steps: [strip, together, judge]}
  a:
    read: {lines: [a/*.txt, b/*.txt]}
    steps: [judge: {at_least: 4M, budget: 1e6, keep: [en, no]}, together: {}]
  bare: {read: {lines: c}}
dedup: [same: {priority: [a]}]
"""


def test_a_whole_recipe(load: Load, folder: Path) -> None:
    recipe = load(WHOLE)
    assert (recipe.name, recipe.seed, recipe.folder) == ("t", 5, folder)
    assert recipe.data_folder == folder / "in"
    assert recipe.output_folder == folder / "runs" / "t"
    assert recipe.plugins == (folder / "fake_stages.py",)
    assert (recipe.engine.kind, recipe.engine.workers, recipe.engine.memory) == ("ray", 3, 2 * 2**30)
    assert [source.name for source in recipe.sources] == ["pages", "a", "bare"]
    pages, a, bare = recipe.sources
    assert isinstance(pages.reader, Reader)
    assert pages.reader.split_bytes == 2**20
    assert pages.label == Label("pages", "web")
    assert a.label == Label("a", "a")
    assert [step.name for step in pages.steps] == ["strip", "together", "judge"]
    assert [isinstance(step, Regroup) for step in pages.steps] == [False, True, False]
    assert a.reader.files == ["a/*.txt", "b/*.txt"]
    assert isinstance(a.steps[0], Map)
    options = a.steps[0].model_dump()
    assert (options["at_least"], options["budget"], options["keep"]) == (4_000_000, 1_000_000, ["en", "no"])
    assert type(options["budget"]) is int
    assert bare.steps == ()
    assert list(recipe.sections) == ["dedup"]
    assert stage_of(recipe, "dedup", Deduplicate).name == "same"
    assert recipe.source("a") is a
    assert [stage.name for stage in recipe.stages()] == [
        "pages", "strip", "together", "judge", "lines", "judge", "together", "lines", "same",
    ]  # fmt: skip
    with pytest.raises(KeyError, match="pages, a, bare"):
        recipe.source("b")


def test_defaults(load: Load, folder: Path) -> None:
    recipe = load()
    assert (recipe.seed, recipe.data_folder, recipe.sections) == (0, folder, {})
    assert (recipe.engine.kind, recipe.engine.workers, recipe.engine.retries) == ("process", None, 2)


def test_the_same_text_gives_equal_stages(load: Load) -> None:
    assert load(WHOLE) == load(WHOLE)
    assert load(WHOLE) != load(WHOLE, "seed=6")


def test_a_relative_path_is_resolved_against_the_recipe(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "deep").mkdir()
    text = "name: t\nplugins: [../fake_stages.py]\ndata: ../in\noutput: ../out/x\n"
    text += "sources: {a: {read: {lines: a}}}\n"
    (folder / "deep" / "r.yaml").write_text(text)
    monkeypatch.chdir(folder)
    recipe = load_recipe(Path("deep/r.yaml"))
    assert recipe.data_folder == folder / "in"
    assert recipe.output_folder == folder / "out" / "x"
    assert recipe.path == Path("deep/r.yaml")


def test_missing_inputs_are_named_with_their_line(load: Load, folder: Path) -> None:
    recipe = load(
        "data: in\nsources:\n  a: {read: {lines: a/*.txt}}\n  b:\n    read: {lines: [a/*.txt, b/**/*.x]}\n"
    )
    with pytest.raises(InvalidRecipeError, match=r"recipe.yaml:3:1: data: no folder .*in; make it"):
        recipe.check_inputs()
    (folder / "in" / "a").mkdir(parents=True)
    (folder / "in" / "a" / "1.txt").write_text("rain")
    with pytest.raises(InvalidRecipeError) as caught:
        recipe.check_inputs()
    assert len(caught.value.lines) == 1
    assert "recipe.yaml:7:12: sources.b.read.lines: nothing matches 'b/**/*.x'" in caught.value.lines[0]
    assert caught.value.lines[0].endswith("/in holds a/; correct the pattern, or make the files first")
    (folder / "in" / "b" / "c" / "d").mkdir(parents=True)
    (folder / "in" / "b" / "c" / "d" / "1.x").write_text("snow")
    recipe.check_inputs()
    for pattern in (f"{folder}/in/a/*.txt", f"{folder}/in/a/1.txt", "in/a/1.txt", ".", "in"):
        load(f"sources: {{a: {{read: {{lines: {pattern}}}}}}}").check_inputs()
    with pytest.raises(InvalidRecipeError, match=r"nothing matches .* did you mean `1\.txt` for `2\.txt`\?"):
        load("sources: {a: {read: {lines: in/a/2.txt}}}").check_inputs()
    with pytest.raises(InvalidRecipeError, match=r"nothing matches .* did you mean `in` for `inn`\?"):
        load("sources: {a: {read: {lines: inn/*/*.txt}}}").check_inputs()


def test_a_recipe_sees_no_plugin_of_the_one_before(load: Load, faults: Callable[..., list[str]]) -> None:
    load()
    assert "unknown step `judge`" in faults(head="name: t\n")[1]


def test_a_missing_recipe_names_the_nearest(load: Load, folder: Path) -> None:
    load()
    with pytest.raises(RecipeError, match=r"did you mean `.*/recipe\.yaml`"):
        load_recipe(folder / "recipes.yaml")
    with pytest.raises(RecipeError, match="no folder"):
        load_recipe(folder / "none" / "recipe.yaml")
    with pytest.raises(RecipeError, match=r"holds .*recipe\.yaml"):
        load_recipe(folder / "zzz")
    with pytest.raises(RecipeError, match=r"it is a folder; it holds recipe\.yaml"):
        load_recipe(folder)
    (folder / "empty").mkdir()
    with pytest.raises(RecipeError, match="holds no YAML file"):
        load_recipe(folder / "empty" / "recipe.yaml")


def test_later_errors_know_the_line(load: Load) -> None:
    message = str(load().error(("sources", "a", "read"), "is odd"))
    assert message.endswith("recipe.yaml:4:7: sources.a.read: is odd")


# What sections check options of phases and groups with: no stage, and nothing heavy.
OPTIONS = ("mixtures.plan", "mixtures.plan.cells", "mixtures.plan.checks")
OPTIONS += ("tokenizer.fim", "tokenizer.fim.options", "tokenizer.fim.views")
OPTIONS = tuple(f"corpusmill.{name}" for name in OPTIONS)


def test_loading_imports_only_the_stages_of_the_recipe(load: Load, folder: Path) -> None:
    load(WHOLE)
    code = f"""
import sys
from pathlib import Path
from corpusmill.pipelines.recipe.loader import load_recipe
load_recipe(Path({str(folder / "recipe.yaml")!r}))
rooms = ("filters", "dedup", "mixtures", "tokenizer", "training_hooks")
found = [m for m in sys.modules if m.startswith(tuple("corpusmill." + room + "." for room in rooms))]
options = {OPTIONS!r}
print([m for m in found if m.split(".")[2] != "sections" and m not in options])
heavy = ("numba", "torch", "ray", "tokenizers", "trafilatura", "pyarrow.compute")
print([m for m in heavy if m in sys.modules])
"""
    env = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.splitlines() == ["[]", "[]"]
