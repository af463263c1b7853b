"""`load_recipe`: a YAML file to a checked `Recipe`, or every fault of it at once.

Order: the text is parsed, `--set` overrides are applied, variables of the environment are put into paths,
plugins are registered, then each section is checked by itself and all of them against one another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.contract.closest import closest, nearest
from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.recipe.entries import mapping
from corpusmill.pipelines.recipe.environment import expand_environment
from corpusmill.pipelines.recipe.given_mapping import plain_recipe
from corpusmill.pipelines.recipe.messages import (
    InvalidRecipeError,
    Places,
    Problem,
    kind_of,
    unknown_keys,
    unusable_texts,
)
from corpusmill.pipelines.recipe.models import Engine, Recipe, Settings, Source
from corpusmill.pipelines.recipe.options import build, paths_relative_to
from corpusmill.pipelines.recipe.overrides import apply_overrides
from corpusmill.pipelines.recipe.placed import section_conflicts
from corpusmill.pipelines.recipe.remote import folder_problems, remote_problems, run_place
from corpusmill.pipelines.recipe.section import Reading, Section
from corpusmill.pipelines.recipe.sections import OWN_KEYS, section_classes
from corpusmill.pipelines.recipe.source_entry import misplaced, source
from corpusmill.pipelines.recipe.yaml_text import MAX_BYTES, parse_yaml
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.urls import local_pattern

_SUFFIXES = (".yaml", ".yml")
_SOURCES = "{code: {read: {jsonl: code/*.jsonl}}}"  # what messages show as a cure


def recipe_keys() -> tuple[str, ...]:
    """Every key of a recipe: settings, `engine`, `sources`, and the sections in the order of their work."""
    named = (section.name for section in section_classes() if not section.implied)
    return (*OWN_KEYS, *named)


def load_recipe(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    inputs: bool = False,
    content: bytes | None = None,
    given: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe of a YAML file, checked. `overrides`: `a.b=value`, applied before anything is checked.

    `content`: YAML in place of what the file holds, which then need not be there; paths are relative to where
    it would be. `given`: the recipe as a mapping in place of either; messages name paths within it.

    Input files are looked for only with `inputs`, and then their faults come together with the others: see
    `Recipe.check_inputs`. The plugins of the recipe become the registered ones. Raises RecipeError; an
    InvalidRecipeError carries all faults, one line each.
    """
    path = Path(path)
    if given is not None:
        data, places = plain_recipe(given)
    else:
        data, places = _read(path) if content is None else _parsed(content, path)
    problems = apply_overrides(data, overrides, places, recipe_keys)
    written = data
    data, unset = expand_environment(data)
    problems += unset
    unusable = list(unusable_texts(data))
    if unusable:  # what else is wrong could not even be looked for
        raise places.error(problems + unusable)
    folder = path.absolute().parent
    settings = build(
        Settings, {k: v for k, v in data.items() if k in Settings.model_fields}, (), problems, "key"
    )
    engine = build(Engine, data.get("engine"), ("engine",), problems)
    if engine is not None and engine.address is not None and engine.kind != "ray":
        message = f"an address is for `kind: ray`, but the kind is {engine.kind}; change one of the two"
        problems.append(Problem(("engine", "address"), message))
    plugins = _register_plugins(settings.plugins if settings else [], folder, problems)
    problems += _unknown_sections(data)
    problems += _empty_entries(data)
    problems += folder_problems(data)
    with paths_relative_to(folder):
        storage = (
            build(ObjectStorage, data["storage"], ("storage",), problems)
            if data.get("storage") is not None
            else None
        )
    unsound = storage is None and data.get("storage") is not None
    if unsound:
        storage = _schemes_alone(data["storage"])
    with paths_relative_to(folder, storage):
        sources = _sources(data.get("sources"), data, problems)
        sections = _made_sections(data, problems)
    if settings is None or engine is None:
        raise places.error(problems)
    try:
        output = run_place(settings.output or f"runs/{settings.name}", folder, storage)
    except RecipeError as error:
        problems.append(Problem(("output",), str(error)))
        output = folder
    recipe = Recipe(
        path=path,
        name=settings.name,
        seed=settings.seed,
        folder=folder,
        data_folder=Path(os.path.normpath(folder / local_pattern(settings.data))),
        output_folder=output,
        plugins=tuple(plugins),
        engine=engine,
        raw=written,
        places=places,
        sources=sources,
        sections=sections,
        storage=storage,
        keep=settings.keep,
    )
    problems += section_conflicts(recipe)
    problems += remote_problems(recipe)
    if inputs and not unsound:  # of a recipe at fault, what could be built of it
        problems += recipe.input_problems()
    if problems:
        raise places.error(problems)
    return recipe


def _schemes_alone(section: object) -> ObjectStorage | None:
    """What a section `storage` that is at fault allows: whether URLs may be named is told by this alone."""
    schemes = section.get("schemes") if isinstance(section, Mapping) else None
    return build(ObjectStorage, {"schemes": schemes}, ("storage",), [])


