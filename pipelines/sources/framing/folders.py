"""Files of a folder, in a fixed order, without leaving it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from corpusmill.pipelines.contract.errors import DataError


def files_of(
    root: Path, chosen: Callable[[str], bool], or_else: Callable[[Path], bool] = lambda path: False
) -> list[Path]:
    """Regular files under `root` for which `chosen(name)` or `or_else(path)` holds, sorted by their path's
    components.

    Symbolic links below `root` are not followed, hidden files and folders (a name beginning with a dot)
    are passed over. Raises DataError for a folder that cannot be listed.
    """
    found: list[tuple[tuple[str, ...], Path]] = []
    todo: list[tuple[str, ...]] = [()]  # not os.walk, which calls itself once a level
    while todo:
        parts = todo.pop()
        try:
            with os.scandir(root.joinpath(*parts)) as entries:
                here = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            raise DataError(
                f"{error.filename}: cannot list the folder ({error.strerror}); grant access or exclude it"
            ) from error
        for entry in here:
            if entry.is_dir(follow_symlinks=False):
                todo.append((*parts, entry.name))
            elif entry.is_file(follow_symlinks=False) and (chosen(entry.name) or or_else(Path(entry.path))):
                found.append(((*parts, entry.name), Path(entry.path)))
    return [path for _, path in sorted(found)]
