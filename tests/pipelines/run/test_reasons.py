"""Why a step is done again is told in words: options, code, files, what other steps give."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.manifest import StepKey
from corpusmill.pipelines.run.plan import Plan, make_plan, render_plan
from corpusmill.pipelines.run.reasons import changes, file_changes
from corpusmill.pipelines.run.runner import run_recipe
from tests.made_records import made_key, made_stage

PLUGIN = """
import numpy as np

from corpusmill.pipelines.contract.documents import reason_where
from corpusmill.pipelines.contract.stage import Filter


class Long(Filter):
    at_least: int = 3

    def score(self, docs):
        return {"words": np.array([len(text.split()) for text in docs.text.to_pylist()])}

    def judge(self, scores):
        return reason_where((scores["words"] < self.at_least, "short"))
"""


def key(**stage: object) -> StepKey:
    return made_key(stages=(replace(made_stage("judge"), **stage),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (key(options={"a": 1}), key(options={"a": 2}), ["judge: a 1 -> 2"]),
        (key(options={"a": 0.65}), key(options={"a": 0.6}), ["judge: a 0.65 -> 0.6"]),
        (key(options={"f": {"x": 0.1}}), key(options={"f": {"x": None}}), ["judge: f.x 0.1 -> null"]),
        (key(options={"k": ["en"]}), key(options={"k": ["en", "zh"]}), ["judge: k [en] -> [en, zh]"]),
        (key(options={}), key(options={"deep": True}), ["judge: deep null -> true"]),
        (key(code="0" * 64), key(code="1" * 64), ["code of judge changed"]),
        (key(files={"w.txt": "0"}), key(files={"w.txt": "1"}), ["judge: file w.txt changed"]),
        (key(files={}), key(files={"w.txt": "1"}), ["judge: file w.txt is new"]),
        (key(libraries={"lxml": "6"}), key(libraries={"lxml": "7"}), ["lxml, which judge uses, 6 -> 7"]),
        (made_key(seed=1), made_key(seed=2), ["seed 1 -> 2"]),
        (made_key(inputs=(("web", "0"),)), made_key(inputs=(("web", "1"),)), ["documents of web changed"]),
        (
            made_key(inputs=(("web", "0"),)),
            made_key(inputs=(("web", "0"), ("code", "1"))),
            ["documents of code are new"],
        ),
        (made_key(masks=(("exact", "0"),)), made_key(masks=(("exact", "1"),)), ["removals by exact changed"]),
        (made_key(artefacts={"merges": "0"}), made_key(artefacts={"merges": "1"}), ["merges changed"]),
        (made_key(listing="0"), made_key(listing="1"), ["input files have other times or lie elsewhere"]),
        (made_key(stages=()), key(), ["judge is new"]),
        (key(), made_key(stages=()), ["judge was taken out"]),
    ],
)  # fmt: skip
def test_what_differs_is_said_in_words(old: StepKey, new: StepKey, said: list[str]) -> None:
    assert changes(old, old) == []
    assert changes(old, new) == said


def test_files_that_changed_are_counted_and_some_named() -> None:
    old = {"a": 1, "b": 2, "c": 3}
    assert file_changes(old, old) == []
    assert file_changes(old, {**old, "d": 4}) == ["1 new file of 4 (d)"]
    assert file_changes(old, {"a": 1, "b": 5}) == ["1 changed file of 2 (b)", "1 file of 3 taken away (c)"]
    assert file_changes({}, {"c": 1, "a": 1, "b": 1}) == ["3 new files of 3 (a, b, ...)"]


def planned(folder: Path, *overrides: str) -> Plan:
    plugins.clear_plugins()
    return make_plan(load_recipe(folder / "r.yaml", overrides))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one source with a filter of its own and a deduplication."""
    made = tmp_path_factory.mktemp("reasons")
    (made / "long.py").write_text(PLUGIN)
    (made / "in").mkdir()
    for number in range(2):
        rows = (json.dumps({"text": f"a row of words {number} {row}"}) for row in range(5))
        (made / "in" / f"{number}.jsonl").write_text("\n".join(rows) + "\n")
    (made / "r.yaml").write_text(
        "name: r\nplugins: [long.py]\nengine: {kind: inline}\n"
        "sources: {notes: {read: {jsonl: in/*.jsonl}, steps: [long]}}\ndedup: [exact]\n"
    )
    run_recipe(load_recipe(made / "r.yaml"))
    plugins.clear_plugins()
    return made


def test_a_plan_says_what_changed_of_every_step_and_what_follows(folder: Path) -> None:
    steps = {step.name: step for step in planned(folder, "sources.notes.steps.long.at_least=4").steps}
    assert (steps["notes.index"].state, steps["notes.index"].why) == ("done", "unchanged")
    assert (steps["notes"].state, steps["notes"].why) == ("run", "long: at_least 3 -> 4")
    waits = steps["dedup.exact.scatter"]
    assert (waits.state, waits.why) == ("waits", "after notes; since notes: long: at_least 3 -> 4")


def test_a_new_file_is_named_wherever_it_leads(folder: Path) -> None:
    new = folder / "in" / "9.jsonl"
    new.write_text(json.dumps({"text": "one more row of words"}) + "\n")
    try:
        plan = planned(folder)
    finally:
        new.unlink()
    why = {step.name: step.why for step in plan.steps}
    assert why["notes.index"] == "1 new file of 3 (9.jsonl)"
    assert why["notes"] == "after notes.index; since notes.index: 1 new file of 3 (9.jsonl)"
    assert why["dedup.exact"].endswith("since notes.index: 1 new file of 3 (9.jsonl)")
    assert "1 new file of 3" in render_plan(plan)


def test_changed_code_is_called_that_and_a_waiting_step_tells_its_own_change(folder: Path) -> None:
    text = (folder / "long.py").read_text()
    (folder / "long.py").write_text(text.replace('"short"', '"too_short"'))
    try:
        steps = {step.name: step for step in planned(folder, "seed=5").steps}
    finally:
        (folder / "long.py").write_text(text)
    assert steps["notes.index"].why == "seed 0 -> 5"
    assert steps["notes"].why.split("; ")[:3] == ["after notes.index", "code of long changed", "seed 0 -> 5"]
