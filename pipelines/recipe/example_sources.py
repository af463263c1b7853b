"""The entry of a section that names example documents: sources of the recipe, or files read for it alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from corpusmill.pipelines.recipe.entries import text_reader
from corpusmill.pipelines.recipe.json_schema import PATTERNS, Node, Schema, described
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.models import Source
from corpusmill.pipelines.recipe.names import mapping_or_empty, unknown_name

SOURCES = "sources"


class Examples(NamedTuple):
    """Sources of the recipe (None: the entry's own), and the entry's own source beside them, if any."""

    names: list[str] | None
    own: Source | None


def listed(entry: Any) -> list[Any]:
    """The names of an entry that has sources of the recipe."""
    names = mapping_or_empty(entry).get(SOURCES)
    return names if isinstance(names, list) else []


def unknown_sources(names: Sequence[Any], path: Path, recipe: Mapping[str, Any]) -> Iterator[Problem]:
    """A problem for each name in the list at `path` that no source of the recipe has."""
    for at, name in enumerate(names):
        if name not in recipe["sources"]:
            yield Problem((*path, at), unknown_name("source", name, recipe["sources"]))


def examples_entry(
    section: str, entry: Any, key: str, source: str, problems: list[Problem]
) -> Examples | None:
    """What stands under `key` of a section; its own source is called `source`. None when problems were
    added."""
    path: Path = (section, key)
    if entry is None:
        cure = f"`{key}: {key}/*.jsonl.zst`, or `{key}: {{sources: [web]}}` for sources of the recipe"
        problems.append(Problem(path[:1], f"`{key}` is missing; add {cure}"))
        return None
    if isinstance(entry, dict) and SOURCES in entry:
        for other in entry.keys() - {SOURCES}:
            problems.append(
                Problem((*path, other), f"`{other}` cannot stand beside `{SOURCES}`; take it out")
            )
        names = entry[SOURCES]
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            problems.append(Problem((*path, SOURCES), "expected a list of names of sources such as `[web]`"))
            return None
        return Examples(names, None)
    made = text_reader(entry, path, problems, "examples")
    return None if made is None else Examples(None, Source(source, "examples", made))


def described_entry(schema: Schema, words: str) -> Node:
    """The JSON Schema of such an entry; `words` say what it holds."""
    names: Node = {
        "description": "Sources of the recipe, of which what is left gives examples.",
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
    }
    named: Node = {
        "type": "object",
        "required": [SOURCES],
        "additionalProperties": False,
        "properties": {SOURCES: names},
    }
    full = f"{words}: patterns (JSON lines), a reader and its files, or sources of the recipe."
    return described(full, PATTERNS, schema.readers(), named)
