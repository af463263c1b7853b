"""Where in a recipe each of its stages was written, for what is found out about them later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel

from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.models import Recipe


def placed_stages(recipe: Recipe) -> Iterator[tuple[Path, Stage]]:
    """Stages with options of their own in the recipe, and the path those stand at; readers are not among
    them."""
    for source in recipe.sources:
        entries = recipe.raw["sources"][source.name].get("steps")
        for step in source.steps:
            yield ("sources", source.name, "steps", *_entry(entries, type(step).name)), step
    for section in recipe.sections.values():
        yield from ((path, stage) for path, stage in section.stages() if path is not None)


def _entry(entries: Any, name: str) -> Path:
    """The place of a stage in a list where no name stands twice: its index, and its name with options."""
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if entry == name:
            return (index,)
        if isinstance(entry, dict) and name in entry:
            return (index, name)
    return ()


def option_paths(value: Any, key: Path = ()) -> Iterator[tuple[Path, FilePath]]:
    """Every path among the options of a stage, with the key of the option."""
    if isinstance(value, FilePath):
        yield key, value
    elif isinstance(value, BaseModel):
        yield from option_paths(dict(value), key)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from option_paths(item, (*key, name))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from option_paths(item, (*key, index))


def missing_files(recipe: Recipe) -> Iterator[Problem]:
    """A problem for every option that names a file or folder that is not there, cannot be read, or is a
    folder where a file is meant."""
    readers = (
        (("sources", source.name, "read", source.reader.name), source.reader) for source in recipe.sources
    )
    for place, stage in chain(readers, placed_stages(recipe)):
        wrong = [
            (key, _fault(path, folder=key[0] not in stage.single_files)) for key, path in option_paths(stage)
        ]
        found = [(key, fault) for key, fault in wrong if fault is not None]
        yield from (Problem((*place, *key), fault) for key, fault in found)
        if not found:
            yield from (Problem(place, fault) for path in stage.external_files() if (fault := _fault(path)))


def section_conflicts(recipe: Recipe) -> Iterator[Problem]:
    """A problem for every option of a section's stages that cannot hold after the steps of any source."""
    befores = [[source.reader, *source.steps] for source in recipe.sources]
    for section in recipe.sections.values():
        for path, stage in section.stages():
            if path is None or not befores:
                continue
            first, *others = [stage.conflicts(before) for before in befores]
            found = [one for one in first if all(one in other for other in others)]
            yield from (Problem((*path, *below(option)), wrong) for option, wrong in found)


def below(option: str | Path) -> Path:
    """The path of an option, or of what stands in it, from its stage."""
    return (option,) if isinstance(option, str) else option


def note_loaded_versions(recipe: Recipe) -> None:
    """Warn where an option names what another run made, such as a tokenizer or a model to start from, and
    that run no longer holds it."""
    from corpusmill.pipelines.storage.versions import note_versions

    stages = [stage for _, stage in placed_stages(recipe)]
    named = [path for stage in stages for _, path in option_paths(stage)]
    note_versions([*named, *(path for stage in stages for path in stage.external_files())])


def _fault(path: FilePath, folder: bool = True) -> str | None:
    """What is wrong with a path; `folder`: it may name one."""
    if not folder and path.is_dir():
        return f"{path} is a folder; name a file in it"
    try:
        next(path.iterdir(), None) if path.is_dir() else path.open("rb").close()
    except FileNotFoundError:
        return f"there is no file {path}; {_near(path)}"
    except OSError as error:
        return f"cannot read {path}: {(error.strerror or str(error)).lower()}; correct its path or its access"
    return None


def _near(path: FilePath) -> str:
    folder = path.parent
    while not folder.is_dir():
        folder = folder.parent
    file_names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    shown = ", ".join(file_names[:6]) + (f" and {len(file_names) - 6} more" if len(file_names) > 6 else "")
    return f"{folder} holds {shown or 'nothing'}; correct the path, which is relative to the recipe"