def load_plugins(path: Path) -> None:
    """Make the plugins of a recipe the registered ones, whatever else is wrong with it.

    Raises RecipeError where the file or one of its plugins cannot be read.
    """
    path = Path(path)
    data, places = _read(path)
    problems: list[Problem] = []
    files = data.get("plugins") or []
    if isinstance(files, list) and all(isinstance(file, str) for file in files):
        _register_plugins(files, path.absolute().parent, problems)
    else:
        problems.append(
            Problem(("plugins",), f"expected a list of files, got {kind_of(files)}; write [a.py]")
        )
    if problems:
        raise places.error(problems)


def _read(path: Path) -> tuple[dict[str, Any], Places]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise RecipeError(f"no recipe {path}; {_neighbours(path)}") from error
    except IsADirectoryError as error:
        recipes = ", ".join(sorted(p.name for p in path.iterdir() if p.suffix in _SUFFIXES)[:8])
        hint = f"it holds {recipes}" if recipes else "give a YAML file"
        raise RecipeError(f"cannot read the recipe {path}: it is a folder; {hint}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RecipeError(
            f"cannot read the recipe {path}: {reason}; correct the path or its access"
        ) from error
    return _parsed(content, path)


def _parsed(content: bytes, path: Path) -> tuple[dict[str, Any], Places]:
    data, places = parse_yaml(content, str(path))
    if data is None:
        raise InvalidRecipeError([f"{path}: the recipe is empty; it needs at least `name` and `sources`"])
    if not isinstance(data, dict):
        raise InvalidRecipeError(
            [f"{places.where(())}: expected `name`, `sources` and so on, got {kind_of(data)}"]
        )
    return data, places


def _neighbours(path: Path) -> str:
    """What may have been meant by a recipe that is not there."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    here = sorted(p.name for p in path.parent.iterdir() if p.suffix in _SUFFIXES)
    close = closest(path.name, here)
    if close is not None:
        return f"did you mean `{path.parent / close}`?"
    return f"{path.parent.absolute()} holds {', '.join(here[:8]) or 'no YAML file'}"


def _register_plugins(files: Sequence[str], folder: Path, problems: list[Problem]) -> list[Path]:
    plugins.clear_plugins()
    for index, file in enumerate(files):
        try:
            plugins.register_plugin(folder / file)
        except RecipeError as error:
            problems.append(Problem(("plugins", index), str(error)))
    return plugins.plugins()


def _made_sections(data: dict[str, Any], problems: list[Problem]) -> dict[str, Section]:
    """Every section that could be made, by name in the order of their work."""
    reading = Reading(data, problems)
    for section in section_classes():
        _check_section(section, data, problems)
        entry = None if section.implied else data.get(section.name)
        if entry is not None and (read := section.read(entry, reading)) is not None:
            reading.sections[section.name] = read
    known = {section.name for section in section_classes()}
    for name, made in reading.sections.items():
        unknown = sorted(made.asks().keys() - known)
        problems += [
            Problem((name,), f"asks {other!r}, which is no section; {nearest(other, known)}")
            for other in unknown
        ]
    for section in section_classes():
        found = section.beside(reading.sections.pop(section.name, None), reading)
        if found is not None:
            reading.sections[section.name] = found
    order = [section.name for section in section_classes()]
    return {name: reading.sections[name] for name in order if name in reading.sections}


def _empty_entries(data: dict[str, Any]) -> list[Problem]:
    """A problem for each mapping or list that is left empty."""
    values = {"engine": "{}", "storage": "{schemes: [s3]}", "sources": _SOURCES}
    values |= {section.name: section.example for section in section_classes() if not section.implied}
    return [
        Problem((key,), f"is empty; write `{key}: {empty}`, or take the line out")
        for key, empty in values.items()
        if key in data and data[key] is None
    ]


def _unknown_sections(data: dict[str, Any]) -> list[Problem]:
    """A problem for each key that is no section."""
    return unknown_keys(data, recipe_keys())


def _sources(data: Any, recipe: dict[str, Any], problems: list[Problem]) -> tuple[Source, ...]:
    if not data:
        keys = recipe_keys()
        misspelt = closest("sources", [key for key in recipe if key not in keys])
        if (
            misspelt is None or closest(misspelt, keys) != "sources"
        ):  # else its own line says what it should be called
            message = f"`sources` is missing; add `sources: {_SOURCES}`"
            problems.append(Problem((), message))
        return ()
    named = mapping(data, ("sources",), problems, _SOURCES)
    made = [source(name, entry, problems) for name, entry in (named or {}).items()]
    return tuple(one for one in made if one is not None)


def _check_section(section: type[Section], data: dict[str, Any], problems: list[Problem]) -> None:
    """What a section is without what it needs, and what names of sources mean in it."""
    sources = data.get("sources")
    if isinstance(sources, dict):
        for root in section.step_roots:
            if root in sources:
                message = f"`{root}` is the name of a step of its own; give the source another name"
                problems.append(Problem(("sources", root), message))
    entry = None if section.implied else data.get(section.name)
    if entry is None:
        return
    examples = {other.name: other.example for other in section_classes()}
    for needed, why in section.needs.items():
        if data.get(needed) is None:
            cure = f"{needed}: {examples[needed]}"
            problems.append(Problem((section.name,), f"needs `{needed}`, since {why}; add `{cure}`"))
    if isinstance(sources, dict) and sources:
        named = {name: source for name, source in sources.items() if not misplaced(name, source)}
        problems.extend(section.check(entry, {**data, "sources": named}))
