"""Where options stand in those of a stage, and the paths among them, which name files and folders to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

OptionPath = tuple[str | int, ...]
"""The way from a stage to something in one of its options: keys of mappings and places in lists."""


class WrongOptionError(ValueError):
    """A fault of several options together, which stands where the option at `path` is written."""

    def __init__(self, path: OptionPath, words: str) -> None:
        super().__init__(words)
        self.path = path


def paths_among(value: Any) -> Iterator[Path]:
    """Every path in an option's value, in the order of fields and items."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, BaseModel):
        yield from paths_among(dict(value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from paths_among(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from paths_among(item)
    elif isinstance(value, (set, frozenset)):
        yield from sorted(item for item in value if isinstance(item, Path))
