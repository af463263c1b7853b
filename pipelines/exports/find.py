"""Exports and imports by name: each is a module, and its file name is the registration.

An export named `x` is the value `EXPORT` in `<room>/exports/x.py`, or in a plugin `x.py`; an import likewise
is `IMPORT` in `<room>/imports/x.py`. Names are listed without importing anything.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import corpusmill
from corpusmill.pipelines.contract.closest import closest
from corpusmill.pipelines.contract.conversion import Export, Import
from corpusmill.pipelines.contract.errors import CorpusmillError, UserError


def export_names() -> list[str]:
    """Names of the exports that come with corpusmill, sorted."""
    return sorted(_modules("exports", "EXPORT"))


def import_names() -> list[str]:
    """Names of the imports that come with corpusmill, sorted."""
    return sorted(_modules("imports", "IMPORT"))


def export_named(name: str) -> Export:
    """The export of this name. Raises UserError, with all names by what they export, where there is none."""
    found = _found("exports", "EXPORT", name)
    if isinstance(found, Export):
        return found
    kinds: dict[str, list[str]] = {}
    for other in export_names():
        kinds.setdefault(export_named(other).of, []).append(other)
    listed = "; ".join(f"of {of}: {', '.join(names)}" for of, names in sorted(kinds.items()))
    near = closest(name, export_names())
    hint = f"; did you mean {near}?" if near is not None else ""
    raise UserError(f"no export format {name!r}{hint}; there are {listed}")


def import_named(name: str) -> Import:
    """The import of this name. Raises UserError where there is none."""
    found = _found("imports", "IMPORT", name)
    if isinstance(found, Import):
        return found
    raise UserError(f"no import format {name!r}; there are {', '.join(import_names())}")


def _modules(folder: str, value: str) -> dict[str, str]:
    """Module by name of every export or import in the rooms: those whose text defines the value."""
    rooms = Path(corpusmill.__file__).parent
    return {
        path.stem: f"corpusmill.{path.parts[-3]}.{folder}.{path.stem}"
        for path in sorted(rooms.glob(f"*/{folder}/*.py"))
        if f"\n{value} = " in path.read_text("utf-8")
    }


def _found(folder: str, value: str, name: str) -> Any:
    """The value of this name, a plugin's before one of the rooms; None where there is none."""
    from corpusmill.pipelines.contract.plugins import plugins_with

    module = {**_modules(folder, value), **plugins_with(value)}.get(name)
    if module is None:
        return None
    found = getattr(importlib.import_module(module), value, None)
    if not isinstance(found, Export | Import):
        raise CorpusmillError(f"{module} must define {value}, an `Export` or `Import`")
    return found
