"""`corpusmill plan-training`: memory, messages and time of a training on many devices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.system.written_files import write_text
from corpusmill.training_hooks.model.config import PRESET_NAMES, preset
from corpusmill.training_hooks.planning.choose import planned
from corpusmill.training_hooks.planning.hardware import HARDWARE
from corpusmill.training_hooks.planning.plan import TrainingPlan, Work
from corpusmill.training_hooks.planning.rendering import render
from corpusmill.training_hooks.schedules.drawing import as_svg
from corpusmill.training_hooks.schedules.simulate import Timeline


def plan_training(
    name: str,
    *,
    nodes: int,
    per_node: int,
    hardware: str,
    changes: Mapping[str, float],
    work: Mapping[str, Any],
    vocabulary: int,
    mtp: int,
    pipeline: int | None = None,
    experts: int | None = None,
    method: str | None = None,
    svg: Path | None = None,
) -> tuple[TrainingPlan, str]:
    """The plan of the preset `name`, and the same in words.

    `hardware` by name, with `changes` of its figures; `work` as the fields of `planning.plan.Work`;
    `pipeline`, `experts` and `method` None: see `planning.choose.planned`. `svg`: where to draw the step's
    schedule. Raises UserError for names there are not and sizes that do not fit one another.
    """
    if name not in PRESET_NAMES:
        raise UserError(f"no preset {name!r}; there are {', '.join(PRESET_NAMES)}")
    if hardware not in HARDWARE:
        raise UserError(f"no hardware {hardware!r}; there are {', '.join(HARDWARE)}")
    try:
        device = HARDWARE[hardware].with_changes(changes)
        plan, step = planned(
            name,
            preset(name, vocabulary, mtp),
            Work(**work),
            device,
            nodes,
            per_node,
            pipeline=pipeline,
            experts=experts,
            method=method,
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    except OverflowError:
        raise UserError(
            "a size is so large that the plan's figures overflow; correct --batch, --context, --sequences, "
            "--vocabulary or --mtp"
        ) from None
    if svg is not None:
        write_text(svg, _picture(step.timeline))
    return plan, render(plan)


def _picture(timeline: Timeline) -> str:
    """The step's picture, wide enough for its chunks to be told apart."""
    return as_svg(timeline, width=max(1400, 24 * timeline.schedule.chunks))
