"""What a loaded recipe holds, for tests."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.recipe.models import Recipe


def stage_of(recipe: Recipe, section: str, kind: type[Stage]) -> Any:
    """The one stage of a kind in a section of the recipe. Raises KeyError without the section."""
    (stage,) = (stage for _, stage in recipe.sections[section].stages() if isinstance(stage, kind))
    return stage
