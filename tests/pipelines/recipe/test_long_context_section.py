"""The section `long_context`: what follows from `train` and `pack`, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.contract.stage import Stage, Task, Write
from corpusmill.pipelines.recipe.json_schema import recipe_schema
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.run.graph import build_graph
from corpusmill.training_hooks.model.config import preset
from tests.pipelines.recipe.in_recipe import stage_of

Load = Callable[..., Recipe]
TRAIN = "train: {steps: 100, batch_size: 8, micro_batch_size: 4, learning_rate: 0.01, schedule: cosine}\n"
BEFORE = "sources: {a: {read: {lines: a}}}\ntokenizer: {train: {}}\npack: {sequence_length: 512}\n" + TRAIN


def phases(recipe: Recipe, kind: type[Stage]) -> list[Stage]:
    return [stage for _, stage in recipe.sections["long_context"].stages() if isinstance(stage, kind)]


def options(recipe: Recipe) -> list[dict[str, Any]]:
    return [stage.model_dump() for stage in phases(recipe, Task)]


def test_what_is_left_out_follows_from_training(load: Load) -> None:
    section = "long_context: {phases: [{sequence_length: 1K, steps: 5}, {sequence_length: 4000}]}\n"
    recipe = load(BEFORE + section)
    first, second = options(recipe)
    assert [one.model_dump()["sequence_length"] for one in phases(recipe, Write)] == [1000, 4000]
    assert stage_of(recipe, "pack", Write).model_dump()["sequence_length"] == 512
    assert (first["batch_size"], first["micro_batch_size"]) == (2, 1)  # of 8 and 4 rows of 256 tokens
    assert (second["batch_size"], second["micro_batch_size"]) == (1, 1)
    assert (first["steps"], second["steps"]) == (5, 200)
    assert first["learning_rate"] == pytest.approx(0.001)
    assert first["stretch_to"] == second["stretch_to"] == 4000
    assert first["factor"] is None
    assert first["balance"] == {"gamma": 0.0, "alpha": 1e-4}
    assert first["mtp_weight"] == pytest.approx(0.3)
    rounds = recipe.sections["long_context"].cut(1).rounds
    assert rounds["long_context.0"] == pytest.approx(5 * 2 * 1000 / 2048)


def test_ranks_follow_from_training_and_phases_that_they_do_not_divide_are_refused(
    load: Load, faults: Callable[..., list[str]]
) -> None:
    train = BEFORE.replace("steps: 100,", "steps: 100, ranks: 2, parallel: {pipeline: 2}, context: 64,")
    (phase,) = options(load(train + "long_context: {phases: [{sequence_length: 128}]}\n"))
    assert (phase["ranks"], phase["parallel"]["pipeline"]) == (2, 2)
    section = "long_context: {phases: [{sequence_length: 256}]}\n"  # 2 sequences a step
    (line,) = (line for line in faults(train + section) if "long_context.phases.0.ranks" in line)
    assert "2 ranks: 2 sequences a rank do not fill 4 micro-batches" in line
    assert line.endswith("or give a larger `batch_size`, or `ranks: 1`, here")
    (line,) = (line for line in faults(train + section.replace("256", "256, ranks: 3")) if "ranks" in line)
    assert "3 ranks do not divide into a pipeline of 2 times 1 ranks" in line
    for given in ("256, ranks: 1", "256, ranks: 1, parallel: {}"):
        (alone,) = options(load(train + section.replace("256", given)))
        assert (alone["ranks"], alone["parallel"]["pipeline"]) == (1, 1)
    (line,) = (
        line for line in faults(train + section.replace("256", "256, ranks: 1, parallel: {pipeline: 2}"))
    )
    assert "1 ranks do not divide into a pipeline of 2 times 1 ranks" in line


def test_the_report_s_last_rate_and_lambda(load: Load) -> None:
    section = "long_context: {phases: [{sequence_length: 1024}]}\n"
    recipe = load(BEFORE.replace("cosine", "report").replace("steps: 100", "steps: 1000") + section)
    (phase,) = options(recipe)
    assert phase["learning_rate"] == pytest.approx(0.01 * 7.3e-6 / 2.2e-4)
    assert phase["mtp_weight"] == pytest.approx(0.1)


def test_options_of_all_phases_and_of_one(load: Load) -> None:
    section = """long_context:
  learning_rate: 0.002
  needles: null
  require: {beats: null, loss_falls: null}
  phases:
    - {sequence_length: 1024, learning_rate: null, ema: 0.9}
    - {sequence_length: 2048, batch_size: 3, needles: {trials: 2}}
