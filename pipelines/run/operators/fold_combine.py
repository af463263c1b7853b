"""Middle of a fold: partials are combined `FAN_IN` at a time, in their order, whatever the workers.

One level: what is left, a partial for `FAN_IN` units of the view, `fold_finish` combines at once. Memory:
here `FAN_IN` partials, there as many as units divided by `FAN_IN`.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.fold_map import read_partial, write_partial
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.storage.run_folder import Attempt

FAN_IN = 16


@dataclass(frozen=True)
class CombineUnit:
    """The partials of the units from `first` up to `end`."""

    first: int
    end: int


def units(preparation: Preparation) -> list[CombineUnit]:
    count = len(preparation.first.need_manifest().units)
    return [CombineUnit(start, min(count, start + FAN_IN)) for start in range(0, count, FAN_IN)]


def work(job: Job[CombineUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    parts = [
        read_partial(job.first.file(f"{unit:05d}.partial.arrow"))
        for unit in range(job.unit.first, job.unit.end)
    ]
    combined = stage.combine(parts)
    write_partial(attempt.file("partial.arrow"), combined)
    return UnitResult(combined.num_rows)


OPERATOR = Operator(
    "fold_combine",
    reads="partials",
    writes="partials",
    unit=CombineUnit,
    units=units,
    work=work,
)
