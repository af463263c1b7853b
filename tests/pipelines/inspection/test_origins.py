"""`explain` names the file that a document is from, of the many that its unit reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.storage.rows_of_ranges import as_metadata, range_of
from corpusmill.pipelines.storage.run_folder import RunFolder

FILES = 12  # each a range of the one unit
RECIPE = """
name: origins
engine: {kind: inline}
sources:
  web:
    read: {jsonl: "*.jsonl"}
    keep_texts: KEEP
    steps:
      - expression: {keep: {long: length(text) > 40}}
      - regular_expression: {patterns: {road: "road$"}}
dedup: [exact]
"""


def records() -> Iterator[tuple[int, str, str]]:
    """Number of the file, URL and text of each record; some are removed by one filter, another, as copies."""
    for file in range(FILES):
        for number in range(file % 4 + (file in (3, 7))):
            long = f"the river {file} runs to the sea {number} where lamps are lit"
            text = [
                "too short",
                f"{long} beside the road",
                "this text stands twice in these files, as a copy does",
            ]
            kind = 3 if number == 3 else (file + number) % 3
            yield file, f"https://o.example/{file}/{number}", [long, *text][kind]


@pytest.fixture(scope="module", params=["true", "false"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("origins")
    (folder / "recipe.yaml").write_text(RECIPE.replace("KEEP", request.param))
    for file in range(FILES):
        mine = [{"url": url, "text": text} for own, url, text in records() if own == file]
        lines = [json.dumps(record) for record in mine]
        (folder / f"f{file:02}.jsonl").write_text("\n".join([*lines, "{broken" if file == 5 else ""]) + "\n")
    return run_recipe(load_recipe(folder / "recipe.yaml")).folder


def test_each_document_has_its_own_file(run: RunFolder) -> None:
    ends = Counter[str]()
    for file, url, _ in records():
        (instance,) = explain(run, url).instances
        ends[f"{instance.outcome}: {instance.events[-1].stage}"] += 1
        assert instance.origin.inputs is not None
        assert [one.file for one in instance.origin.inputs] == [f"f{file:02}.jsonl"]
        assert instance.origin.more_inputs == 0
    assert set(ends) == {
        "kept: exact",
        "removed: expression",
        "removed: regular_expression",
        "removed: exact",
    }
    assert f"  from  f{file:02}.jsonl [0 to " in render_story(explain(run, url))


def test_a_path_below_the_repository_names_a_document(tmp_path: Path) -> None:
    for name in ("code/one/src/a.py", "code/two/src/a.py", "code/two/a.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"name = {name!r}\n")
    source = {"read": {"tree": "code"}, "steps": []}
    recipe = {"name": "code", "engine": {"kind": "inline"}, "sources": {"code": source}}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    found = run_recipe(load_recipe(tmp_path / "recipe.yaml")).folder
    for name, repo, path in (
        ("code/one/src/a.py", "one", "src/a.py"),
        ("two/src/a.py", "two", "src/a.py"),
        ("/data/code/two/a.py", "two", "a.py"),
    ):
        (instance,) = explain(found, name).instances
        assert (instance.repo, instance.path) == (repo, path)
    with pytest.raises(UserError, match=r"src/a\.py names 2 documents"):
        explain(found, "src/a.py")
    with pytest.raises(UserError, match="nor the URL or path of a document"):
        explain(found, "other/a.py")


def test_a_path_below_the_repository_names_a_removed_document(tmp_path: Path) -> None:
    for name in ("code/one/a.py", "code/two/a.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"name = {name!r}\n")
    source = {"read": {"tree": "code"}, "steps": [{"expression": {"keep": {"long": "length(text) > 1000"}}}]}
    sources = {"code": {**source, "allow_loss": 1.0}}
    recipe = {"name": "code", "engine": {"kind": "inline"}, "sources": sources}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    found = run_recipe(load_recipe(tmp_path / "recipe.yaml")).folder
    one, two = (explain(found, f"{above}/a.py").instances[0] for above in ("one", "/data/code/two"))
    assert [story.origin.inputs[0].file for story in (one, two)] == ["one/a.py", "two/a.py"]
    with pytest.raises(UserError, match="nor the URL or path of a document"):
        explain(found, "other/a.py")


def test_units_of_one_range_say_nothing_and_damage_is_told(tmp_path: Path) -> None:
    assert as_metadata([3], [1]) == {}
    for said, error in (
        (None, None),
        (b"[[1, 2, 4], [0, 3, 3]]", None),
        (b"[[1", "does not tell the ranges"),
    ):
        table = pa.table({"id": ["a"] * 4})
        if said is not None:
            table = table.replace_schema_metadata({"corpusmill.rows_of_ranges": said})
        path = tmp_path / "u.parquet"
        pq.write_table(table, path)
        if error:
            with pytest.raises(IntegrityError, match=error):
                range_of(path, 0, removed=False)
        else:
            rows = [range_of(path, row, removed=False) for row in range(5)]
            assert rows == ([None] * 5 if said is None else [0, 1, 2, 2, None])
            assert range_of(path, 0, removed=True) == (None if said is None else 1)
