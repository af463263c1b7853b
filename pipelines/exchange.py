"""What goes to other tools and comes from them: exports and imports, each a module found by its name.

An export named `x` is the value `EXPORT` in `<room>/exports/x.py`, or in a plugin `x.py`; an import likewise
is `IMPORT` in `<room>/imports/x.py`. Names are listed without importing anything.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import corpusmill
from corpusmill.pipelines.closest import closest
from corpusmill.pipelines.errors import CorpusmillError, UserError

Of = Literal["documents", "shards", "a tokenizer", "a model"]
Facts = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """One format that is written: `write(what, out, **options)` returns what it wrote, for people and JSON.

    `of`: what is exported. `options`: those of the command line that it takes besides.
    """

    of: Of
    write: Callable[..., Facts]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Import:
    """One format that is read: `read(folder, out, **options)` returns what it wrote in our own form."""

    of: Of
    read: Callable[..., Facts]
    options: tuple[str, ...] = ()


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
    from corpusmill.pipelines.registry import plugins_with

    module = {**_modules(folder, value), **plugins_with(value)}.get(name)
    if module is None:
        return None
    found = getattr(importlib.import_module(module), value, None)
    if not isinstance(found, Export | Import):
        raise CorpusmillError(f"{module} must define {value}, an Export or Import of `pipelines.exchange`")
    return found


def shards_at(what: Path) -> dict[str, list[Path]]:
    """Token shards by what they are for, `train` and `held_out`: of a run, its step, a folder, or one file.

    Raises UserError where there are none.
    """
    from corpusmill.pipelines.inspection.run_record import load_record
    from corpusmill.pipelines.storage import RunFolder, StepFolder

    run = RunFolder(what)
    if what.is_dir() and run.begun:
        step = load_record(run).complete("pack")
        if step is None:
            raise UserError(f"{what}: the run has no shards yet; run its recipe until `pack`")
        files = sorted(step.data.verified().glob("*.arrow"))
    elif (what / "manifest.json").is_file():
        files = sorted(StepFolder(what).verified().glob("*.arrow"))
    else:
        files = sorted(what.glob("*.arrow")) if what.is_dir() else [what] if what.is_file() else []
    found = {
        "train": [file for file in files if not file.name.startswith("heldout-")],
        "held_out": [file for file in files if file.name.startswith("heldout-")],
    }
    if not files:
        raise UserError(
            f"{what}: no token shards (*.arrow); give a run, its step `pack`, a folder or a shard"
        )
    return found
