"""Verified reading by path: for commands that are given a path, which may or may not lie in a run.

Whatever knows the step it reads asks `StepFolder.file`; this is for the others.
"""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.remote.mirrors import store_of_run
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder


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
        if step is not None and (step.store is not None or path.is_file()):
            step.file(absolute.relative_to(parent).as_posix())
    return path


def brought(path: Path) -> Path:
    """`path`, with what lies there fetched where it is of a run on object storage: of a run or a version of a
    step what says what it holds, of its `data` all files, of one file that.

    Raises UserError where no run lies there, IntegrityError for a file that no step wrote.
    """
    for run in (path, *path.parents):
        if store_of_run(run) is None:
            continue
        folder = RunFolder(run)
        if not folder.begun:
            raise UserError(f"{folder.location}: not a run folder; give the recipe's output")
        parts = path.relative_to(run).parts
        if len(parts) > 2:
            StepFolder(run.joinpath(*parts[:3])).need_manifest()
        if len(parts) > 3:
            verified(path)
        else:
            path.mkdir(parents=True, exist_ok=True)
        break
    return path


def _step_with_data(path: Path) -> StepFolder | None:
    """The complete step whose files lie in the folder `path`, `<run>/steps/<step>/<version>/data`."""
    if path.name != "data" or len(path.parents) < 4 or path.parents[2].name != "steps":
        return None
    step = StepFolder(path.parent)
    return step if step.complete_already else None
