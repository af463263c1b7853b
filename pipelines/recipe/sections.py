"""Sections by name, in the order of their work: `<room>/sections/NAME.py`, and plugins.

The order is the one that sections ask for with `after` and `before`, by name where they leave it open: no
list of sections exists. Finding them imports them all, which imports no stage.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from functools import cache
from heapq import heapify, heappop, heappush
from pathlib import Path

from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.errors import CorpusmillError, RecipeError
from corpusmill.pipelines.contract.plugins import plugin_file, plugin_module, plugins, plugins_with
from corpusmill.pipelines.contract.rooms import ROOMS, ROOT
from corpusmill.pipelines.recipe.models import Settings
from corpusmill.pipelines.recipe.plugin_section import of_plugin
from corpusmill.pipelines.recipe.section import Section

VALUE = "SECTION"
OWN_KEYS = (*Settings.model_fields, "engine", "storage", "sources")  # of every recipe, and of no section


def section_classes() -> list[type[Section]]:
    """All sections of the rooms and the registered plugins, each after those it asks to be after.

    Raises RecipeError where a plugin's section has the name of another or asks for an order that cannot be.
    """
    found = {section.name: section for section in _of_rooms()}
    _refuse_unnamed()
    for module in plugins_with(VALUE).values():
        file = plugin_file(module)
        assert file is not None
        section = of_plugin(_section(module), file)
        if section.name in found or section.name in OWN_KEYS:
            raise RecipeError(
                f"plugin {file}: recipes have a key `{section.name}` already; rename the section"
            )
        found[section.name] = section
    for section in found.values():
        for needed in section.needs:
            if needed not in found:
                raise RecipeError(
                    f"{_place(section)}section {section.name}: `needs` has `{needed}`, which is no section; "
                    f"{nearest(needed, found)}"
                )
    return in_order(found)


def section_that_gives(what: str) -> type[Section] | None:
    """The section whose steps give it (`contract.given`), or None."""
    return next((section for section in section_classes() if what in section.gives), None)


def _refuse_unnamed() -> None:
    """Raise RecipeError for a plugin that derives a section and does not name it."""
    for path in plugins():
        module = plugin_module(path.stem)
        assert module is not None
        if hasattr(module, VALUE):
            continue
        for name, value in vars(module).items():
            own = isinstance(value, type) and value.__module__ == module.__name__
            if own and issubclass(value, Section) and not inspect.isabstract(value):
                raise RecipeError(f"plugin {path}: derives {name} from Section; add `{VALUE} = {name}`")


@cache
def _of_rooms() -> tuple[type[Section], ...]:
    files = sorted(file for room in ROOMS for file in (ROOT / room / "sections").glob("[!_]*.py"))
    return tuple(_of_file(file) for file in files)


def _of_file(file: Path) -> type[Section]:
    section = _section(".".join(("corpusmill", *file.relative_to(ROOT).with_suffix("").parts)))
    if section.name != file.stem:
        raise CorpusmillError(f"{file} must define the section {file.stem}, not {section.name}")
    return section


def _section(module: str) -> type[Section]:
    found = getattr(importlib.import_module(module), VALUE, None)
    if not (isinstance(found, type) and issubclass(found, Section)) or inspect.isabstract(found):
        where = plugin_file(module) or module
        raise RecipeError(f"{where}: {VALUE} must be a class derived from Section that has all its methods")
    return found


def in_order(sections: Mapping[str, type[Section]]) -> list[type[Section]]:
    """The sections in an order that all of them ask for; of those that are free to stand next, the first by
    name. Raises RecipeError where there is no such order."""
    earlier: dict[str, set[str]] = {name: set() for name in sections}
    for name, section in sections.items():
        earlier[name].update(other for other in section.after if other in sections)
        for other in section.before:
            if other in sections:
                earlier[other].add(name)
    ready = [name for name, others in earlier.items() if not others]
    heapify(ready)
    made: list[type[Section]] = []
    while ready:
        done = heappop(ready)
        made.append(sections[done])
        for name, others in earlier.items():
            if done in others:
                others.remove(done)
                if not others:
                    heappush(ready, name)
    if len(made) < len(sections):
        circle = _circle({name: others for name, others in earlier.items() if others})
        places = "".join(_place(sections[name]) for name in sorted(circle))
        alone = f"the section {circle[0]} asks to stand before itself"
        several = f"the sections {', '.join(circle)} ask to stand one before the other in a circle"
        raise RecipeError(f"{places}{alone if len(circle) == 1 else several}; correct `after` or `before`")
    return made


def _circle(earlier: Mapping[str, set[str]]) -> list[str]:
    """Names that each must come before the next, and the last before the first, which is the smallest.

    Every name of `earlier` has some within it.
    """
    way = [min(earlier)]
    while (before := min(earlier[way[-1]])) not in way:
        way.append(before)
    circle = way[way.index(before) :][::-1]
    first = circle.index(min(circle))
    return circle[first:] + circle[:first]


def _place(section: type[Section]) -> str:
    """The file of the plugin that a section is from, as messages begin; of another nothing."""
    file = plugin_file(section.__module__)
    return "" if file is None else f"plugin {file}: "
