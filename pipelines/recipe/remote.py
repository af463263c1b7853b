"""URLs in a recipe: where they may stand, and whether the recipe allows them. No store is asked here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from corpusmill.pipelines.recipe.messages import Problem
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.storage.objects.current import scheme_problem
from corpusmill.pipelines.storage.objects.urls import is_url, masked

_FOLDERS = {
    "data": "write the URL in each pattern of `read`",
    "output": "runs are written to a folder of this machine",
}


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
    """A problem for each folder of a recipe that is given by a URL."""
    for key, cure in _FOLDERS.items():
        value = data.get(key)
        if isinstance(value, str) and is_url(value):
            yield Problem((key,), f"expected a folder of this machine, got {masked(value)}; {cure}")
