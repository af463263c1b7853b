"""The section `learned_quality` in recipes: trained within a run, alike however it is divided; faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.section import Section
from corpusmill.pipelines.run.graph import build_graph
from tests.warm import Warm

RECIPE = """
name: learned
sources:
  web:
    read: {{jsonl: web*.jsonl}}
engine: {{kind: inline}}
dedup: [exact]
learned_quality: {{positives: good.jsonl, negatives: {negatives}, bits: 14{more}}}
"""
GOOD, OTHER = ["lemma", "proof", "ring", "field"], ["buy", "cheap", "click", "cookie"]
BOTH = ["the", "of", "and", "a", "in", "with"]


def rows(kind: list[str], many: int, seed: int) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice([*kind, *BOTH], 30)) for _ in range(many)]
    return [{"id": f"{seed}-{i}", "text": text, "kind": kind[0]} for i, text in enumerate(texts)]


def write(path: Path, documents: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in documents), "utf-8")


def recipe(folder: Path, negatives: str = "other.jsonl", more: str = "") -> Path:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(negatives=negatives, more=more), "utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "good.jsonl", rows(GOOD, 300, 1))
    write(tmp_path / "other.jsonl", rows(OTHER, 300, 2))
    pool = [*rows(GOOD, 100, 3), *rows(OTHER, 200, 4)]
    write(tmp_path / "web1.jsonl", [*pool[::2], *pool[:20]])  # 20 that stand there twice, at least
    write(tmp_path / "web2.jsonl", pool[1::2])
    return tmp_path


def ran(warm: Warm, path: Path, out: Path) -> tuple[dict[str, Any], int]:
    """The figures of the training, and how many documents of `web` are left."""
    done = warm.call("run", path, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    (figures,) = out.glob("steps/train_quality/*/data/figures.json")
    found: dict[str, Any] = json.loads(figures.read_text("utf-8"))
    return found, json.loads(done.stdout)["sources"]["web"]["left"]


def test_a_run_trains_and_keeps_what_is_alike(warm: Warm, folder: Path) -> None:
    found, left = ran(warm, recipe(folder), folder / "run")
    assert found["at_0.5"]["f1"] > 0.98
    assert left == 100


def test_the_classifier_does_not_depend_on_order_and_files(warm: Warm, folder: Path) -> None:
    """Examples of the recipe's own source are those that deduplication leaves."""
    first, _ = ran(warm, recipe(folder, negatives="{sources: [web]}"), folder / "one")
    counts = first["examples"]
    assert counts["held_out"]["negative"] + counts["trained_on"]["negative"] == 300
    texts = [(folder / f"{name}.jsonl").read_text("utf-8") for name in ("web1", "web2")]
    lines = "".join(texts).splitlines(keepends=True)
    (folder / "web2.jsonl").unlink()
    (folder / "web1.jsonl").write_text("".join(lines[::-1]), "utf-8")
    second, _ = ran(warm, recipe(folder, negatives="{sources: [web]}"), folder / "two")
    assert second == first


def section(folder: Path, **options: str) -> Section:
    return load_recipe(recipe(folder, **options)).sections["learned_quality"]


def test_its_place_and_its_steps(folder: Path) -> None:
    names = [step.name for step in build_graph(load_recipe(recipe(folder)))]
    behind = names[names.index("dedup.exact") + 1 :]
    assert [name for name in behind if "." not in name] == [
        "positives",
        "negatives",
        "train_quality",
        "learned_quality",
    ]


@pytest.mark.parametrize(
    ("negatives", "more", "said"),
    [
        ("{sources: [wob]}", "", "did you mean `web`"),
        ("{sources: web}", "", "expected a list of names of sources such as `\\[web\\]`"),
        ("{sources: []}", "", "expected a list of names"),
        ("{sources: [web], jsonl: x}", "", "`jsonl` cannot stand beside `sources`"),
        ("null", "", "`negatives` is missing; add `negatives: negatives/\\*.jsonl.zst`"),
        ("{warc: a.warc.gz}", "", "`warc` reads raw pages; examples must be read as text"),
        ("other.jsonl", ", word_ngram: 3", "did you mean `word_ngrams`"),
        ("other.jsonl", ", from_sources: [web]", "unknown key"),
        ("other.jsonl", ", held_out_examples: 0", "held_out_examples"),
        ("other.jsonl", ", by_language: {ja: {at_least: 2}}", "by_language.ja.at_least"),
    ],
)
def test_faults_are_told(folder: Path, negatives: str, more: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        section(folder, negatives=negatives, more=more)


def test_languages_are_those_that_can_be(folder: Path) -> None:
    """After a stage that identifies them; without one documents have what the input says."""
    more = ", by_language: {jp: {at_least: 0.2}}"
    assert section(folder, more=more)
    path = recipe(folder, more=more)
    text = path.read_text("utf-8").replace("read:", "steps: [language]\n    read:")
    path.write_text(text, "utf-8")
    with pytest.raises(RecipeError, match=r"by_language: `jp` is no code .* write `ja`"):
        load_recipe(path)


def test_a_run_that_only_scores_has_nothing_to_warn_of(warm: Warm, folder: Path) -> None:
    done = warm.call("run", recipe(folder, more=", at_least: null"), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    assert "removed nothing" not in done.stdout + done.stderr


def test_a_source_cannot_be_on_both_sides(folder: Path) -> None:
    path = recipe(folder, negatives="{sources: [web]}")
    path.write_text(path.read_text("utf-8").replace("good.jsonl", "{sources: [web]}"), "utf-8")
    with pytest.raises(RecipeError, match="'web' is among the positives already"):
        load_recipe(path)


def test_options_go_to_the_stage_that_has_them(folder: Path) -> None:
    made = section(folder, more=", rounds: 3, examples: 50, at_least: 0.7")
    by_name = {stage.name: stage.model_dump() for _, stage in made.stages()}
    assert by_name["train_quality"]["rounds"] == 3
    assert by_name["quality_examples"]["examples"] == 50
    assert by_name["learned_quality"]["at_least"] == 0.7
