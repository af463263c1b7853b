"""`--set key=value`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from corpusmill.pipelines.contract.stage import Deduplicate
from corpusmill.pipelines.recipe.models import Recipe
from tests.pipelines.recipe.in_recipe import stage_of

Load = Callable[..., Recipe]
Faults = Callable[..., list[str]]

TEXT = """
engine: {workers: 1}
sources:
  a:
    read: {lines: a}
    steps:
      - judge: {at_least: 4}
      - together
  b: {read: {lines: b}, steps: [judge]}
dedup: [same]
"""


def options(recipe: Recipe, source: str = "a", step: int = 0) -> dict[str, object]:
    return recipe.source(source).steps[step].model_dump()


def test_values_are_yaml(load: Load) -> None:
    recipe = load(
        TEXT, "seed=7", "engine.kind=inline", "engine.workers = 3", "engine.memory=null", "name='x'"
    )
    assert (recipe.seed, recipe.engine.kind, recipe.engine.workers, recipe.name) == (7, "inline", 3, "x")
    assert options(load(TEXT, "sources.a.steps.0.judge.keep=[en, no]"))["keep"] == ["en", "no"]
    assert options(load(TEXT, "sources.a.steps.0.judge.budget=4M"))["budget"] == 4_000_000


def test_entries_of_lists_by_index_and_by_stage(load: Load) -> None:
    for key in ("sources.a.steps.0.judge.at_least", "sources.a.steps.judge.at_least"):
        assert options(load(TEXT, f"{key}=9"))["at_least"] == 9
    assert options(load(TEXT, "sources.b.steps.judge.at_least=9"), "b")["at_least"] == 9
    assert options(load(TEXT, "sources.b.steps.judge={strict: true}"), "b")["strict"] is True
    assert [
        s.name for s in load(TEXT, "sources.a.steps.1=judge", "sources.a.steps.0=together").sources[0].steps
    ] == [
        "together",
        "judge",
    ]
    assert stage_of(load(TEXT, "dedup.same.priority=[b]"), "dedup", Deduplicate).model_dump()["priority"] == [
        "b"
    ]


def test_sources_and_steps_may_be_left_out(load: Load) -> None:
    for key in ("a.judge.at_least", "sources.a.judge.at_least", "a.steps.judge.at_least"):
        assert options(load(TEXT, f"{key}=9"))["at_least"] == 9
    assert load(TEXT, "a.domain=text").source("a").domain == "text"
    own = TEXT.replace("  a:\n", "  engine:\n", 1).replace("dedup: [same]\n", "")
    assert load(own, "engine.workers=3", "sources.engine.judge.at_least=9").engine.workers == 3


def test_sections_and_sources_are_made_and_taken_out(load: Load) -> None:
    assert load("sources: {a: {read: {lines: a}}}", "engine.retries=0").engine.retries == 0
    assert load(TEXT, "dedup=null").sections == {}
    assert [source.name for source in load(TEXT, "sources.b=null").sources] == ["a"]
    assert load(TEXT, "sources.a.steps=[]").sources[0].steps == ()


def test_the_last_override_of_a_key_counts(load: Load, faults: Faults) -> None:
    assert load(TEXT, "seed=1", "seed=2").seed == 2
    assert load(TEXT, "sources.a.steps.judge.at_least=0", "sources.a.steps=[judge]").source("a").steps
    assert faults(TEXT, "engine.workers=0", "engine={workers: 0}")[0].startswith(
        "--set engine: engine.workers:"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("engine.workers=0", "--set engine.workers: must be at least 1, got 0"),
        ("engine.workrs=1", "--set engine.workrs: unknown option; did you mean `workers`?"),
        (
            "sources.a.steps.judge.at_lest=1",
            "--set sources.a.steps.judge.at_lest: sources.a.steps.0.judge.at_lest: unknown option",
        ),
        ("sources.c.domain=x", "--set sources.c.domain: unknown source; valid: a, b"),
        ("sources.c={}", "--set sources.c: unknown source; valid: a, b"),
        (
            "sources.a.steps.jugde.at_least=1",
            "--set sources.a.steps.jugde.at_least: unknown entry; did you mean `judge`?",
        ),
        ("sources.a.steps.5=judge", "--set sources.a.steps.5: `sources.a.steps` has 2 entries"),
        (
            "sources.a.steps.0.need.needed=1",
            "--set sources.a.steps.0.need.needed: `sources.a.steps.0` is judge; unknown",
        ),
        ("name.x=1", "--set name.x: `name` is the text 't', so nothing can be set inside it"),
        ("seed", "--set seed: write `--set key=value`"),
        ("=1", "--set =1: write `--set key=value`"),
        ("a..b=1", "--set a..b=1: write `--set key=value`"),
        ("seed=[1", "--set seed: not valid YAML"),
        ("seed=*x", "--set seed: alias *x"),
        ("a.jugde.at_least=1", "--set a.jugde.at_least: unknown entry; did you mean `judge`?"),
        ("a.judge.at_lest=1", "--set a.judge.at_lest: sources.a.steps.0.judge.at_lest: unknown option"),
        ("a.domian=x", "--set a.domian: sources.a.domian: unknown key; did you mean `domain`?"),
        ("trian.steps=1", "--set trian.steps: trian: unknown key; did you mean `train`?"),
    ],
)
def test_faults_name_the_override(faults: Faults, override: str, message: str) -> None:
    lines = faults(TEXT, override)
    assert any(line.startswith(message) for line in lines), lines


def test_values_the_file_wrote_keep_their_line(faults: Faults) -> None:
    lines = faults(TEXT.replace("at_least: 4", "at_least: 0"), "sources.a.steps.judge.budget=x")
    assert lines[0].startswith("recipe.yaml:9: sources.a.steps.0.judge.at_least")
    assert lines[1].startswith("--set sources.a.steps.judge.budget: sources.a.steps.0.judge.budget: ")
