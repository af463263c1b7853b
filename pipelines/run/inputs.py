"""Input files while a run is on: whether they changed, and the index that was made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.models import Recipe, Source
from corpusmill.pipelines.sources.reader import Reader, read_index
from corpusmill.pipelines.storage.run_folder import StepFolder


def listing_key(reader: Reader, files: Mapping[str, str]) -> list[tuple[str, str, int, int, str]]:
    """Name, path, size, modification time and `Reader.state` of every file: what decides whether to index
    again."""
    return [(name, path, *stamp_of(path), reader.state(Path(path), name)) for name, path in files.items()]


def stamp_of(path: str) -> tuple[int, int]:
    """Size and modification time of a file. Raises UserError where there is none any more."""
    try:
        stat = Path(path).stat()
    except FileNotFoundError as error:
        raise UserError(f"{path} was removed while the run was on; run the same command again") from error
    return stat.st_size, stat.st_mtime_ns


def check_unchanged(stamps: Mapping[str, Sequence[Any]]) -> None:
    """Raise UserError where a file is no longer as it was listed.

    What was read from it belongs to no content hash that the run knows, so it must not be committed.
    `stamps`: size, time and perhaps more of each file.
    """
    for path, stamp in stamps.items():
        if list(stamp_of(path)) != list(stamp[:2]):
            raise UserError(f"{path} changed while the run was on; run the same command again")


def forget_false_index(step: StepFolder, source: Source, paths: Mapping[str, str]) -> None:
    """Make an index start anew where a file's bytes are not those that it was made of.

    `step` is the version of the index for the files' present sizes and times, `paths` their paths by name.
    The manifest goes first: killed in between, the index is not complete and is made again.
    """
    manifest = step.manifest()
    if manifest is not None:
        entries = [
            entry for unit in manifest.units for entry in read_index(step.data / f"{unit.name}.index.json")
        ]
        if all(source.reader.content_hash(Path(paths[entry.name])) == entry.sha256 for entry in entries):
            return
    step.forget_units()  # of one that was not finished: unproven


def source_of(recipe: Recipe, name: str) -> Source:
    """The source whose index step is called `name`."""
    sources = [*recipe.sources, *(source for _, source in recipe.sources_beside)]
    return next(source for source in sources if f"{source.name}.index" == name)
