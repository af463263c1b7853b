"""Middle of a fold: about `FAN_IN` partials are combined at a time, in their order, whatever the workers.

What a level has left the next one combines in the same way, until there is one partial, that of the last
unit. Which ones are combined together follows from what they hold (`grouping.runs`), and units are taken over
from an earlier version where they combine the same partials: a file that is added, changed or taken away
anywhere costs its branch of the tree. Memory: three halves of `FAN_IN` partials.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from corpusmill.pipelines.records.receipt import Receipt, UnitResult
from corpusmill.pipelines.run.operators.fold_map import PARTIAL_FILE, read_partial, write_partial
from corpusmill.pipelines.run.operators.grouping import hashes_of, runs
from corpusmill.pipelines.run.operators.job import Done, Job, Preparation
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.storage.committed import earlier_file
from corpusmill.pipelines.storage.run_folder import Attempt

FAN_IN = 16


@dataclass(frozen=True)
class CombineUnit:
    """The partials of the units from `first` up to `end`, of the step before or (`own`) of this one. `holds`:
    32 hex digits of what they hold."""

    first: int
    end: int
    own: bool
    holds: str


def units(preparation: Preparation) -> Sequence[CombineUnit]:
    files = preparation.first.units.files(PARTIAL_FILE)
    return _branches(0, [bytes.fromhex(file.sha256) for file in files], own=False)


def then(preparation: Preparation, done: Done) -> Sequence[CombineUnit]:
    left = done.counts[-1]
    if left == 1:
        return ()
    first = done.first(len(done.counts) - 1)
    return _branches(first, [_sha256(done.receipts[first + place]) for place in range(left)], own=True)


def _later(preparation: Preparation, first: int) -> int | None:
    """Where branches end follows from the partials that come."""
    return 0 if first == 1 else None


def _sha256(receipt: Receipt) -> bytes:
    (file,) = receipt.files
    return bytes.fromhex(file.sha256)


def _branches(first: int, partials: Sequence[bytes], own: bool) -> Sequence[CombineUnit]:
    """Units that combine the partials from the unit `first` on, given the SHA-256 of each."""
    bounds = runs(hashes_of(partials), FAN_IN)

    def branch(start: int, end: int) -> CombineUnit:
        holds = hashlib.sha256(b"".join(partials[start:end])).hexdigest()[:32]
        return CombineUnit(first + start, first + end, own, holds)

    return [branch(start, end) for start, end in pairwise(bounds)]


def work(job: Job[CombineUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    combined = stage.combine([_partial(job, unit) for unit in range(job.unit.first, job.unit.end)])
    write_partial(attempt.file(PARTIAL_FILE), combined)
    return UnitResult(combined.num_rows)


def _partial(job: Job[CombineUnit], unit: int) -> pa.Table:
    if job.unit.own:
        return read_partial(earlier_file(job.folder, unit, PARTIAL_FILE))
    return read_partial(job.first.file(f"{unit:05d}.{PARTIAL_FILE}"))


def _content(given: Preparation | Job[CombineUnit], unit: CombineUnit) -> object:
    return unit.holds


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
