"""Stages by name: the file name is the registration.

A stage `foo_bar` of a room is the class `FooBar` in `<room>/foo_bar.py`; sub-packages hold what is not a
stage. For the room `pipelines` the folder is `pipelines/sources`: readers and `extract`. Names are listed
without importing anything, and finding one imports its module alone, so that a recipe pays only for the
stages it uses.

Plugins are Python files of the user's. Each is loaded under the module name `corpusmill_plugin_<stem>`;
every stage class it defines is found by its name. The set of plugins belongs to the recipe loaded last:
`load_recipe` clears it and registers its own. A worker process registers the same files again before it
builds their stages.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import corpusmill
from corpusmill.pipelines.closest import closest, listed
from corpusmill.pipelines.errors import CorpusmillError, RecipeError
from corpusmill.pipelines.stage import Map, Regroup, Stage

ROOMS = ("pipelines", "filters", "dedup", "mixtures", "tokenizer", "training_hooks")
STEP_ROOMS = ("filters", "mixtures", "pipelines")  # where the steps of a source are looked up

_ROOT = Path(corpusmill.__file__).parent
_STAGE_FOLDER = {"pipelines": "pipelines/sources"}
_CONTRACTS = {"pipelines/sources": {"reader"}}  # abstract bases that stand among the stages
# Modules that show results, answer the command line, or decide where and when units run: they cannot change
# a unit's bytes. Those of rooms are imported by one another alone.
_NOT_CODE_VERSION = {
    "pipelines": (
        "blame",
        "compile_ahead",
        "cli",
        "engines",
        "estimate",
        "exchange",
        "exports",
        "inspection",
        "kept_documents",
        "losses",
        "plan",
        "recipe",
        "report",
        "sample",
        "scheduler",
        "terminal",
    ),
    "tokenizer": ("commands",),
    "training_hooks": ("commands", "curves", "exports", "imports"),
}


@dataclass(frozen=True)
class Plugin:
    """One loaded plugin file: its path, the sha256 of its bytes, its module and its stages by name."""

    path: Path
    digest: str
    module: ModuleType
    stages: dict[str, type[Stage]]


class UnknownStepError(RecipeError):
    """No step has this name; the message, which lists those there are, is made when it is asked for."""

    def __str__(self) -> str:
        message, name = self.args
        return f"{message}; {nearest(name, step_names())}"


_plugins: dict[str, Plugin] = {}  # by module name, in order of registration
_loaded: dict[tuple[Path, str], Plugin] = {}  # by path and digest: the same file is executed once


def class_name(stage: str) -> str:
    """`fineweb_quality` -> `FinewebQuality`: the inverse of `stage.snake_case`."""
    return "".join(part.capitalize() for part in stage.split("_"))


def nearest(name: str, valid: Iterable[str]) -> str:
    """A phrase that helps on: `did you mean X?` where something is close, then every valid name."""
    names = sorted(valid)
    close = closest(name, names)
    there = f"there are: {listed(names)}" if names else "there are none"
    return f"did you mean `{close}`? ({there})" if close is not None else there


def _folder(room: str) -> str:
    if room not in ROOMS:
        raise CorpusmillError(f"no room {room!r}; there are {', '.join(ROOMS)}")
    return _STAGE_FOLDER.get(room, room)


@cache
def _files(room: str) -> dict[str, Path]:
    folder = _folder(room)
    hidden = _CONTRACTS.get(folder, set())
    return {
        path.stem: path
        for path in sorted((_ROOT / folder).glob("*.py"))
        if not path.stem.startswith("_") and path.stem not in hidden
    }


@cache
def _names(room: str) -> tuple[str, ...]:
    return tuple(
        name
        for name, path in _files(room).items()
        if re.search(rf"^class {class_name(name)}\b", path.read_text("utf-8"), re.MULTILINE)
    )


def names(room: str) -> list[str]:
    """Names of the stages of a room, sorted; nothing is imported.

    A module counts when its text defines the class its name promises. Raises CorpusmillError for a room
    that does not exist.
    """
    return list(_names(room))


@cache
def _import(room: str, name: str) -> type[Stage]:
    module_name = f"corpusmill.{_folder(room).replace('/', '.')}.{name}"
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
    if name not in _files(room):
        raise RecipeError(f"unknown stage `{name}`; {nearest(name, names(room))}")
    return _import(room, name)


def room_command(room: str, name: str) -> Callable[..., Any]:
    """The function `name` of `<room>/commands/<name>.py`, which the command line calls by its name alone.

    Raises CorpusmillError where the room has no such command.
    """
    _folder(room)  # refuses a room there is not
    module_name = f"corpusmill.{room}.commands.{name}"
    if importlib.util.find_spec(module_name) is None:
        raise CorpusmillError(f"the room {room} has no command {name}")
    found: Callable[..., Any] | None = getattr(importlib.import_module(module_name), name, None)
    if found is None:
        raise CorpusmillError(f"{module_name} must define the function {name}")
    return found


def is_step(stage: type[Stage]) -> bool:
    """Whether a stage may stand in a source's `steps`: it maps documents or regroups them."""
    return issubclass(stage, (Map, Regroup)) and not inspect.isabstract(stage)


