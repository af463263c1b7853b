"""Middle of a fold: partials are combined `FAN_IN` at a time, in their order, whatever the workers.

What a level has left the next one combines in the same way, until there is one partial, that of the last
unit. Units of the first level are taken over from an earlier version where they combine the same partials:
a file that was changed or added at the end costs its branch of the tree. Memory: `FAN_IN` partials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.fold_map import read_partial, write_partial
from corpusmill.pipelines.run.operators.job import Done, Job, Lazily, Preparation
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.storage.committed import earlier_file
from corpusmill.pipelines.storage.run_folder import Attempt

FAN_IN = 16


@dataclass(frozen=True)
class CombineUnit:
    """The partials of the units from `first` up to `end`, of the step before or (`own`) of this one."""

    first: int
    end: int
    own: bool = False


def units(preparation: Preparation) -> Sequence[CombineUnit]:
    return _groups(0, len(preparation.first.units), own=False)


def then(preparation: Preparation, done: Done) -> Sequence[CombineUnit]:
    left = done.counts[-1]
    return _groups(done.first(len(done.counts) - 1), left, own=True) if left > 1 else ()


def _later(preparation: Preparation, first: int) -> int:
    found = 0
    while first > 1:
        first = -(-first // FAN_IN)
        found += first
    return found


def _groups(first: int, count: int, own: bool) -> Sequence[CombineUnit]:
    def group(place: int) -> CombineUnit:
        start = place * FAN_IN
        return CombineUnit(first + start, first + min(count, start + FAN_IN), own)

    return Lazily(-(-count // FAN_IN), group)


def work(job: Job[CombineUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    combined = stage.combine([_partial(job, unit) for unit in range(job.unit.first, job.unit.end)])
    write_partial(attempt.file("partial.arrow"), combined)
    return UnitResult(combined.num_rows)


def _partial(job: Job[CombineUnit], unit: int) -> pa.Table:
    if job.unit.own:
        return read_partial(earlier_file(job.folder, unit, "partial.arrow"))
    return read_partial(job.first.file(f"{unit:05d}.partial.arrow"))


def _content(given: Preparation | Job[CombineUnit], unit: CombineUnit) -> object:
    """Of the first level, whose partials are all there before: SHA-256 of each of them."""
    if unit.own:
        return None
    return [given.first.entry(f"{number:05d}.partial.arrow").sha256 for number in range(unit.first, unit.end)]


OPERATOR = Operator(
    "fold_combine",
    reads="partials",
    writes="partials",
    unit=CombineUnit,
    units=units,
    content=_content,
    work=work,
    then=then,
    later=_later,
)
