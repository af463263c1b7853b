"""Files of a folder, in a fixed order, without leaving it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from corpusmill.pipelines.errors import DataError


def files_of(root: Path, chosen: Callable[[str], bool]) -> list[Path]:
    """Regular files under `root` for which `chosen(name)` holds, sorted by their path's components.

    Symbolic links below `root` are not followed, hidden files and folders (a name beginning with a dot)
    are passed over. Raises DataError for a folder that cannot be listed.
    """
    found: list[Path] = []

    def fail(error: OSError) -> None:
        raise DataError(
            f"{error.filename}: cannot list the folder ({error.strerror}); grant access or exclude it"
        )

    for folder, folders, names in os.walk(root, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and chosen(name) and not path.is_symlink() and path.is_file():
                found.append(path)
    return sorted(found, key=lambda path: path.relative_to(root).parts)
