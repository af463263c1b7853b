"""`${NAME}` and `${NAME:-default}` in the paths of a recipe.

Only where a path is expected: `data`, `output`, `plugins`, `engine.address`, the patterns of `read`, those
that a section reads (`expand_patterns`), and any option of a stage or section that is a path (`options`).
Anywhere else a dollar sign is a dollar sign.

What a variable holds may be a secret. `recipe.json` and the report show `${NAME}`, and so do messages, logs
and what a run prints for people (`hide_values`). JSON on standard output, for programs, has real paths.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from corpusmill.pipelines.recipe.messages import Path, Problem

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
_SECRET = 6  # characters of the shortest value that messages hide
_held: dict[str, str] = {}  # value -> the variable that a recipe of this process took it from
_NAMES = "CORPUSMILL_HIDDEN_VARIABLES"  # tells workers which variables' values to hide
_ANY = None  # matches every key of a level

# Everything at or below these paths is a path, or a list or mapping of paths.
_PATHS: tuple[tuple[str | None, ...], ...] = (
    ("data",),
    ("output",),
    ("plugins",),
    ("engine", "address"),
    ("sources", _ANY, "read", _ANY, "files"),
)
_DIRECT: tuple[tuple[str | None, ...], ...] = (  # here a text or a list of texts is a path, a mapping is not
    ("sources", _ANY, "read", _ANY),
)


def expand_environment(data: Any, environment: Mapping[str, str] | None = None) -> tuple[Any, list[Problem]]:
    """`data` with variables replaced in its paths, and a problem for each that is not set."""
    problems: list[Problem] = []
    return _walk(data, (), os.environ if environment is None else environment, problems), problems


def expand_patterns(files: Any, path: Path, problems: list[Problem]) -> Any:
    """Patterns of files as a section has them, with variables replaced: a text, a list of texts, or a mapping
    from a reader to either, or to its options with `files`."""
    if isinstance(files, str):
        return expanded(files, path, problems)
    if isinstance(files, list):
        return [expand_patterns(one, (*path, at), problems) for at, one in enumerate(files)]
    if isinstance(files, dict):
        return {name: _of_reader(item, (*path, name), problems) for name, item in files.items()}
    return files


def _of_reader(options: Any, path: Path, problems: list[Problem]) -> Any:
    if isinstance(options, dict) and "files" in options:
        return {**options, "files": expand_patterns(options["files"], (*path, "files"), problems)}
    return options if isinstance(options, dict) else expand_patterns(options, path, problems)


def hide_values(text: str) -> str:
    """`text`, a message, with what the variables of recipes held in this process as `${NAME}`, longest first.

    Short values and plain words stay: other words of a message would be taken for them.
    """
    for value, name in sorted(_held.items(), key=lambda item: (-len(item[0]), item[1])):
        text = text.replace(value, f"${{{name}}}")
    return text


def variables_to_hide() -> dict[str, str]:
    """The environment that lets a process with this one's variables `hide_again` what this one hides."""
    return {_NAMES: ",".join(sorted(set(_held.values())))}


def hide_again() -> None:
    """Hide what the process hides that started this one."""
    for name in filter(None, os.environ.get(_NAMES, "").split(",")):
        _hold(name, os.environ.get(name, ""))


def _hold(name: str, value: str) -> None:
    if len(value) >= _SECRET and not (value.isalpha() and value.islower() and len(value) < 2 * _SECRET):
        _held.setdefault(value, name)


def _walk(value: Any, path: Path, environment: Mapping[str, str], problems: list[Problem]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(item, (*path, key), environment, problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, (*path, index), environment, problems) for index, item in enumerate(value)]
    if isinstance(value, str) and "${" in value and _is_path(path):
        return expanded(value, path, problems, environment)
    return value


def _is_path(path: Path) -> bool:
    keys = path[:-1] if path and isinstance(path[-1], int) else path
    if any(_matches(keys, pattern) and len(keys) == len(pattern) for pattern in _DIRECT):
        return True
    return any(_matches(path, pattern) for pattern in _PATHS)


def _matches(path: Path, pattern: tuple[str | None, ...]) -> bool:
    return len(path) >= len(pattern) and all(
        want is _ANY or want == have for want, have in zip(pattern, path, strict=False)
    )


def expanded(
    text: str, path: Path, problems: list[Problem], environment: Mapping[str, str] | None = None
) -> str:
    """`text` with its variables replaced, and a problem for each that is not set; `path`: of its key."""
    if environment is None:
        environment = os.environ

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        value = environment.get(name)
        if value or (value is not None and default is None):
            _hold(name, value)
            return value
        if default is not None:
            return str(default)
        message = f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
        problems.append(Problem(path, message))
        return match.group()

    if "${" in _VARIABLE.sub("", text):
        problems.append(Problem(path, f"{text!r}: write a variable as ${{NAME}} or ${{NAME:-default}}"))
        return text
    return _VARIABLE.sub(replace, text)
