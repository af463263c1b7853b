"""Messages about a recipe: where, which key, what is wrong and how to mend it, one line each.

A path is a tuple of mapping keys and list indices, such as `("sources", "web", "steps", 1)`. `Places`
maps paths to where the user wrote them: a line of the file or an override of the command line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from corpusmill.pipelines.contract.closest import closest, listed
from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.system.terminal import one_line

Path = tuple[str | int, ...]

MOST_LINES = 100  # of an InvalidRecipeError

_SURROGATE = re.compile("[\ud800-\udfff]")
SLUG = r"^[a-z0-9][a-z0-9_-]*$"  # names that become names of files and steps


@dataclass(frozen=True)
class Problem:
    """One fault of a recipe: the path of the offending key, what is wrong and the cure.

    A message that takes time to make (the nearest of many names) is given as a function: of very many
    problems only the first are shown. `place` overrides where it was written, for what has no path in the
    data.
    """

    path: Path
    message: str | Callable[[], str]
    place: str = ""

    def text(self) -> str:
        """The message on one line."""
        return " ".join((self.message if isinstance(self.message, str) else self.message()).split())


class InvalidRecipeError(RecipeError):
    """Every fault found in a recipe; `lines` holds one readable line each, in the order of the file."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def dotted(path: Path) -> str:
    """`("a", "b", 0)` -> `a.b.0`, as `--set` takes it."""
    return ".".join(str(part) for part in path)


@dataclass
class Places:
    """Where each path of a recipe was written. `lines`: (line, column) from 1; `overrides`: by `--set`."""

    file: str
    lines: dict[Path, tuple[int, int]] = field(default_factory=dict)
    overrides: dict[Path, str] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """`file:line:column`, or `--set key`, of a path or of the nearest thing above it that was written."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.overrides:
                return f"--set {self.overrides[path[:end]]}"
            if path[:end] in self.lines:
                line, column = self.lines[path[:end]]
                return f"{self.file}:{line}:{column}"
        return self.file

    def line(self, problem: Problem) -> str:
        """The one-line message of a problem."""
        where = one_line(problem.place or self.where(problem.path))
        key = one_line(dotted(problem.path))
        message = problem.text()
        return f"{where}: {message}" if not key or where == f"--set {key}" else f"{where}: {key}: {message}"

    def error(self, problems: Iterable[Problem]) -> InvalidRecipeError:
        """The exception for these problems, sorted by line; overrides come last.

        After `MOST_LINES` different lines one more says how many problems there are still.
        """

        def position(problem: Problem) -> tuple[int, int]:
            for end in range(len(problem.path), -1, -1) if not problem.place else ():
                if problem.path[:end] in self.overrides:
                    break
                if problem.path[:end] in self.lines:
                    return self.lines[problem.path[:end]]
            return (sys.maxsize, 0)

        ordered = sorted(problems, key=position)
        lines: dict[str, None] = {}
        for done, problem in enumerate(ordered):
            if len(lines) == MOST_LINES:
                lines[f"{self.file}: {len(ordered) - done:,} more faults; mend these first"] = None
                break
            lines[self.line(problem)] = None
        return InvalidRecipeError(list(lines))


def unknown_key(key: str, valid: Iterable[str], what: str = "key") -> str:
    """The message for a key that is not known, with the nearest valid one."""
    names = list(valid)
    close = closest(key, names)
    hint = f"did you mean `{close}`? " if close is not None else ""
    return f"unknown {what}; {hint}valid: {listed(names) or 'none'}"


def unknown_keys(
    keys: Iterable[str], valid: Collection[str], path: Path = (), what: str = "key"
) -> list[Problem]:
    """A problem for each of `keys`, which stand in the mapping at `path`, that is not `valid`."""
    known = tuple(dict.fromkeys(valid))
    return [Problem((*path, key), partial(unknown_key, key, known, what)) for key in keys if key not in known]


def shown(value: Any) -> str:
    """A value as it stands in YAML, cut to a readable length."""
    if value is None or isinstance(value, bool):
        text = {"None": "null", "True": "true", "False": "false"}[str(value)]
    else:
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def unusable_texts(value: Any, path: Path = ()) -> Iterator[Problem]:
    """A problem for each key and value below `path` that no name, path or text can be.

    The system takes NUL for the end of a path, and half a surrogate pair is no character.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            why = _unusable(key)
            if why:
                yield Problem((*path, key), f"the key holds {why}")
            else:
                yield from unusable_texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unusable_texts(item, (*path, index))
    elif isinstance(value, str) and _unusable(value):
        yield Problem(path, f"holds {_unusable(value)}")


def _unusable(text: str) -> str:
    if "\0" in text:
        return "a NUL character; remove it"
    return "bytes or escapes that are no text (UTF-8); correct them" if _SURROGATE.search(text) else ""


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"the truth value {shown(value)}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {shown(value)}"
    return "a list" if isinstance(value, (list, tuple)) else "a mapping"


_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def of_validation(error: dict[str, Any]) -> str:
    """Our words for one entry of pydantic's `ValidationError.errors()`."""
    kind, value, extra = error["type"], error.get("input"), error.get("ctx", {})
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"must be {words} {extra[key]}, got {shown(value)}"
    if kind == "missing":
        return "is missing; add it"
    if kind == "extra_forbidden":
        return "unknown option; remove it"
    if kind == "literal_error":
        valid = [part.strip("' ") for part in extra["expected"].replace(" or ", ", ").split(",")]
        close = closest(str(value), valid)
        hint = f"did you mean `{close}`? " if close is not None else ""
        return f"must be one of {', '.join(valid)}; {hint}got {kind_of(value)}"
    if kind in ("value_error", "assertion_error"):
        return str(extra["error"])
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        limit = extra.get("min_length", extra.get("max_length"))
        sense = "at least" if kind.endswith("short") else "at most"
        unit = "characters" if kind.startswith("string") else "entries" if limit != 1 else "entry"
        return f"needs {sense} {limit} {unit}, got {len(value) if value is not None else 0}"
    if kind == "string_pattern_mismatch":
        if extra["pattern"] == SLUG:
            return f"{shown(value)} is no name; use small letters, digits, hyphens and underscores"
        return f"{shown(value)} does not have the form {extra['pattern']}"
    if kind == "finite_number":
        return f"must be a finite number, got {shown(value)}; where null is allowed, it means no limit"
    wanted = {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "string": "text",
        "list": "a list",
        "tuple": "a list",
        "set": "a list",
        "frozen_set": "a list",
        "dict": "a mapping",
        "model": "a mapping",
        "mapping": "a mapping",
        "path": "a path",
    }
    for start, words in wanted.items():
        if kind.startswith(start + "_"):
            return f"expected {words}, got {kind_of(value)}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, got {kind_of(value)}"
