"""The engine a recipe chooses; only that one is imported."""

from __future__ import annotations

import os
from typing import IO

from corpusmill.pipelines.contract.plugins import plugin_digest
from corpusmill.pipelines.recipe.environment import variables_to_hide
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.run.engines.engine import Engine


def make_engine(recipe: Recipe, log: IO[bytes] | None) -> Engine:
    """The engine that the recipe asks for."""
    wanted = recipe.engine
    if wanted.kind == "inline":
        from corpusmill.pipelines.run.engines.inline import InlineEngine

        return InlineEngine()
    if wanted.kind == "ray":
        from corpusmill.pipelines.run.engines.ray import RayEngine

        return RayEngine(wanted.workers, wanted.address)
    if wanted.kind == "workers":
        from corpusmill.pipelines.run.engines.workers import WorkersEngine

        plugins = {str(path): plugin_digest(path) for path in recipe.plugins}
        return WorkersEngine(recipe.output_folder, plugins, wanted.workers)
    from corpusmill.pipelines.run.engines.process import ProcessEngine

    return ProcessEngine(wanted.workers or os.cpu_count() or 1, log, variables_to_hide())
