"""`explain` tells the limits beside scores, as the run had them for a document's language."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.limits import with_limits
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.inspection.story import DocumentEvent
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.storage.run_folder import RunFolder

LONG = "The mill on the river has ground the grain of the town for many of its years, and it is with us. " * 5
RECIPE = """
name: limits
output: run
engine: {kind: inline}
sources:
  web:
    read: {jsonl: "in.jsonl"}
    steps: [{gopher_quality: {min_words: 30}}]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("limits")
    texts = [LONG, "The mill is of the town."]
    lines = [json.dumps({"id": n, "text": text}) for n, text in enumerate(texts)]
    (folder / "in.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
    Runner(load_recipe(folder / "recipe.yaml")).run()
    return RunFolder(folder / "run")


def _limits(event: DocumentEvent) -> dict[str, Any]:
    return {f"{one.score} {one.side}": (one.value, one.option) for one in event.limits}


def test_a_broken_limit_stands_beside_its_score(run: RunFolder) -> None:
    step = run.current_step("web")
    assert step is not None
    (removed,) = step.data.glob("*.removed.arrow")
    with removed.open("rb") as file:
        (identity,) = pa.ipc.open_file(file).read_all().column("id").to_pylist()
    story = explain(run, identity)
    event = story.instances[0].events[-1]
    assert (event.stage, event.reason) == ("gopher_quality", "gopher_short_doc")
    found = _limits(event)
    assert found["words under"] == (30.0, "min_words")
    assert found["words over"] == (100_000.0, "max_words")
    assert [one.score for one in event.limits if one.broken(event.scores[one.score])] == ["words"]
    assert "words=6[>=30,<=100000]! " in " ".join(render_story(story).split()) + " "


def test_limits_are_those_of_the_documents_language(run: RunFolder) -> None:
    record = load_record(run)
    (source,) = record.sources

    def told(group: str | None) -> dict[str, Any]:
        event = DocumentEvent("web", "gopher_quality", "kept", scores={"words": 40, "limits": group})
        return _limits(with_limits(record, source, [event])[0])

    assert told(None)["words under"] == (30.0, "min_words")
    assert told("none") == {}
    of_chinese = told("zh")
    assert of_chinese
    assert all(option.startswith("by_language.zh.") for _, option in of_chinese.values())


def test_a_stage_without_limits_has_none(run: RunFolder) -> None:
    record = load_record(run)
    event = DocumentEvent("web", "read", "kept")
    assert with_limits(record, record.sources[0], [event]) == (event,)
