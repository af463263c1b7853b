"""URLs in a recipe: where they may stand, and whether the recipe allows them. No store is asked here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.recipe.messages import Problem
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.storage.objects.current import scheme_problem
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.urls import is_url, local_pattern, masked
from corpusmill.pipelines.storage.remote.mirrors import mirror_of, run_problem


def remote_problems(recipe: Recipe) -> Iterator[Problem]:
    """A problem for each pattern that names what the recipe or its reader does not allow."""
    for path, source in recipe.placed_sources:
        for pattern in filter(is_url, source.reader.files):
            fault = scheme_problem(pattern, recipe.storage)
            if fault is None and source.reader.local_only:
                fault = f"{masked(pattern)} is remote, and `{source.reader.name}` {source.reader.local_only}"
            if fault is not None:
                yield Problem(path, fault)


def folder_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """A problem where the folder of the data is given by a URL."""
    value = data.get("data")
    if isinstance(value, str) and is_url(local_pattern(value)):
        cure = "write the URL in each pattern of `read`"
        yield Problem(("data",), f"expected a folder of this machine, got {masked(value)}; {cure}")


def run_place(output: str, folder: Path, storage: ObjectStorage | None) -> Path:
    """The folder of this machine for a run whose output is given as a path from `folder`, or as a URL.

    Raises RecipeError where the recipe may not write there.
    """
    output = local_pattern(output)
    if not is_url(output):
        return Path(os.path.normpath(folder / output))
    problem = run_problem(output) or scheme_problem(output, storage)
    if problem is not None:
        raise RecipeError(problem)
    assert storage is not None
    return mirror_of(output, storage)
