"""Entries of a recipe to stages. Every fault is added to `problems`, none stops the others being found."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from corpusmill.pipelines.contract import closest, plugins, rooms
from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.recipe.environment import expand_patterns
from corpusmill.pipelines.recipe.messages import Path, Problem, kind_of
from corpusmill.pipelines.recipe.messages import unknown_keys as unknown
from corpusmill.pipelines.recipe.options import build
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.storage.objects.urls import local_pattern

Kind = TypeVar("Kind", bound=Stage)
Problems = list[Problem]

READERS = "pipelines"  # the room of those that come with corpusmill; steps of sources stand beside them


def mapping(data: Any, path: Path, problems: Problems, example: str) -> dict[str, Any] | None:
    """`data` if it is a mapping; otherwise a problem that shows `example`, and None."""
    if isinstance(data, dict):
        return data
    problems.append(Problem(path, f"expected a mapping such as `{example}`, got {kind_of(data)}"))
    return None


def unknown_keys(data: dict[str, Any], valid: Iterable[str], path: Path, problems: Problems) -> None:
    """A problem for each key of `data` that is not `valid`."""
    problems.extend(unknown(data, tuple(valid), path))


def stage(room: str, name: str, options: Any, kind: type[Stage], path: Path, problems: Problems) -> Any:
    """The stage `name` of a room with these options, a `kind`; None when problems were added."""
    found = plugins.plugin_stages(kind).get(name)
    if found is None and name in rooms.names(room):
        found = registry.find(room, name)
    if found is None or not issubclass(found, kind) or inspect.isabstract(found):
        what = "unknown stage" if found is None else f"a stage of {room} that cannot stand here"

        def message() -> str:
            return f"`{name}`: {what}; {_home(name)}{closest.nearest(name, _names(room, kind))}"

        problems.append(Problem(path, message))
        return None
    return build(found, options, path, problems, f"option of {name}")


def _home(name: str) -> str:
    """Where a stage belongs that stands in the wrong place; empty for what is no step of a source."""
    return "it is a step of sources: write it under their `steps`; " if name in registry.step_names() else ""


def _names(room: str, kind: type[Stage]) -> list[str]:
    built_in = [name for name in rooms.names(room) if issubclass(registry.find(room, name), kind)]
    return [*built_in, *plugins.plugin_stages(kind)]


def reader(data: Any, path: Path, problems: Problems) -> Reader | None:
    """`{<reader>: pattern | [patterns] | {files: ..., options}}`."""
    section = mapping(data, path, problems, "{jsonl: code/*.jsonl.zst}")
    if section is None:
        return None
    if len(section) != 1:
        names = ", ".join(_readers())
        problems.append(Problem(path, f"expected one reader, got {len(section)}; there are: {names}"))
        return None
    ((name, options),) = section.items()
    here = (*path, name)
    if not _is_reader(name):
        problems.append(
            Problem(here, lambda: f"unknown reader `{name}`; {closest.nearest(name, _readers())}")
        )
        return None
    if isinstance(options, str):
        options = {"files": [options]}
    elif isinstance(options, list):
        options = {"files": options}
    elif isinstance(options, dict) and isinstance(options.get("files"), str):
        options = {**options, "files": [options["files"]]}
    elif not isinstance(options, dict):
        message = f"expected a pattern, a list of patterns or {{files: ...}}, got {kind_of(options)}"
        problems.append(Problem(here, message))
        return None
    if isinstance(options.get("files"), list):
        files = [local_pattern(one) if isinstance(one, str) else one for one in options["files"]]
        options = {**options, "files": files}
    for pattern in options["files"] if isinstance(options.get("files"), list) else []:
        if pattern == "" or any("**" in part and part != "**" for part in str(pattern).split("/")):
            problems.append(Problem(here, f"{pattern!r} is no pattern; `**` stands alone between slashes"))
    made: Reader | None = stage(READERS, name, options, Reader, here, problems)
    return made


def text_reader(files: Any, path: Path, problems: Problems, what: str) -> Reader | None:
    """The reader of files of texts as a section has them: patterns (of JSON lines, or of Parquet where all
    end so), or a reader and its files, which must not be one of raw pages. `what` they are, for messages."""
    files = expand_patterns(files, path, problems)
    if isinstance(files, (str, list)):
        patterns = [files] if isinstance(files, str) else files
        parquet = bool(patterns) and all(str(pattern).endswith(".parquet") for pattern in patterns)
        files = {"parquet" if parquet else "jsonl": patterns}
    made = reader(files, path, problems)
    if made is not None and "raw" in made.produces:
        problems.append(Problem(path, f"`{made.name}` reads raw pages; {what} must be read as text"))
    return made


def _readers() -> list[str]:
    """Names of all readers; imports their modules."""
    return _names(READERS, Reader)


def _is_reader(name: str) -> bool:
    return name in plugins.plugin_stages(Reader) or (
        name in rooms.names(READERS) and issubclass(registry.find(READERS, name), Reader)
    )


def stage_list(
    data: Any,
    path: Path,
    problems: Problems,
    make: Callable[[str, Any, Path, Problems], Kind | None],
) -> list[tuple[Kind, Path]]:
    """`[name | {name: options}]` to stages, each with the path of its entry."""
    if data is None:
        return []
    if not isinstance(data, list):
        problems.append(Problem(path, f"expected a list of stages, got {kind_of(data)}; write [a, b]"))
        return []
    made: list[tuple[Kind, Path]] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(data):
        here: Path = (*path, index)
        if isinstance(entry, str):
            name, options = entry, None
        elif isinstance(entry, dict) and len(entry) == 1:
            ((name, options),) = entry.items()
            here = (*here, name)
        else:
            cure = (
                "indent its options further" if isinstance(entry, dict) else "write a name or {name: options}"
            )
            problems.append(Problem(here, f"expected one stage, got {kind_of(entry)}; {cure}"))
            continue
        found = make(name, options, here, problems)
        name = name if found is None else found.name  # `datatrove` has one for each of its blocks
        if name in seen:
            problems.append(Problem(here, f"`{name}` stands here already, as entry {seen[name]}; keep one"))
        elif found is not None:
            seen[name] = index
            made.append((found, here))
    return made
