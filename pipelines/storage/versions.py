"""Which version of its step a folder or file of a run is, and a note where the run no longer holds it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.staleness import stale_steps

log = logging.getLogger("corpusmill.run")

VERSIONS = {
    "earlier": "an earlier version of its step: the run has another now",
    "stale": "stale: made from other inputs or options than the run now has",
}
_CURES = {
    "earlier": "; `current.json` names the one in use",
    "stale": "; run the recipe to the step again",
}


def version_of(folder: StepFolder) -> str | None:
    """What a folder is to its run: its `current` version of a step, a `stale` or `earlier` one, or None where
    no run points at a version of the step."""
    place = folder.path.resolve()
    if place.parent.parent.name != "steps":
        return None
    run = RunFolder(place.parent.parent.parent)
    pointed = run.current_step(place.parent.name) if run.current_path.exists() else None
    if pointed is None:
        return None
    if pointed.path.name != place.name:
        return "earlier"
    return "stale" if place.parent.name in stale_steps(run) else "current"


def note_version(path: Path) -> None:
    """Warn where `path`, a step's `data` or something in it, is of another version than the run's own, or of
    one that no longer holds. What lies in no run has no version."""
    note_versions([path])


def note_versions(paths: Iterable[Path]) -> None:
    """`note_version` of each of `paths`, with one warning for all that lie in one folder of a step."""
    for data in sorted({data for path in paths if (data := _data_of(path)) is not None}):
        found = version_of(StepFolder(data.parent))
        if found in VERSIONS:
            cure = _CURES[found]
            log.warning("step %s in %s: %s%s", data.parents[1].name, data.parent, VERSIONS[found], cure)


def _data_of(path: Path) -> Path | None:
    """The `data` folder of a step that `path` is or lies in."""
    absolute = path.resolve()
    for data in (absolute, *absolute.parents):
        if data.name == "data" and len(data.parents) > 3 and data.parents[2].name == "steps":
            return data
    return None
