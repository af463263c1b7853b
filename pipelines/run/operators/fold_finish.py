"""End of a fold: the last partial becomes the artefact, in a single unit.

Memory: the partial, and whatever the stage's `finish` declares.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpusmill.pipelines.records.receipt import SummaryPart, UnitResult
from corpusmill.pipelines.run.operators.fold_map import PARTIAL_FILE, read_partial
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.storage.run_folder import Attempt


@dataclass(frozen=True)
class FinishUnit:
    """The partial of a unit of the step before, its last."""

    reads: int


def units(preparation: Preparation) -> list[FinishUnit]:
    return [FinishUnit(len(preparation.first.units) - 1)]


def work(job: Job[FinishUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    total = read_partial(job.first.file(f"{job.unit.reads:05d}.{PARTIAL_FILE}"))
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
