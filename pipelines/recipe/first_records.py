"""Look at the first records of every source, before any work.

Of each source a few files are looked at (`Reader.looked_at`: 3, or 30 where a file is one record), the first
by name, and of each at most about 1 MiB read (of Parquet: the footer). A source is at fault where every file
is empty, or where none of these shows one record that can be read: damaged or odd first records decide
nothing beside a sound one. Empty files, and damaged ones of the right format, do not count among the few;
where there are no others, that is the fault.
"""

from __future__ import annotations

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.listing import list_files
from corpusmill.pipelines.recipe.messages import Path, Problem
from corpusmill.pipelines.recipe.models import Recipe, Source
from corpusmill.pipelines.recipe.places import name_fault, on_disk
from corpusmill.pipelines.sources.looking.formats import unpacking_fault
from corpusmill.pipelines.sources.looking.look import NOTHING, Look
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.storage.objects.lazy import TooLargeError

_ALLOW = ", or set `allow_loss: 1` to go on without it"
_ALL_EMPTY = "all of its files are empty; correct the pattern"
EMPTY_FILES = 1000  # looked at on the way to those that hold something
FETCHED_BYTES = 64 * 2**20  # of an object whose reader needs all of it; larger ones are met by the run
DAMAGED_FILES = 30  # looked at on the way to those of which something can be told


def source_problems(recipe: Recipe, source: Source, place: Path) -> list[Problem]:
    """What is wrong with the files of a source, or with their first records; `place`: of its reader."""
    try:
        files = list_files(source.name, source.reader, recipe.data_folder)
        fault = None if source.allow_loss == 1 else first_fault(source.reader, files)
    except UserError as error:  # of a pattern, or of the store that it names
        return [Problem(place, str(error))]
    allow = _ALLOW if source in recipe.sources else ""  # what sections read has no such option
    return [] if fault is None else [Problem(place, f"{fault}{allow}")]


def first_fault(reader: Reader, files: dict[str, str]) -> str | None:
    """What the first of `files` ({name: path}) show to be wrong; None where a record of one of them can be
    read, or where that cannot be told."""
    fault, damage = None, None
    empty, damaged, others = 0, 0, 0
    for name, path in files.items():
        look = _look(reader, path)
        if look.sound:
            return None
        if look.fault is not None:
            fault = fault or f"{name}: {look.fault}"
        if look.damage is not None:
            damage = damage or f"{name}: {look.damage}"
        empty += look.empty
        damaged += look.damage is not None
        others += not look.empty and look.damage is None
        if others == reader.looked_at or empty == EMPTY_FILES or damaged == DAMAGED_FILES:
            break
    if fault is not None or others:
        return fault
    return damage if damaged else _ALL_EMPTY if empty == len(files) and empty else None


def _look(reader: Reader, place: str) -> Look:
    if (fault := name_fault(place)) is not None:
        return Look(damage=fault)
    try:
        with on_disk(place, most=FETCHED_BYTES) as path:
            look = reader.look(path)
            if look == NOTHING and (found := unpacking_fault(path)) is not None:
                words, damaged = found
                return Look(damage=words) if damaged else Look(fault=words)
    except TooLargeError:
        return NOTHING
    except OSError:  # the listing says what cannot be opened; what cannot be read is met again by the run
        return NOTHING
    return look
