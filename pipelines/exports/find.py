"""Exports and imports by name: each is a module, and its file name is the registration.

An export named `x` is the value `EXPORT` in `<room>/exports/x.py`, or in a plugin `x.py`; an import likewise
is `IMPORT` in `<room>/imports/x.py`. Rooms may have exports of one name, of different things: `huggingface`
is of documents, and of a tokenizer. Names are listed without importing anything.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TypeVar

import corpusmill
from corpusmill.pipelines.contract.closest import closest
from corpusmill.pipelines.contract.conversion import Export, Import, Of
from corpusmill.pipelines.contract.errors import UserError

Conversion = TypeVar("Conversion", Export, Import)


def export_names() -> list[str]:
    """Names of the exports that come with corpusmill, sorted."""
    return sorted(_modules("exports", "EXPORT"))


def import_names() -> list[str]:
    """Names of the imports that come with corpusmill, sorted."""
    return sorted(_modules("imports", "IMPORT"))


def exports_named(name: str) -> dict[Of, Export]:
    """The exports of this name, by what they are of.

    Raises UserError where there is none, with all names by what they export, those of plugins too, and where
    a plugin's has the name of one that comes with corpusmill.
    """
    formats = _formats("exports", "EXPORT")
    if name in formats:
        found = [_value(module, "EXPORT", Export) for module in formats[name]]
        return {one.of: one for one in found}
    kinds: dict[str, list[str]] = {}
    for other in sorted(formats):
        for module in formats[other]:
            kinds.setdefault(_value(module, "EXPORT", Export).of, []).append(other)
    listed = "; ".join(f"of {of}: {', '.join(names)}" for of, names in sorted(kinds.items()))
    raise UserError(f"no export format {name!r}{_hint(name, formats, 'EXPORT')}; there are {listed}")


def import_named(name: str) -> Import:
    """The import of this name.

    Raises UserError, with all names, where there is none, and where a plugin's has the name of one that comes
    with corpusmill.
    """
    formats = _formats("imports", "IMPORT")
    if name in formats:
        return _value(formats[name][0], "IMPORT", Import)
    hint = _hint(name, formats, "IMPORT")
    raise UserError(f"no import format {name!r}{hint}; there are {', '.join(sorted(formats))}")


def _modules(folder: str, value: str) -> dict[str, list[str]]:
    """Modules by name of every export or import in the rooms: those whose text defines the value."""
    rooms = Path(corpusmill.__file__).parent
    found: dict[str, list[str]] = {}
    for path in sorted(rooms.glob(f"*/{folder}/*.py")):
        if f"\n{value} = " in path.read_text("utf-8"):
            found.setdefault(path.stem, []).append(f"corpusmill.{path.parts[-3]}.{folder}.{path.stem}")
    return found


def _formats(folder: str, value: str) -> dict[str, list[str]]:
    """Modules by name of all there are. Raises UserError where a plugin's has a name of the rooms."""
    from corpusmill.pipelines.contract.plugins import plugin_file, plugins_with

    built_in, of_plugins = _modules(folder, value), plugins_with(value)
    for name in sorted(built_in.keys() & of_plugins.keys()):
        raise UserError(
            f"{plugin_file(of_plugins[name])}: corpusmill has a format {name} of its own; rename the file"
        )
    return {**built_in, **{name: [module] for name, module in of_plugins.items()}}


def _hint(name: str, formats: dict[str, list[str]], value: str) -> str:
    """What was meant instead, and which plugins have no format."""
    from corpusmill.pipelines.contract.plugins import plugins, plugins_with

    near = closest(name, formats)
    meant = f"; did you mean {near}?" if near is not None else ""
    without = [str(path) for path in plugins() if path.stem not in plugins_with(value)]
    return f"{meant}; {', '.join(without)}: defines no {value}" if without else meant


def _value(module: str, value: str, kind: type[Conversion]) -> Conversion:
    """What a module gives. Raises UserError where it is of another kind."""
    from corpusmill.pipelines.contract.plugins import plugin_file

    found = getattr(importlib.import_module(module), value)
    if not isinstance(found, kind):
        raise UserError(f"{plugin_file(module) or module}: {value} must be an `{kind.__name__}`")
    return found
