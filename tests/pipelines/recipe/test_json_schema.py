"""The published JSON Schema is that of the code, and recipes that load are valid under it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.recipe.json_schema import PUBLISHED, recipe_schema
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.recipe.yaml_text import parse_yaml

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[3]
RECIPES = sorted((ROOT / "configs").glob("*.yaml"))


def check(data: Any, schema: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(data)]


def test_the_published_schema_is_current() -> None:
    published = json.loads((ROOT / PUBLISHED).read_text("utf-8"))
    assert published == recipe_schema(), "run `corpusmill schema > configs/recipe.schema.json`"


def test_it_is_a_schema_in_which_every_reference_is_defined() -> None:
    schema = recipe_schema()
    jsonschema.Draft7Validator.check_schema(schema)

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            inner = set().union(*(references(item) for item in value.values())) if value else set()
            return inner | ({value["$ref"]} if isinstance(value.get("$ref"), str) else set())
        return set().union(*map(references, value)) if isinstance(value, list) and value else set()

    assert references(schema) == {f"#/definitions/{name}" for name in schema["definitions"]}


def test_every_stage_is_in_it_with_its_options_and_words() -> None:
    schema = recipe_schema()
    text = json.dumps(schema)
    for name in registry.step_names():
        stage = registry.find_step(name)
        assert set(schema["definitions"][name]["properties"] if stage.model_fields else {}) == set(
            stage.model_fields
        )
        assert schema["definitions"][name]["description"]
    for name in ("vocab_size", "sequence_length", "max_epochs", "against", "special_tokens", "threshold"):
        assert f'"{name}"' in text


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_under_it(path: Path) -> None:
    data, _ = parse_yaml(path.read_bytes(), path.name)
    assert check(data, recipe_schema()) == []
    assert f"$schema=./{PUBLISHED.name}" in path.read_text("utf-8").splitlines()[0]


SOUND = {"name": "t", "sources": {"a": {"read": {"jsonl": "a"}}}}


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"mixture": {"tokens": "4M"}}, True),
        ({"mixture": {"tokens": 1e6}}, True),
        ({"mixture": {"tokens": "four"}}, False),
        ({"mixture": {"tokens": 0}}, False),
        ({"engine": {"memory": "4GB"}}, True),
        ({"engine": {"kind": "proces"}}, False),
        ({"engine": {"workrs": 1}}, False),
        ({"dedup": ["exact", {"minhash": None}]}, True),
        ({"dedup": ["exat"]}, False),
        ({"dedup": ["gopher_quality"]}, False),
        ({"tokenizer": {"train": {}, "load": "x"}}, False),
        ({"tokenizer": {"load": "x"}}, True),
        ({"decontaminate": {}}, False),
        ({"decontaminate": {"against": ["a", "b"]}}, True),
        ({"trian": {}}, False),
        ({"sources": {}}, False),
        ({"sources": {"a": {"read": {"jsonl": ["a"]}, "steps": ["gopher_quality", {"extract": {}}]}}}, True),
        ({"sources": {"a": {"read": {"jsonl": {"files": "a"}}, "steps": None}}}, True),
        ({"sources": {"a": {"read": {"jsonl": {"files": ["a"], "spilt_bytes": 1}}}}}, False),
        ({"sources": {"a": {"read": {"jsonl": "a", "parquet": "b"}}}}, False),
        ({"sources": {"a": {"read": {"jsonl": "a"}, "steps": ["gopher_qualty"]}}}, False),
        ({"sources": {"a": {"read": {"jsonl": "a"}, "steps": [{"gopher_quality": {"x": 1}}]}}}, False),
        ({"sources": {"a": {"steps": []}}}, False),
    ],
)
def test_it_tells_sound_from_unsound(change: dict[str, Any], valid: bool) -> None:
    assert (check(SOUND | change, recipe_schema()) == []) is valid


def test_plugins_that_are_registered_are_in_it(load: Callable[..., Recipe]) -> None:
    recipe = load()
    assert check(dict(recipe.raw), recipe_schema()) == []
    plugins.clear_plugins()
    assert check(dict(recipe.raw), recipe_schema()) != []
