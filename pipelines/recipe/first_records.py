"""Look at the first records of every source, before any work.

Of each source at most `FILES` files are opened, the first by name, and of each at most about 1 MiB read (of
Parquet: the footer). A source is at fault only where some file speaks against it and none of them for it:
damaged or odd first records decide nothing, the run's ledger does.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path as FilePath

from corpusmill.pipelines.errors import RecipeError
from corpusmill.pipelines.listing import list_files
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.models import Recipe, Source
from corpusmill.pipelines.sources.reader import Reader

FILES = 3


def source_problems(recipe: Recipe, source: Source, place: Path) -> list[Problem]:
    """What is wrong with the files of a source, or with their first records; `place`: of its reader."""
    try:
        files = list_files(source.name, source.reader, recipe.data_folder)
    except RecipeError as error:
        return [Problem(place, str(error))]
    fault = None if source.allow_loss == 1 else first_fault(source.reader, files)
    return [] if fault is None else [Problem(place, fault)]


def first_fault(reader: Reader, files: dict[str, str]) -> str | None:
    """What the first of `files` ({name: path}) shows to be wrong; None where one of them can be read."""
    fault = None
    for name, path in islice(files.items(), FILES):
        try:
            look = reader.look(FilePath(path))
        except OSError:
            continue  # the listing says what cannot be opened; what cannot be read is met again by the run
        if look.sound:
            return None
        if fault is None and look.fault is not None:
            fault = f"{name}: {look.fault}"
    return fault
