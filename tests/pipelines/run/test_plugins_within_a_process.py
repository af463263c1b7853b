"""A worker keeps the stages of a step; what it keeps is of the plugins as they are."""

from __future__ import annotations

import json
from pathlib import Path

from tests.pipelines.run.edited import rows_of, run

PLUGIN = """
from corpusmill.pipelines.contract.stage import Edit

class Say(Edit):
    def edit(self, docs):
        import pyarrow as pa
        return docs.with_columns({"text": pa.array(["WORD"] * len(docs), pa.large_string())})
"""


def recipe(folder: Path, word: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "say.py").write_text(PLUGIN.replace("WORD", word), "utf-8")
    (folder / "a.jsonl").write_text(json.dumps({"text": "a text"}) + "\n", "utf-8")
    path = folder / "recipe.yaml"
    head = "name: said\noutput: run\nplugins: [say.py]\nengine: {kind: inline}\n"
    path.write_text(f"{head}sources: {{web: {{read: {{jsonl: a.jsonl}}, steps: [say]}}}}\n", "utf-8")
    return path


def test_a_plugin_that_is_edited_is_run_as_it_is(tmp_path: Path) -> None:
    for word in ("one", "two", "one"):
        record = run(recipe(tmp_path, word))
        assert [text for _, text in rows_of(record)] == [word]


def test_plugins_of_two_recipes_may_have_one_name(tmp_path: Path) -> None:
    for word in ("one", "two", "one"):
        record = run(recipe(tmp_path / word, word))
        assert [text for _, text in rows_of(record)] == [word]
