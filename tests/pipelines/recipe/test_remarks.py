"""What `validate` and `plan` say of a recipe that holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.remarks import remarks
from tests.warm import Warm

RECIPE = """
name: remarked
sources:
  web: {{read: {{jsonl: web.jsonl}}, steps: [{steps}]}}
"""


def recipe(folder: Path, steps: str) -> Path:
    (folder / "web.jsonl").write_text('{"text": "x"}\n', "utf-8")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(steps=steps), "utf-8")
    return path


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ("gopher_quality", ["web.gopher_quality"]),
        ("gopher_repetition, fineweb_quality", ["web.gopher_repetition", "web.fineweb_quality"]),
        ("gopher_quality, language", ["web.gopher_quality"]),
        ("language, gopher_quality", []),
        ("{gopher_quality: {languages: null}}", []),
        ("math_score", []),
    ],
)
def test_limits_for_english_without_a_language(tmp_path: Path, steps: str, named: list[str]) -> None:
    found = remarks(load_recipe(recipe(tmp_path, steps)))
    assert [line.partition(":")[0] for line in found] == named
    assert all("judged by the limits for en" in line and "\n" not in line for line in found)


def test_limits_are_named(tmp_path: Path) -> None:
    (line,) = remarks(load_recipe(recipe(tmp_path, "{gopher_quality: {min_words: 30}}")))
    assert "(min_words 30, max_words 100000, min_mean_word_length 3," in line
    assert line.endswith(" more); put `language` before it")


def test_commands_warn(warm: Warm, tmp_path: Path) -> None:
    path = recipe(tmp_path, "gopher_quality")
    done = warm.call("validate", path)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: web.gopher_quality: no step before it identifies languages")
    told = json.loads(warm.call("validate", path, "--json").stdout)
    assert [f"warning: {words}\n" for words in told["warnings"]] == [done.stderr]
    planned = warm.call("plan", path, "--no-estimate")
    assert planned.returncode == 0
    assert done.stderr in planned.stderr
    assert "warning" not in warm.call("validate", recipe(tmp_path, "language, gopher_quality")).stderr
