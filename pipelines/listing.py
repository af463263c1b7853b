"""Which input files a source's patterns stand for.

A file's name is its path relative to the fixed part of its pattern (up to the first wildcard), so moving
the data folder changes no name, and names order the files whatever the file system's own order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from corpusmill.pipelines.errors import RecipeError
from corpusmill.pipelines.sources.reader import Reader

_WILD = set("*?[")


def fixed_part(pattern: str) -> str:
    """The folder of a pattern up to its first wildcard; of a plain file, its folder; of a folder, itself."""
    parts = Path(pattern).parts
    for position, part in enumerate(parts):
        if _WILD & set(part):
            return str(Path(*parts[:position])) if position else "."
    return pattern if Path(pattern).is_dir() else str(Path(pattern).parent)


def list_files(source: str, reader: Reader, data_folder: Path) -> dict[str, str]:
    """`{name: absolute path}` of a source's files, sorted by name.

    Raises RecipeError where a pattern matches nothing, where a match is not readable, and where two files
    would share a name.
    """
    found: dict[str, Path] = {}
    for pattern in reader.files:
        absolute = data_folder / pattern
        base = Path(fixed_part(str(absolute)))
        wild = str(absolute.relative_to(base)) if _WILD & set(str(absolute)) else None
        matches = sorted(base.glob(wild)) if wild else [absolute]
        files = [file for match in matches for file in reader.expand(match) if file.is_file()]
        if not files:
            raise RecipeError(
                f"source {source}: no file matches {absolute}; correct the pattern or the recipe's `data`, "
                "or make the files first"
            )
        for file in files:
            name = file.relative_to(base).as_posix()
            held = found.setdefault(name, file)
            if held != file and held.resolve() != file.resolve():
                raise RecipeError(
                    f"source {source}: {held} and {file} would both be called {name}; give them one pattern "
                    "with a common folder, or two sources"
                )
    return {name: str(found[name].resolve()) for name in sorted(found)}


def listing_key(files: Mapping[str, str]) -> list[list[object]]:
    """Name, path, size and modification time of every file: what decides whether to index again."""
    rows: list[list[object]] = []
    for name, path in files.items():
        stat = Path(path).stat()
        rows.append([name, path, stat.st_size, stat.st_mtime_ns])
    return rows
