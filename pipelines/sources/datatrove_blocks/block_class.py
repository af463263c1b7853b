"""The class of a datatrove block by its name, and whether options suit it.

A block is a class below `datatrove.`, or of a plugin that the recipe names (`STEM.Class` for STEM.py). No
other module is imported for a name in a recipe.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.plugins import plugin_module

INSTALL = "pip install 'corpusmill[datatrove]'"
# Kinds of blocks, and where datatrove has the base class of each.
BASES = {
    "reader": ("datatrove.pipeline.readers.base", "BaseDiskReader"),
    "filter": ("datatrove.pipeline.filters.base_filter", "BaseFilter"),
    "extractor": ("datatrove.pipeline.extractors.base", "BaseExtractor"),
    "formatter": ("datatrove.pipeline.formatters.base", "BaseFormatter"),
}


def block_class(name: str) -> type[Any]:
    """The class called `name`. Raises ValueError with the cure where there is none."""
    module_name, _, class_name = name.rpartition(".")
    if module_name.split(".")[0] == "datatrove":
        module = _imported(module_name)
    else:
        found = plugin_module(module_name)
        if found is None:
            raise ValueError(
                f"`{name}` is neither a class below `datatrove.` nor `STEM.Class` of a STEM.py in `plugins`"
            )
        module = found
    member = getattr(module, class_name, None)
    if not isinstance(member, type):
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise ValueError(f"{module_name} has no class `{class_name}`; {nearest(class_name, classes)}")
    return member


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == "datatrove":
            raise ValueError(f"datatrove is not installed; install it with `{INSTALL}`") from error
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ValueError(f"datatrove has no module `{error.name}`; correct the name") from error
        raise ValueError(f"{name} needs the package {error.name}; install it") from error
    except ImportError as error:
        raise ValueError(f"{name} cannot be imported: {error}") from error


def kind_of_block(block: type[Any]) -> str | None:
    """Which of `BASES` a class is of; None where it is of another kind, such as a writer."""
    for kind, (module, base) in BASES.items():
        if issubclass(block, getattr(importlib.import_module(module), base)):
            return kind
    return None


def need_options(block: type[Any], options: Mapping[str, Any]) -> None:
    """Raise ValueError where a block does not take `options`, or lacks one or a package."""
    signature = inspect.signature(block.__init__)
    names = [name for name in signature.parameters if name not in ("self", "exclusion_writer")]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
    for name in options:
        if name not in names and not takes_any:
            raise ValueError(f"{block.__name__} has no option `{name}`; {nearest(name, names)}")
    try:
        signature.bind(None, **options)
    except TypeError as error:
        raise ValueError(
            f"{block.__name__}: {error}; what no recipe can hold, such as a function, is for a plugin"
        ) from error
    needed = [name for each in block.__mro__ for name in getattr(each, "_requires_dependencies", [])]
    try:
        importlib.import_module("datatrove.utils._import_utils").check_required_dependencies(
            block.__name__, needed
        )
    except ImportError as error:
        raise ValueError(str(error)) from error


def distributions(block: type[Any]) -> tuple[str, ...]:
    """Installed distributions that decide what a block does: datatrove, and those that it says it needs."""
    from importlib.metadata import packages_distributions

    installed = packages_distributions()
    needed = [name for each in block.__mro__ for name in getattr(each, "_requires_dependencies", [])]
    modules = [name if isinstance(name, str) else name[0] for name in needed]
    found = {distribution for module in modules for distribution in installed.get(module, [])}
    return tuple(sorted({"datatrove", *found}))
