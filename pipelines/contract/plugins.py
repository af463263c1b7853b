"""Plugins: Python files of the user's, each loaded under the module name `corpusmill_plugin_<stem>`.

Every stage class that a plugin defines is found by its name. The set of plugins belongs to the recipe loaded
last: `load_recipe` clears it and registers its own. A worker process registers the same files again before it
builds their stages.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from corpusmill.pipelines.contract.errors import CorpusmillError, RecipeError
from corpusmill.pipelines.contract.rooms import ROOMS, names
from corpusmill.pipelines.contract.stage import Stage


@dataclass(frozen=True)
class Plugin:
    """One loaded plugin file: its path, the sha256 of its bytes, its module and its stages by name."""

    path: Path
    digest: str
    module: ModuleType
    stages: dict[str, type[Stage]]


_plugins: dict[str, Plugin] = {}  # by module name, in order of registration
_loaded: dict[tuple[Path, str], Plugin] = {}  # by path and digest: the same file is executed once


def stages_of_plugins() -> dict[str, type[Stage]]:
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


def plugin_file_digest(module: str) -> str:
    """SHA-256 of the file of the registered plugin whose module has this name. Raises KeyError."""
    return _plugins[module].digest


def plugin_digest(path: Path) -> str:
    """SHA-256 of a registered plugin's file as it was executed. Raises CorpusmillError for any other file."""
    for plugin in _plugins.values():
        if plugin.path == path.resolve():
            return plugin.digest
    raise CorpusmillError(f"{path} is no registered plugin; there are {', '.join(map(str, plugins()))}")


def plugin_stages(kind: type[Stage]) -> dict[str, type[Stage]]:
    """Stages of the registered plugins that are of one kind, by name."""
    return {name: stage for name, stage in stages_of_plugins().items() if issubclass(stage, kind)}


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
    missing, fails on import, defines no stage, section, export or import, bears the file name of another
    plugin, or defines a stage whose name is taken.
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
        place = f"{path}:{error.lineno}" if isinstance(error, SyntaxError) else place_in_plugin(path, error)
        hint = ""
        if isinstance(error, ModuleNotFoundError) and error.name and _beside(path, error.name):
            hint = "; a plugin is one file, and what lies beside it is not imported: install it as a package"
        what = f"{type(error).__name__}: {error}{hint}"
        raise RecipeError(f"plugin {place} fails on import: {what}") from error
    stages = {
        value.name: value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Stage)
        and value.__module__ == module_name
        and not inspect.isabstract(value)
    }
    values = {"EXPORT", "IMPORT", "SECTION"} & vars(module).keys()
    if not (stages or values or any(_is_block(value, module_name) for value in vars(module).values())):
        raise RecipeError(
            f"plugin {path} defines no stage, that is no class derived from Filter, Edit, Exchange, Reader "
            "or another kind of stage, and no SECTION, EXPORT or IMPORT"
        )
    return Plugin(path, digest, module, stages)


def raised_in_plugin(path: Path, what: str, error: Exception) -> RecipeError:
    """The error that names the file and line of a plugin in which `what` raised, and what it raised."""
    raised = " ".join(f"{type(error).__name__}: {error}".split())
    return RecipeError(f"plugin {place_in_plugin(path, error)}: {what} fails: {raised}; correct it")


def place_in_plugin(path: Path, error: Exception) -> str:
    """A plugin's file, with the line that was at work when it raised, where one was."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return f"{path}:{lines[-1]}" if lines else str(path)


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
