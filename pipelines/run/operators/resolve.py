"""From all pairs found to one removal per document, in a single unit, for a stage that overrides `resolve`.

Memory grows with the number of pairs found (about 150 bytes each, and what the stage takes), not with the
corpus. A stage that names a rule instead has `resolve_by_rule`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.records.receipt import PairsPart, UnitResult
from corpusmill.pipelines.run.operators.buckets import FOUND_FILE, coarse_width, read_found, write_buckets
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.left_out import read_left_out, without, write_left_out
from corpusmill.pipelines.run.operators.match import conforming
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.partitions import sorted_by_address
from corpusmill.pipelines.storage.datasets import MASK_UNITS
from corpusmill.pipelines.storage.run_folder import Attempt


@dataclass(frozen=True)
class ResolveUnit:
    """All pairs; the number of buckets that the view's units fall into."""

    buckets: int


def units(preparation: Preparation) -> list[ResolveUnit]:
    return [ResolveUnit(preparation.first.units.first_part(PairsPart).buckets)]


def work(job: Job[ResolveUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    names = [file.name for file in job.first.units.files(FOUND_FILE)]
    tables = [read_found(job.first.file(name)) for name in names]
    found = sorted_by_address(pa.concat_tables([DUPLICATES.empty_table(), *tables]))
    unjudged = read_left_out(job.first)
    write_left_out(attempt, [unjudged])
    chosen = stage.resolve(without(found, unjudged))
    removals = conforming(stage.name, "removals", chosen, DUPLICATES, job.unit.buckets * MASK_UNITS)
    write_buckets(attempt.file(FOUND_FILE), removals, coarse_width(job.unit.buckets))
    return UnitResult(removals.num_rows, part=PairsPart(job.unit.buckets, pairs=found.num_rows))


OPERATOR = Operator(
    "resolve",
    reads="pairs",
    writes="pairs",
    unit=ResolveUnit,
    units=units,
    work=work,
    exclusive=True,
)
