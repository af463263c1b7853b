"""Verified reading by path: for commands that are given a path, which may or may not lie in a run.

Whatever knows the step it reads asks `StepFolder.file`; this is for the others.
"""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.storage.run_folder import StepFolder


def verified(path: Path) -> Path:
    """`path`, verified where a run wrote it: a file by its receipt, a complete step's `data` as a whole.

    What lies outside of a run has no receipt and is returned as it is. Raises IntegrityError on damage.
    """
    absolute = path.absolute()
    folder = _step_with_data(absolute)
    if folder is not None:
        folder.verified()
        return path
    for parent in absolute.parents:
        step = _step_with_data(parent)
        if step is not None and path.is_file():
            step.file(absolute.relative_to(parent).as_posix())
    return path


def _step_with_data(path: Path) -> StepFolder | None:
    """The complete step whose files lie in the folder `path`, `<run>/steps/<step>/<version>/data`."""
    if path.name != "data" or len(path.parents) < 4 or path.parents[2].name != "steps":
        return None
    step = StepFolder(path.parent)
    return step if step.manifest_path.is_file() else None
