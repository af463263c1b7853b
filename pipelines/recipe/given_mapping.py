"""A recipe given as a mapping of a program, not as a file: its plain data, and what messages call it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from corpusmill.pipelines.recipe.messages import Path, Places, Problem, kind_of
from corpusmill.pipelines.recipe.yaml_text import MAX_DEPTH

NAME = "recipe mapping"  # stands in messages where those of files have file, line and column


def plain_recipe(given: Mapping[str, Any]) -> tuple[dict[str, Any], Places]:
    """A copy of the mapping as YAML would give it, and places that name paths within it.

    Keys that are whole numbers become texts, paths texts, tuples lists. Raises InvalidRecipeError for what
    YAML has no value for, for keys of other kinds or that are the same as texts, and for what is nested too
    deeply or in itself.
    """
    places, problems = Places(NAME), list[Problem]()
    data = _plain(given, (), problems)
    if problems:
        raise places.error(problems)
    return data, places


def _plain(value: Any, path: Path, problems: list[Problem]) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if len(path) > MAX_DEPTH:
        problems.append(Problem(path[:3], f"is nested over {MAX_DEPTH} levels; a recipe needs fewer"))
    elif isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for key, inner in value.items():
            name = _key(key, path, problems)
            if name in found:
                problems.append(Problem(path, f"has the key {name} as a number and as a text; write one"))
            found[name] = _plain(inner, (*path, name), problems)
        return found
    elif isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(inner, (*path, number), problems) for number, inner in enumerate(value)]
    else:
        words = (
            f"is of the class {type(value).__name__}; write texts, numbers, truth values, lists and mappings"
        )
        problems.append(Problem(path, words))
    return None


def _key(key: Any, path: Path, problems: list[Problem]) -> str:
    if not isinstance(key, (str, int)) or isinstance(key, bool):
        problems.append(Problem(path, f"has a key that is {kind_of(key)}; write a text"))
    return str(key)
