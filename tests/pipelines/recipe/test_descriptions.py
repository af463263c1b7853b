"""Every property of the JSON Schema has a description of one line, which editors show where it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe.json_schema import recipe_schema

LONGEST = 160  # characters

PLUGIN = '''
from corpusmill.pipelines.contract.stage import Filter


class Plain(Filter):
    """Keep everything."""

    at_least: int = 1

    def score(self, docs):
        return {}

    def judge(self, scores):
        raise NotImplementedError
'''


def properties(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every property, wherever the schema describes a mapping, with the keys that lead to it."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from properties(item, (*path, str(index)))
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                for name, described in value.items():
                    yield (*path, name), described
                    yield from properties(described, (*path, name))
            elif key not in ("default", "enum", "const"):
                yield from properties(value, (*path, key))


def faults(name: str, described: dict[str, Any]) -> list[str]:
    """What an editor would show that helps nobody."""
    text = described.get("description")
    if not text:
        return ["has no description"]
    wrong = {
        "is its name": text.strip(".").replace(" ", "_").lower() == name,
        "has several lines": "\n" in text,
        "does not end in a full stop": not text.endswith("."),
        "does not begin as a sentence does": not (text[0].isupper() or text[0] in "`'\""),
        f"has over {LONGEST} characters": len(text) > LONGEST,
        "stands beside a reference, where it is ignored": "$ref" in described,
    }
    return [fault for fault, found in wrong.items() if found]


def test_every_property_is_described_in_one_line() -> None:
    found = list(properties(recipe_schema()))
    assert len(found) > 450
    wrong = {".".join(path): told for path, described in found if (told := faults(path[-1], described))}
    assert wrong == {}


def without_default(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Properties that may be left out and have no default: neither is said what holds then.

    Of a mapping with one key, the key is the choice. Sections, which are the keys of a recipe, and what they
    choose one of (`tokenizer`) are not done when they are left out.
    """
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from without_default(item, (*path, str(index)))
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties" and path and schema.get("maxProperties") != 1:
                for name, described in value.items():
                    needed = name in schema.get("required", []) or "by default" in described["description"]
                    if "default" not in described and not needed:
                        yield (*path, name)
            if key not in ("default", "enum", "const"):
                yield from without_default(value, (*path, key))


def test_every_property_that_may_be_left_out_has_a_default() -> None:
    chosen = {("properties", "tokenizer", name) for name in ("train", "sentencepiece", "load")}
    assert set(without_default(recipe_schema())) == chosen


def test_a_default_is_a_value_that_the_option_takes() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = recipe_schema()
    wrong = {}
    for path, described in properties(schema):
        if described.get("default") is not None:
            whole = {**described, "definitions": schema["definitions"]}
            errors = jsonschema.Draft7Validator(whole).iter_errors(described["default"])
            if found := [error.message for error in errors]:
                wrong[path] = found
    assert wrong == {}


def numeric(described: dict[str, Any]) -> bool:
    """Whether a property is a number, alone or among other things."""
    return any(one.get("type") in ("integer", "number") for one in (described, *described.get("anyOf", [])))


# What is counted or measured: the unit of a number, as descriptions name it.
UNITS = re.compile(
    r"\b(shares?|bytes?|tokens?|words?|lines?|characters?|letters?|digits?|documents?|texts?|pages?|sites?|files?|"
    r"paragraphs?|pieces?|pairs?|items?|records?|members?|entries|vocabulary|seconds?|nats|bits|epochs?|times|"
    r"often|steps?|rounds?|turns|sequences?|attempts|workers?|threads|checkpoints|needles|levels|attributes?|"
    r"components|copies|repositories|bands?|hashes|buckets?|shingles?|n-grams?|hits?|examples?|symbols|urls?|"
    r"score|probability|perplexity|similarity|jaccard|entropy|rate|weight|decay|temperature|multiple|number|"
    r"context|modules|layers|heads|experts|neurons|width|parameters|operations|loss|norm|occurrences|questions?|"
    r"codes?|seed|lambda|positions?|places|percent|ids|ratio|gigabytes|megabytes|queries|marks?)\b",
    re.IGNORECASE,
)


def test_every_number_says_what_it_counts_or_measures() -> None:
    named = {path: one["description"] for path, one in properties(recipe_schema()) if numeric(one)}
    assert len(named) > 150
    assert [(path[-1], told) for path, told in named.items() if not UNITS.search(told)] == []


@pytest.mark.parametrize(
    ("described", "fault"),
    [
        ({}, "has no description"),
        ({"description": "Max words."}, "is its name"),
        ({"description": "Most words\nof a document."}, "has several lines"),
        ({"description": "Most words of a document"}, "does not end in a full stop"),
        ({"description": "words of a document."}, "does not begin as a sentence does"),
        ({"description": "A" * LONGEST + "."}, f"has over {LONGEST} characters"),
        ({"description": "A limit.", "$ref": "#/x"}, "stands beside a reference, where it is ignored"),
    ],
)
def test_the_faults_that_are_looked_for(described: dict[str, Any], fault: str) -> None:
    assert faults("max_words", described) == [fault]


def test_an_inherited_option_has_the_description_of_its_base() -> None:
    definitions = recipe_schema()["definitions"]
    of_stage = definitions["gopher_quality"]["properties"]["min_words"]
    of_language = definitions["gopher_quality.GopherQualityLimits"]["properties"]["min_words"]
    assert of_stage == of_language
    assert "Rae et al. 2021" in of_stage["description"]


def test_a_plugin_without_descriptions_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    path.write_text(PLUGIN)
    plugins.register_plugin(path)
    try:
        option = recipe_schema()["definitions"]["plain"]["properties"]["at_least"]
    finally:
        plugins.clear_plugins()
    assert "description" not in option
    assert faults("at_least", option) == ["has no description"]
