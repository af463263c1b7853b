"""Stages by name: the file name is the registration.

A stage `foo_bar` of a room is the class `FooBar` in `<room>/foo_bar.py`; sub-packages hold what is not a
stage. For the room `pipelines` the folder is `pipelines/sources`: readers and `extract`. Names are listed
without importing anything, and finding one imports its module alone, so that a recipe pays only for the
stages it uses.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, TypeGuard

from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.errors import CorpusmillError, RecipeError
from corpusmill.pipelines.contract.plugins import plugin_file, stages_of_plugins
from corpusmill.pipelines.contract.rooms import ROOMS, class_name, names, stage_files, stage_folder
from corpusmill.pipelines.contract.stage import Map, Regroup, Stage

STEP_ROOMS = ("filters", "mixtures", "pipelines")  # where the steps of a source are looked up


class UnknownStepError(RecipeError):
    """No step has this name; the message, which lists those there are, is made when it is asked for."""

    def __str__(self) -> str:
        message, name = self.args
        return f"{message}; {nearest(name, step_names())}"


@cache
def _import(room: str, name: str) -> type[Stage]:
    module_name = f"corpusmill.{stage_folder(room).replace('/', '.')}.{name}"
    module = importlib.import_module(module_name)
    found = getattr(module, class_name(name), None)
    if not (isinstance(found, type) and issubclass(found, Stage)):
        raise CorpusmillError(
            f"{module_name} must define the stage class {class_name(name)}; "
            "modules that are not stages belong in a sub-package"
        )
    return found


def find(room: str, name: str) -> type[Stage]:
    """The stage class `name` of one room; imports just its module.

    Raises RecipeError naming the nearest valid name when there is none, and CorpusmillError when the
    module of that name lacks the class.
    """
    if name not in stage_files(room):
        raise RecipeError(f"unknown stage `{name}`; {nearest(name, names(room))}")
    return _import(room, name)


def room_command(room: str, name: str) -> Callable[..., Any]:
    """The function `name` of `<room>/commands/<name>.py`, which the command line calls by its name alone.

    Raises CorpusmillError where the room has no such command.
    """
    stage_folder(room)  # refuses a room there is not
    module_name = f"corpusmill.{room}.commands.{name}"
    if importlib.util.find_spec(module_name) is None:
        raise CorpusmillError(f"the room {room} has no command {name}")
    found: Callable[..., Any] | None = getattr(importlib.import_module(module_name), name, None)
    if found is None:
        raise CorpusmillError(f"{module_name} must define the function {name}")
    return found


def is_step(stage: type[Stage]) -> TypeGuard[type[Map] | type[Regroup]]:
    """Whether a stage may stand in a source's `steps`: it maps documents or regroups them, and needs nothing
    that other steps make."""
    return issubclass(stage, (Map, Regroup)) and not stage.artefacts and not inspect.isabstract(stage)


def step_names() -> list[str]:
    """Names that may stand in a source's `steps`, plugins included, sorted. Imports the modules it lists."""
    found = {n for room in STEP_ROOMS for n in names(room) if is_step(_import(room, n))}
    return sorted(found | {n for n, stage in stages_of_plugins().items() if is_step(stage)})


def steps_filling(column: str, of: str | None = None) -> list[str]:
    """Names of the steps that come with corpusmill and fill a column, from the column `of` where it is given.

    Imports the modules of all steps.
    """
    made = [(name, _import(room, name)) for room in STEP_ROOMS for name in names(room)]
    return sorted(
        name
        for name, stage in made
        if is_step(stage) and column in stage.produces and (of is None or of in stage.consumes)
    )


def find_step(name: str) -> type[Map] | type[Regroup]:
    """The step `name` of a source: a map or a regrouping of filters, mixtures, sources or the plugins.

    Raises RecipeError naming the nearest valid step, and the room of a stage that belongs elsewhere in the
    recipe.
    """
    stage = stages_of_plugins().get(name)
    if stage is None:
        room = next((room for room in STEP_ROOMS if name in stage_files(room)), None)
        stage = _import(room, name) if room else None
    if stage is not None and is_step(stage):
        return stage
    if stage is not None or any(name in stage_files(room) for room in ROOMS):
        home = room_of(stage) if stage else next(room for room in ROOMS if name in stage_files(room))
        raise UnknownStepError(f"`{name}` is a stage of {home}, not a step of a source", name)
    raise UnknownStepError(f"unknown step `{name}`", name)


def room_of(stage: type[Stage]) -> str:
    """The room a stage class was found in; for a plugin's, the name of its module."""
    parts = stage.__module__.split(".")
    if parts[0] == "corpusmill" and len(parts) > 1 and parts[1] in ROOMS:
        return parts[1]
    if plugin_file(stage.__module__) is not None:
        return stage.__module__
    raise CorpusmillError(f"{stage.__module__}.{stage.__qualname__} is of no room and no registered plugin")
