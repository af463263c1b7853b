"""The picture of a training's pipeline, for the report."""

from __future__ import annotations

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.records.training_files import PipelineUsed
from corpusmill.training_hooks.schedules.drawing import as_svg
from corpusmill.training_hooks.schedules.methods import made
from corpusmill.training_hooks.schedules.simulate import UNIT, simulate


def pipeline_picture(used: PipelineUsed) -> tuple[str, float, float]:
    """A step as SVG, where a backward pass takes twice a forward one; and the share of it that a rank waits,
    the least and the most of all ranks. Raises DataError where there is no such pipeline."""
    try:
        timeline = simulate(made(used.schedule, used.ranks, used.chunks), lambda _, action: UNIT.of(action))
    except (KeyError, ValueError) as error:
        raise DataError(f"there is no pipeline {used}: {error}") from error
    waits = [timeline.bubble(rank) / timeline.makespan for rank in range(used.ranks)]
    return as_svg(timeline), min(waits), max(waits)
