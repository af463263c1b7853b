"""The picture of a pipeline's measured step, for the report."""

from __future__ import annotations

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.records.training_files import PipelineStep
from corpusmill.training_hooks.schedules.drawing import as_svg
from corpusmill.training_hooks.schedules.methods import made
from corpusmill.training_hooks.schedules.simulate import Span, Timeline


def pipeline_picture(step: PipelineStep) -> str:
    """The step as SVG: what each rank did when, as measured. Raises DataError where it is no step of the
    schedule that it names."""
    try:
        schedule = made(step.schedule, len(step.spans), step.chunks)
        spans = tuple(
            tuple(Span(action, *times) for action, times in zip(actions, of_rank, strict=True))
            for actions, of_rank in zip(schedule.actions, step.spans, strict=True)
        )
        return as_svg(Timeline(schedule, spans))
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"the measured step is none of the schedule {step.schedule!r}: {error}") from error
