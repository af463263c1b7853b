"""Which input files a source's patterns stand for.

A file's name is its path relative to the fixed part of its pattern (up to the first wildcard), so moving
the data folder changes no name, and names order the files whatever the file system's own order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from corpusmill.pipelines.errors import RecipeError, UserError
from corpusmill.pipelines.sources.reader import Reader

_WILD = set("*?[")


def _matches(data_folder: Path, pattern: str) -> tuple[Path, list[Path]]:
    """The fixed part of a pattern, and its matches sorted.

    Only the pattern has wildcards, never the folder it is relative to; what exists by that very name is
    meant as it stands.
    """
    whole = data_folder / pattern
    parts = Path(pattern).parts
    wild = next((position for position, part in enumerate(parts) if _WILD & set(part)), None)
    if wild is None or whole.exists():
        return (whole if whole.is_dir() else whole.parent), [whole]
    base = data_folder.joinpath(*parts[:wild])
    return base, sorted(base.glob(str(Path(*parts[wild:]))))


def _checked(source: str, file: Path) -> Path:
    """The file's real path. Raises RecipeError unless it can be read and be named in JSON."""
    real = file.resolve()
    shown = os.fsencode(file).decode("utf-8", "backslashreplace")
    for path in (file, real):
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise RecipeError(
                f"source {source}: the name of {shown} is not UTF-8; rename the file"
            ) from error
    if not os.access(real, os.R_OK):
        raise RecipeError(f"source {source}: {shown} cannot be read; change its permissions")
    return real


def list_files(source: str, reader: Reader, data_folder: Path) -> dict[str, str]:
    """`{name: absolute path}` of a source's files, sorted by name.

    Raises RecipeError where a pattern matches nothing, where a match is not readable, where two files
    would share a name, and where two patterns give one file two names, which would read it twice.
    """
    found: dict[str, Path] = {}
    owners: dict[Path, tuple[str, str]] = {}  # real path -> the pattern that found it, and its name
    for pattern in reader.files:
        base, matches = _matches(data_folder, pattern)
        files = []
        for match in matches:
            if match.is_symlink() and not match.exists():
                raise RecipeError(f"source {source}: {match} is a broken link; mend or remove it")
            files += [file for file in reader.expand(match) if file.is_file()]
        if not files:
            raise RecipeError(
                f"source {source}: no file matches {data_folder / pattern}; correct the pattern or the "
                "recipe's `data`, or make the files first"
            )
        for file in files:
            name = file.relative_to(base).as_posix()
            real = _checked(source, file)
            held = found.setdefault(name, real)
            if held != real:
                raise RecipeError(
                    f"source {source}: {held} and {real} would both be called {name}; give them one pattern "
                    "with a common folder, or two sources"
                )
            owner, known = owners.setdefault(real, (pattern, name))
            if owner != pattern and known != name:
                raise RecipeError(
                    f"source {source}: the patterns {owner} and {pattern} both match {file} and would read "
                    "it twice; let only one of them match it"
                )
    return {name: str(found[name]) for name in sorted(found)}


def listing_key(files: Mapping[str, str]) -> list[tuple[str, str, int, int]]:
    """Name, path, size and modification time of every file: what decides whether to index again."""
    return [(name, path, *stamp_of(path)) for name, path in files.items()]


def stamp_of(path: str) -> tuple[int, int]:
    """Size and modification time of a file. Raises UserError where it is gone."""
    try:
        stat = Path(path).stat()
    except FileNotFoundError as error:
        raise UserError(f"{path} was removed while the run was on; run the same command again") from error
    return stat.st_size, stat.st_mtime_ns


def check_unchanged(stamps: Mapping[str, Sequence[int]]) -> None:
    """Raise UserError where a file is no longer as it was listed.

    What was read from it belongs to no content hash that the run knows, so it must not be committed.
    """
    for path, stamp in stamps.items():
        if list(stamp_of(path)) != list(stamp):
            raise UserError(f"{path} changed while the run was on; run the same command again")
