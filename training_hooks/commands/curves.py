"""`corpusmill curves`: a run's training for TensorBoard."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal


def curves(run: Path, out: Path, *, by: Literal["step", "tokens"] = "step") -> dict[str, Any]:
    """Write the curves of every complete training step of `run` into the new folder `out`.

    `run`: a run's folder, or one of its training steps (or a version of one, or the `data` in that). Each
    step becomes one TensorBoard run, the folder `<out>/<step>` with one event file; `by` is the x axis,
    optimiser steps or tokens trained on. For the tags see `curves.metrics`; the same metrics give the same
    bytes. No library of TensorBoard is needed.

    Returns `by`, `out` and `runs`: by name points, curves, the last place on the x axis, and bytes. Raises
    UserError where there is no finished training, DataError for metrics that cannot be read.
    """
    from corpusmill.pipelines.contract.errors import DataError
    from corpusmill.pipelines.system.new_folder import new_folder
    from corpusmill.training_hooks.curves.event_file import NAME, event_file
    from corpusmill.training_hooks.curves.metrics import curves_of

    found: dict[str, Any] = {}
    with new_folder(out) as unfinished:
        for name, folder in _trainings(run).items():
            points = curves_of(folder)
            places = [point.step if by == "step" else point.tokens for point in points]
            if any(later <= earlier for earlier, later in pairwise(places)):
                raise DataError(f"{folder / 'metrics.jsonl'}: {by} does not grow from line to line")
            content = event_file([(x, point.values) for x, point in zip(places, points, strict=True)])
            (unfinished / name).mkdir()
            (unfinished / name / NAME).write_bytes(content)
            tags = {tag for point in points for tag in point.values}
            found[name] = {
                "points": len(places),
                "curves": len(tags),
                "last": places[-1],
                "bytes": len(content),
            }
    return {"by": by, "out": str(out), "runs": found}


def _trainings(run: Path) -> dict[str, Path]:
    """The data folder of every training in `run`, by the name of its step, in order."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.storage.run_folder import RunFolder
    from corpusmill.pipelines.storage.verified import verified
    from corpusmill.pipelines.storage.versions import note_version
    from corpusmill.training_hooks.inference.locate import training_steps

    if not run.is_dir():
        raise UserError(f"{run}: no such folder; give a run or one of its training steps")
    folder = RunFolder(run)
    if folder.begun:
        steps = {name: folder.current_step(name) for name in training_steps(folder)}
        found = {name: step.verified() for name, step in steps.items() if step is not None}
        if not found:
            raise UserError(f"{run}: no finished training yet; run `corpusmill train` on the run's recipe")
        for data in found.values():
            note_version(data)
        return found
    absolute = run.resolve()
    if absolute.parent.name == "steps":
        step = RunFolder(absolute.parents[1]).current_step(absolute.name)
        absolute = step.path if step is not None else absolute
    data = absolute if (absolute / "metrics.jsonl").is_file() else absolute / "data"
    if not (data / "metrics.jsonl").is_file():
        raise UserError(f"{run}: neither a run (current.json) nor a training step (metrics.jsonl)")
    note_version(data)
    verified(data)
    step_folder = data.parents[1] if data.name == "data" else data
    return {step_folder.name: data}
