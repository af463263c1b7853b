"""What a recipe that holds should still make people think of."""

from __future__ import annotations

from corpusmill.pipelines.recipe.models import Recipe


def remarks(recipe: Recipe) -> list[str]:
    """What the steps of its sources say of themselves (`Stage.remarks`), each with its place."""
    return [
        f"{source.name}.{step.name}: {words}"
        for source in recipe.sources
        for at, step in enumerate(source.steps)
        for words in step.remarks(source.steps[:at])
    ]
