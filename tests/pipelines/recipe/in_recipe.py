"""What a loaded recipe holds, and the lines of faults, for tests."""

from __future__ import annotations

import re
from typing import Any

from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.recipe.models import Recipe


def without_column(line: str) -> str:
    """The line of a fault with the file and the line that it names, and no column."""
    return re.sub(r"^([^:]+:\d+):\d+: ", r"\1: ", line)


def stage_of(recipe: Recipe, section: str, kind: type[Stage]) -> Any:
    """The one stage of a kind in a section of the recipe. Raises KeyError without the section."""
    (stage,) = (stage for _, stage in recipe.sections[section].stages() if isinstance(stage, kind))
    return stage
