"""Files that a command writes where the user says, with errors that name them."""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.system.faults import CURES


def write_text(path: Path, text: str, *, new: bool = False) -> None:
    """Write a file in UTF-8, over one that is there unless it has to be `new`. Raises UserError where the
    system refuses it, with its reason and the cure."""
    try:
        with path.open("x" if new else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        cure = CURES.get(error.errno or 0, "name another file")
        if isinstance(error, FileExistsError):
            cure = "name a new file"
        raise UserError(f"{path}: cannot be written ({reason}); {cure}") from error
