"""What lies at the top of a run: its pointer, `current.json`, and its recipe, `recipe.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from corpusmill.pipelines.records.opaque import RawRecipe


@dataclass(frozen=True)
class Pointer:
    """Which version of each step is the run's: fingerprints by name. `stale`: steps that were made from other
    inputs or options than they would be now. With `--until`: `until`, the steps given, and `asked`, these and
    all they need."""

    RECORD: ClassVar[str] = "pointer"
    VERSION: ClassVar[int] = 1

    recipe: str | None = None
    steps: Mapping[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    until: tuple[str, ...] | None = None
    asked: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RecipeFile:
    """The recipe as it was run, values of variables left out."""

    RECORD: ClassVar[str] = "recipe"
    VERSION: ClassVar[int] = 1

    recipe: RawRecipe
