"""Runs that lie around the working directory, and their steps by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corpusmill.pipelines.contract.closest import listed, nearest
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.remote.mirrors import location_of
from corpusmill.pipelines.storage.run_folder import RunFolder

_POINTER = "current.json"
# Where recipes put runs: the folder itself, one in it, `runs/NAME`, and `build/runs/NAME` and the like.
_PLACES = (_POINTER, f"*/{_POINTER}", f"runs/*/{_POINTER}", f"*/runs/*/{_POINTER}")


def runs_at_hand(folder: Path) -> list[Path]:
    """Folders of runs in and below `folder`, where recipes put them, the newest first."""
    found = {file for pattern in _PLACES for file in folder.glob(pattern)}
    return [file.parent for file in sorted(found, key=lambda file: (-file.stat().st_mtime_ns, str(file)))]


def steps_of(run: Path) -> list[str]:
    """Names of the steps that a run has now, then of those that only lie in its folder, each sorted."""
    folder = RunFolder(run)
    current = sorted(folder.current().steps)
    others = {path.name for path in (run / "steps").glob("*") if path.is_dir()} - set(current)
    return [*current, *sorted(name for name in others if folder.versions(name))]


def step_at_hand(name: str, run: Path | None, here: Path) -> Path:
    """The folder of the step called `name`: its version that the run has now, else its newest one.

    `run`: None looks through the runs around `here`. A name need not be whole: `minhash` is `dedup.minhash`
    where that alone ends so. Raises UserError where there is none, or several to choose from, which it lists.
    """
    runs = runs_at_hand(here) if run is None else [run]
    if run is not None and not RunFolder(run).begun:
        raise UserError(f"{location_of(run)}: not a run folder (no {_POINTER}); give the recipe's output")
    if not runs:
        raise UserError(
            f"{name}: does not exist, and no run lies here whose step it could be; name one with `--run RUN`"
        )
    names = {each: steps_of(each) for each in runs}
    with_it = {each: found for each in runs if (found := _meant(name, names[each]))}
    if not with_it:
        every = {step for steps in names.values() for step in steps}
        raise UserError(
            f"{name}: does not exist, and no run here has a step `{name}`; {nearest(name, every)}"
        )
    exact = {each: found for each, found in with_it.items() if found == [name]}
    with_it = exact or with_it
    several = next((found for found in with_it.values() if len(found) > 1), None)
    if several is not None:
        raise UserError(f"{name}: could be any of {listed(several)}; write one of them")
    if len(with_it) > 1:
        commands = [f"`{found[0]} --run {_shown(each, here)}`" for each, found in with_it.items()]
        raise UserError(
            f"{name}: {len(with_it)} runs have such a step; choose one, the newest first: {listed(commands)}"
        )
    ((chosen, (step,)),) = with_it.items()
    folder = RunFolder(chosen)
    if folder.current_step(step) is not None:
        return chosen / "steps" / step
    return folder.versions(step)[0].path


def _meant(name: str, steps: Sequence[str]) -> list[str]:
    """The steps that a name may mean: of that name, else those that end in it, else those that hold it."""
    for matches in (
        [step for step in steps if step == name],
        [step for step in steps if step.endswith(f".{name}")],
        [step for step in steps if name in step.split(".")],
    ):
        if matches:
            return matches
    return []


def _shown(run: Path, here: Path) -> str:
    return str(run.relative_to(here)) if run.is_relative_to(here) and run != here else str(run)
