"""Look at the first records of every source, before any work.

Of each source at most `FILES` files that hold something are looked at, the first by name, and of each at most
about 1 MiB read (of Parquet: the footer). A source is at fault where every file is empty, or where some file
speaks against it and none of them for it: damaged or odd first records decide nothing, the run's ledger does.
"""

from __future__ import annotations

from pathlib import Path as FilePath

from corpusmill.pipelines.errors import RecipeError
from corpusmill.pipelines.listing import list_files
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.models import Recipe, Source
from corpusmill.pipelines.sources.looking.formats import unpacks_never
from corpusmill.pipelines.sources.looking.look import NOTHING, Look
from corpusmill.pipelines.sources.reader import Reader

FILES = 3
_ALL_EMPTY = "all of its files are empty; correct the pattern, or set `allow_loss: 1` to go on without it"
EMPTY_FILES = 1000  # looked at on the way to them


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
    empty, others = 0, 0
    for name, path in files.items():
        try:
            look = reader.look(FilePath(path))
            if look == NOTHING and (why := unpacks_never(FilePath(path))) is not None:
                look = Look(fault=why)
        except OSError:  # the listing says what cannot be opened; what cannot be read is met again by the run
            look = NOTHING
        if look.sound:
            return None
        if fault is None and look.fault is not None:
            fault = f"{name}: {look.fault}"
        empty, others = empty + look.empty, others + (not look.empty)
        if others == FILES or empty == EMPTY_FILES:
            break
    if empty and empty == len(files):
        return _ALL_EMPTY
    return fault
