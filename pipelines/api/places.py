"""Places that commands are given: paths, or URLs of runs on object storage and of what lies in them."""

from __future__ import annotations

from pathlib import Path


def place(text: str) -> Path:
    """The path that an argument stands for; of a URL the one below which its run appears on this machine,
    with what lies there fetched. Raises UserError where no run lies there."""
    if "://" not in text:
        return Path(text)
    from corpusmill.pipelines.storage.remote.mirrors import asked_for
    from corpusmill.pipelines.storage.verified import brought

    return brought(asked_for(text))