def step_names() -> list[str]:
    """Names that may stand in a source's `steps`, plugins included, sorted. Imports the modules it lists."""
    found = {n for room in STEP_ROOMS for n in names(room) if is_step(_import(room, n))}
    return sorted(found | {n for n, stage in _plugin_stages().items() if is_step(stage)})


def find_step(name: str) -> type[Map] | type[Regroup]:
    """The step `name` of a source: a map or a regrouping of filters, mixtures, sources or the plugins.

    Raises RecipeError naming the nearest valid step; for a stage that exists but belongs elsewhere in
    the recipe the message says so.
    """
    stage = _plugin_stages().get(name)
    if stage is None:
        room = next((room for room in STEP_ROOMS if name in _files(room)), None)
        stage = _import(room, name) if room else None
    if stage is not None and is_step(stage):
        return stage  # type: ignore[return-value]  # is_step has just shown it
    if stage is not None or any(name in _files(room) for room in ROOMS):
        home = room_of(stage) if stage else next(room for room in ROOMS if name in _files(room))
        raise UnknownStepError(f"`{name}` is a stage of {home}, not a step of a source", name)
    raise UnknownStepError(f"unknown step `{name}`", name)


def room_of(stage: type[Stage]) -> str:
    """The room a stage class was found in; for a plugin's, the name of its module."""
    parts = stage.__module__.split(".")
    if parts[0] == "corpusmill" and len(parts) > 1 and parts[1] in ROOMS:
        return parts[1]
    if stage.__module__ in _plugins:
        return stage.__module__
    raise CorpusmillError(f"{stage.__module__}.{stage.__qualname__} is of no room and no registered plugin")


def _plugin_stages() -> dict[str, type[Stage]]:
    return {name: stage for plugin in _plugins.values() for name, stage in plugin.stages.items()}


def plugins() -> list[Path]:
    """Files of the registered plugins, in order."""
    return [plugin.path for plugin in _plugins.values()]


def plugin_module(stem: str) -> ModuleType | None:
    """The module of the registered plugin STEM.py, or None."""
    plugin = _plugins.get(f"corpusmill_plugin_{stem}")
    return None if plugin is None else plugin.module


def plugins_with(value: str) -> dict[str, str]:
    """Module names, by file name, of the registered plugins that define `value`."""
    return {plugin.path.stem: name for name, plugin in _plugins.items() if hasattr(plugin.module, value)}


def plugin_file(module: str) -> Path | None:
    """The file of the registered plugin whose module has this name, or None."""
    plugin = _plugins.get(module)
    return None if plugin is None else plugin.path


def plugin_digest(path: Path) -> str:
    """SHA-256 of a registered plugin's file as it was executed. Raises CorpusmillError for any other file."""
    for plugin in _plugins.values():
        if plugin.path == path.resolve():
            return plugin.digest
    raise CorpusmillError(f"{path} is no registered plugin; there are {', '.join(map(str, plugins()))}")


def plugin_stages(kind: type[Stage]) -> dict[str, type[Stage]]:
    """Stages of the registered plugins that are of one kind, by name."""
    return {name: stage for name, stage in _plugin_stages().items() if issubclass(stage, kind)}


def use_plugins(paths: Iterable[Path]) -> None:
    """Make these files the registered plugins, whatever was registered before; raises as `register_plugin`.

    For a worker that takes units of one recipe after another. Free while nothing has changed.
    """
    clear_plugins()
    for path in paths:
        register_plugin(path)