"""
    first, second = options(load(BEFORE + section))
    assert first["learning_rate"] == pytest.approx(0.001)
    assert second["learning_rate"] == 0.002
    assert first["needles"] is None
    assert second["needles"]["trials"] == 2
    assert (first["ema"], second["ema"]) == (0.9, None)
    assert second["batch_size"] == 3
    assert first["require"] == second["require"]
    assert first["require"]["shards"] is True


def test_unbalanced_training_stays_so(load: Load) -> None:
    section = "long_context: {phases: [{sequence_length: 1024}]}\n"
    for balance in ("off", "{gamma: 0.01, alpha: 0}"):
        (phase,) = options(load(BEFORE.replace("schedule", f"balance: {balance}, schedule") + section))
        assert phase["balance"] == "off"


def test_steps_of_the_graph(load: Load) -> None:
    section = "long_context: {phases: [{sequence_length: 1024}, {sequence_length: 2048}]}\n"
    steps = build_graph(load(BEFORE + section))
    names = [step.name for step in steps]
    assert names[-5:] == ["train", "long_context.0.pack", "long_context.0", "long_context.1.pack",
                          "long_context.1"]  # fmt: skip
    by_name = {step.name: step for step in steps}
    pack, second = by_name["long_context.1.pack"], by_name["long_context.1"]
    assert pack.inputs == ("pack.scatter",)
    assert pack.stages[0].options["sequence_length"] == 2048
    assert second.artefacts == {
        "shards": "long_context.1.pack",
        "tokenizer": "tokenizer",
        "model": "long_context.0",
    }
    assert by_name["long_context.0"].artefacts["model"] == "train"


@pytest.mark.parametrize(
    ("section", "key", "words"),
    [
        ("[1]", "long_context", "expected a mapping"),
        ("{}", "long_context.phases", "expected a list of phases"),
        ("{phases: []}", "long_context.phases", "expected a list of phases"),
        ("{phases: {sequence_length: 9}}", "long_context.phases", "expected a list of phases"),
        ("{phases: [7]}", "long_context.phases.0", "expected a mapping"),
        ("{phases: [{steps: 3}]}", "long_context.phases.0", "sequence_length"),
        ("{phases: [{sequence_length: 1024, stepz: 3}]}", "long_context.phases.0.stepz", "steps"),
        ("{stepz: 3, phases: [{sequence_length: 1024}]}", "long_context.stepz", "steps"),
        ("{phases: [{sequence_length: 256}]}", "long_context.phases.0.sequence_length", "256 tokens already"),
        (
            "{phases: [{sequence_length: 2048}, {sequence_length: 1024}]}",
            "long_context.phases.1.sequence_length",
            "2048 tokens already",
        ),
        ("{phases: [{sequence_length: 1024, steps: 0}]}", "long_context.phases.0.steps", "at least 1"),
        ("{phases: [{sequence_length: 100}]}", "long_context.phases.0.sequence_length", "256 tokens already"),
        (
            "{factor: 5, phases: [{sequence_length: 1280}, {sequence_length: 1281}]}",
            "long_context.phases.1.factor",
            "stretches 256 tokens to 1280, but rows have 1281",
        ),
        ("{beta_fast: 1, beta_slow: 2, phases: [{sequence_length: 1024}]}", "long_context.phases.0", "above"),
        (
            "{needles: {depths: [2]}, phases: [{sequence_length: 1024}]}",
            "long_context.phases.0",
            "2 does not",
        ),
        (
            "{needles: {lengths: [2000]}, phases: [{sequence_length: 1024}, {sequence_length: 2048}]}",
            "long_context.phases.0",
            "2000 is longer than the phase's 1024",
        ),
    ],
)
def test_faults_are_told_where_they_lie(
    faults: Callable[..., list[str]], section: str, key: str, words: str
) -> None:
    lines = faults(BEFORE + f"long_context: {section}\n")
    assert any(key in line and words in line for line in lines), lines


def test_a_source_is_not_named_like_a_step(faults: Callable[..., list[str]]) -> None:
    for name in ("train", "pack", "long_context"):
        lines = faults(BEFORE.replace("{a:", f"{{{name}:"))
        assert any(f"sources.{name}: `{name}` is the name of a step" in line for line in lines), lines


def test_editors_let_null_stand_for_what_follows(load: Load) -> None:
    definition = recipe_schema()["definitions"]["extend_context"]["properties"]
    assert definition["learning_rate"]["default"] is None
    assert {"type": "null"} in definition["learning_rate"]["anyOf"]
    assert {"type": "null"} not in definition["sequence_length"].get("anyOf", [])
    section = "long_context: {batch_size: null, phases: [{sequence_length: 1024, mtp_weight: null}]}\n"
    (phase,) = options(load(BEFORE + section))
    assert (phase["batch_size"], phase["mtp_weight"]) == (2, pytest.approx(0.3))


def test_an_estimate_requires_nothing_of_its_few_steps(load: Load) -> None:
    recipe = load(BEFORE.replace("steps: 100", "steps: 100, require: {loss_falls: 1.0}"))
    cut = recipe.sections["train"].cut(1)
    assert cut.section is not None
    ((_, few),) = cut.section.stages()
    assert few.model_dump() == stage_of(recipe, "train", Task).model_dump() | {"steps": 1, "require": None}
    assert cut.rounds == {"train": 100}


def test_an_estimate_takes_a_phase_for_more_steps_of_training(load: Load) -> None:
    section = "long_context: {phases: [{sequence_length: 1024, steps: 5}, {sequence_length: 2048}]}\n"
    cut = load(BEFORE + section).sections["long_context"].cut(1)
    assert cut.section is None
    assert cut.alike == {
        "long_context.0.pack": "pack",
        "long_context.0": "train",
        "long_context.1.pack": "pack",
        "long_context.1": "train",
    }
    assert cut.rounds == {"long_context.0": 5, "long_context.1": 200}


def test_it_needs_training(faults: Callable[..., list[str]]) -> None:
    lines = faults("sources: {a: {read: {lines: a}}}\nlong_context: {phases: [{sequence_length: 64}]}\n")
    assert any("needs `train`" in line for line in lines)


def test_a_model_to_start_from_lies_beside_the_recipe(load: Load, folder: Path) -> None:
    recipe = load(BEFORE.replace("steps: 100", "start_from: model, steps: 100"))
    assert stage_of(recipe, "train", Task).external_files() == (
        folder / "model" / "config.json",
        folder / "model" / "model.safetensors",
    )


def test_a_model_to_start_from_that_ranks_do_not_divide_is_refused_before_anything_is_made(
    load: Load, faults: Callable[..., list[str]], folder: Path
) -> None:
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(preset("v3-tiny", 400, 1).to_json()), "utf-8")
    (model / "model.safetensors").touch()

    def recipe(ranks: int, parallel: str) -> str:
        options = f"start_from: model, ranks: {ranks}, parallel: {parallel}, steps: 100"
        return BEFORE.replace("steps: 100", options)

    load(recipe(4, "{experts: 4}"))
    (line,) = faults(recipe(3, "{experts: 3}"))
    assert "train.parallel: 8 experts of a layer do not divide among 3 ranks" in line
    assert line.endswith("model)")
    (line,) = faults(recipe(4, "{pipeline: 4, schedule: 1f1b}"))
    assert "3 layers cannot be cut into 4 stages" in line
    no_groups = preset("v3-tiny", 400, 1).to_json() | {"n_group": 0}
    for written in ([], no_groups):
        (model / "config.json").write_text(json.dumps(written), "utf-8")
        (line,) = faults(recipe(2, "{}"))
        assert "train.start_from" in line
        assert "does not describe a model of this kind" in line
