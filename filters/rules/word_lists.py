"""Lists that users give as files: an entry a line."""

from __future__ import annotations

from pathlib import Path


def entries(file: Path, *, lower: bool = True) -> list[str]:
    """The entries, in lower case unless `lower` is false, without blank lines and those that start with `#`.

    Raises UserError, with the place, for a file that is not UTF-8 and for one without an entry.
    """
    from corpusmill.pipelines.contract.errors import UserError

    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at byte {error.start}; convert it, an entry a line") from error
    found = [line.lower() if lower else line for line in lines if line and not line.startswith("#")]
    if not found:
        raise UserError(f"{file}: has no entry; leave the option out where nothing is meant")
    return found
