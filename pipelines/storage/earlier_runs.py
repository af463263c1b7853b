"""What an earlier run remembers of a deduplication, found and looked at before it is used."""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.contract.errors import IntegrityError, OtherVersionError, UserError
from corpusmill.pipelines.storage.graph_file import read_graph
from corpusmill.pipelines.storage.remote.mirrors import with_urls
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder


def remembering(step: str) -> str:
    """The name of the step that keeps what a deduplication saw."""
    return f"{step}.known"


def remembered(run: Path, step: str) -> StepFolder:
    """The complete step in which the run at a folder remembers what its deduplication `step` saw.

    Raises UserError, with the cure, where there is no such run, it has not come so far, does not remember, is
    damaged, stale, or of another version of corpusmill.
    """
    folder = RunFolder(run)
    told = folder.location
    if folder.store is None and not run.is_dir():
        raise UserError(f"there is no earlier run {told}; correct the path, or run the recipe that makes it")
    if not folder.begun:
        raise UserError(f"{told} is not the folder of a run; name the folder that a recipe calls `output`")
    name = remembering(step)
    try:
        current = folder.current()
        known = folder.current_step(name)
        complete = known is not None and known.manifest() is not None
        planned = complete or name in {one.name for one in read_graph(folder).steps}
    except OtherVersionError as error:
        raise UserError(
            f"{with_urls(error.fault)}; run the recipe of the earlier run {told} again"
        ) from error
    except IntegrityError as error:
        raise UserError(
            f"{with_urls(error.fault)}; run the recipe of the earlier run {told} with --repair"
        ) from error
    if known is None or not complete:
        if planned or known is not None or current.steps.get(step) is None:
            raise UserError(
                f"the earlier run {told} has not finished `{step}`; run its recipe to the end, with that "
                "stage in it"
            )
        raise UserError(
            f"the earlier run {told} does not remember what `{step}` saw; add `remember: true` to its "
            "`dedup` and run its recipe again, which does nothing else again"
        )
    if name in current.stale:
        raise UserError(
            f"what the earlier run {told} remembers of `{step}` was made from inputs or options that it no "
            "longer has; run its recipe again"
        )
    return known
