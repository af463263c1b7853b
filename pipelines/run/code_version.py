"""The code that a step's bytes depend on, as digests: of a module and of all that it names, however deep.

A stage's code is its module and every module of corpusmill whose dotted name stands in the text of one that
counts already, imports within functions and code given to other processes included. So an edit in one reader
touches the steps that read with it and nothing else. Modules that are found by a name made while running
(`importlib.import_module`) are not seen: stages, operators and plugins, which a step's key names itself.
JSON beside code holds weights and tables that decide what the code does: it counts with its folder.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.plugins import plugin_file, plugin_file_digest
from corpusmill.pipelines.contract.rooms import ROOMS, ROOT

# What shows results, answers the command line, checks recipes, or decides where and when units run: it cannot
# change a unit's bytes. Modules and packages, by their dotted names.
_NOT_OF_BYTES = tuple(
    f"corpusmill.{name}"
    for name in (
        "pipelines.cli",
        "pipelines.exports",
        "pipelines.inspection",
        "pipelines.recipe",
        "pipelines.report",
        "pipelines.sample",
        "pipelines.run.blame",
        "pipelines.run.ceilings",
        "pipelines.run.compile_ahead",
        "pipelines.run.engines",
        "pipelines.run.estimate",
        "pipelines.run.losses",
        "pipelines.run.plan",
        "pipelines.run.scheduler",
        "pipelines.storage.clusters",
        "pipelines.storage.hex_ids",
        "pipelines.system.terminal",
        "tokenizer.commands",
        "training_hooks.commands",
        "training_hooks.curves",
        "training_hooks.exports",
        "training_hooks.imports",
        "training_hooks.launch",
    )
)
_NAMED = re.compile(r"corpusmill(?:\.[A-Za-z_]\w*)+")
_FROM = re.compile(r"from (corpusmill(?:\.\w+)*) import (\([^)]*\)|[^\n]*)")


@cache
def package_digest() -> str:
    """Digest of all of corpusmill's code and tables, 64 hex digits: equal where two machines run the same."""
    found = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in (".py", ".json", ".html") and "__pycache__" not in path.parts:
                found.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def code_digest(module: str) -> str:
    """Code version of one module, 64 hex digits: SHA-256 over the names and bytes of all files it depends on.

    Of a plugin it is the digest of its file with that of the modules it names. Raises CorpusmillError where
    there is no such module. Read once a process.
    """
    if plugin_file(module) is not None:
        text = plugin_file_digest(module)
        return hashlib.sha256("\0".join([text, *map(_digest, _named_by_plugin(module))]).encode()).hexdigest()
    return _digest(module)


def modules_of(module: str) -> frozenset[str]:
    """Every module of corpusmill that a module's code version covers, itself included."""
    found: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _named(name)
    return frozenset(found)


@cache
def _digest(module: str) -> str:
    if _file(module) is None:
        raise CorpusmillError(f"there is no module {module}")
    files: set[Path] = set()
    for name in modules_of(module):
        file = _file(name)
        assert file is not None
        files.add(file)
        files.update(file.parent.glob("*.json"))
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@cache
def _file(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split(".")[1:])
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _named(module: str) -> tuple[str, ...]:
    file = _file(module)
    assert file is not None
    return _names_in(file.read_text("utf-8"))


def _named_by_plugin(module: str) -> tuple[str, ...]:
    file = plugin_file(module)
    assert file is not None
    return _names_in(file.read_text("utf-8"))


def _names_in(text: str) -> tuple[str, ...]:
    """Modules of corpusmill that a source text names, sorted."""
    named = set(_NAMED.findall(text))
    for package, imported in _FROM.findall(text):
        named.update(f"{package}.{name}" for name in re.findall(r"\w+", imported))
    found = {module for name in named if (module := _module_in(name)) is not None}
    return tuple(sorted(found))


def _module_in(name: str) -> str | None:
    """The longest module that a dotted name begins with, unless it cannot change bytes."""
    parts = name.split(".")
    while len(parts) > 1:
        module = ".".join(parts)
        if _file(module) is not None:
            apart = any(module == other or module.startswith(f"{other}.") for other in _NOT_OF_BYTES)
            return None if apart else module
        parts.pop()
    return None