def clear_plugins() -> None:
    """Forget every plugin; stages already made from them live on."""
    _plugins.clear()


def register_plugin(path: Path) -> list[str]:
    """Load a plugin file and make its stages known; returns their names, sorted.

    Registering a file again is free while its bytes are the same. Raises RecipeError when the file is
    missing, fails on import, defines no stage, export or import, bears the file name of another plugin, or
    defines a stage whose name is taken.
    """
    path = path.resolve()
    if not path.is_file():
        raise RecipeError(f"no plugin file {path}")
    module_name = f"corpusmill_plugin_{path.stem}"
    other = _plugins.get(module_name)
    if other is not None and other.path != path:
        raise RecipeError(f"plugins {other.path} and {path} have the same file name; rename one")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    plugin = _loaded.get((path, digest)) or _execute(path, digest, module_name)
    _check_clashes(plugin, module_name)
    _loaded[path, digest] = plugin
    _plugins[module_name] = plugin
    sys.modules[module_name] = plugin.module
    return sorted(plugin.stages)


def _execute(path: Path, digest: str, module_name: str) -> Plugin:
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"plugin {path} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(module_name)
    sys.modules[module_name] = module  # pydantic resolves annotations through it
    try:
        # Not spec.loader.exec_module: its cached bytecode is keyed by mtime, which misses quick edits.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102
    except Exception as error:
        if before is None:
            del sys.modules[module_name]
        else:
            sys.modules[module_name] = before
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 1
        hint = ""
        if isinstance(error, ModuleNotFoundError) and error.name and _beside(path, error.name):
            hint = "; a plugin is one file, and what lies beside it is not imported: install it as a package"
        what = f"{type(error).__name__}: {error}{hint}"
        raise RecipeError(f"plugin {path}:{line} fails on import: {what}") from error
    stages = {
        value.name: value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Stage)
        and value.__module__ == module_name
        and not inspect.isabstract(value)
    }
    exchanges = {"EXPORT", "IMPORT"} & vars(module).keys()
    if not (stages or exchanges or any(_is_block(value, module_name) for value in vars(module).values())):
        raise RecipeError(f"plugin {path} defines no stage, that is no class derived from Filter or Edit")
    return Plugin(path, digest, module, stages)


def _is_block(value: Any, module_name: str) -> bool:
    """Whether a plugin's class is a block of datatrove, which the stage `datatrove` runs."""
    own = isinstance(value, type) and value.__module__ == module_name
    return own and any(base.__module__.startswith("datatrove.pipeline.") for base in value.__mro__)


def _beside(path: Path, module: str) -> bool:
    place = path.parent / module.split(".")[0]
    return place.is_dir() or place.with_suffix(".py").is_file()


def _check_clashes(plugin: Plugin, module_name: str) -> None:
    for name in sorted(plugin.stages):
        home = next((room for room in ROOMS if name in names(room)), None)
        if home is not None:
            raise RecipeError(
                f"plugin {plugin.path}: the name `{name}` is taken by a stage of {home}; rename it"
            )
        for other_name, other in _plugins.items():
            if other_name != module_name and name in other.stages:
                raise RecipeError(f"plugins {other.path} and {plugin.path} both define `{name}`; rename one")


def source_digest(room: str) -> str:
    """Code version of a room: sha256 over its .py files, sub-packages too, by sorted path and with bytes.

    `pipelines` is the spine without its command line and report; of other rooms, what only the command line
    calls is left out. A plugin counts as a room named by its module (`corpusmill_plugin_<stem>`). A stage's
    output can depend on its own room and on the spine, so a fingerprint takes both. Read once per process.
    """
    if room in _plugins:
        return _plugins[room].digest
    if room not in ROOMS:
        raise CorpusmillError(f"no room {room!r}; there are {', '.join((*ROOMS, *_plugins))}")
    return _room_digest(room)


@cache
def _room_digest(room: str) -> str:
    root = _ROOT / room
    digest = hashlib.sha256()
    # JSON beside code holds weights that decide what the code does.
    found = [*root.rglob("*.py"), *root.rglob("*.json")]
    files = {path.relative_to(root).as_posix(): path for path in found}
    for name in sorted(files):
        if name.removesuffix(".py").split("/")[0] in _NOT_CODE_VERSION.get(room, ()):
            continue
        content = files[name].read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
