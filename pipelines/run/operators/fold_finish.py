"""End of a fold: the last partials become the artefact, in a single unit.

Memory: `FAN_IN` partials and whatever the stage's `finish` declares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from corpusmill.pipelines.records.receipt import SummaryPart, UnitResult
from corpusmill.pipelines.run.operators.fold_combine import FAN_IN
from corpusmill.pipelines.run.operators.fold_map import read_partial
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.storage.run_folder import Attempt


@dataclass(frozen=True)
class FinishUnit:
    """All partials, so many."""

    parts: int


def units(preparation: Preparation) -> list[FinishUnit]:
    return [FinishUnit(len(preparation.first.need_manifest().units))]


def work(job: Job[FinishUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    total: Any = None
    for start in range(0, job.unit.parts, FAN_IN):
        parts = [
            read_partial(job.first.file(f"{unit:05d}.partial.arrow"))
            for unit in range(start, min(job.unit.parts, start + FAN_IN))
        ]
        total = stage.combine(parts if total is None else [total, *parts])
    return UnitResult(total.num_rows, part=SummaryPart(stage.finish(total, attempt.folder)))


OPERATOR = Operator(
    "fold_finish",
    reads="partials",
    writes="artefact",
    unit=FinishUnit,
    units=units,
    work=work,
    exclusive=True,
)
