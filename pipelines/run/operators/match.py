"""The last round of an exchange that finds documents to remove and spans to cut, in buckets of their units.

Memory: one partition and what is found in it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.addresses import DUPLICATES, EDITS
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.stage import Found
from corpusmill.pipelines.records.receipt import PairsPart, UnitResult
from corpusmill.pipelines.run.operators.buckets import FOUND_FILE, FoundWriter, coarse_width
from corpusmill.pipelines.run.operators.job import Job, Lazily, Preparation
from corpusmill.pipelines.run.operators.known_units import known_of_rows
from corpusmill.pipelines.run.operators.meeting import meet
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.partitions import PartPartition, layout_at, split_partitions
from corpusmill.pipelines.storage.cuts import EDITS_FILE
from corpusmill.pipelines.storage.datasets import MASK_UNITS
from corpusmill.pipelines.storage.run_folder import Attempt


@dataclass(frozen=True)
class MatchUnit(PartPartition):
    """One partition or a part of it, the number of buckets that the view's units fall into, and that of all
    units that sent rows."""

    buckets: int
    inputs: int


def units(preparation: Preparation) -> Sequence[MatchUnit]:
    inputs = layout_at(preparation.inputs[preparation.step.inputs[-1]]).units
    buckets = max(1, -(-known_of_rows(preparation).first // MASK_UNITS))
    parts = split_partitions(preparation.first)

    def unit(place: int) -> MatchUnit:
        of = parts[place]
        return MatchUnit(of.partition, of.part, of.parts, buckets, inputs)

    return Lazily(len(parts), unit)


def work(job: Job[MatchUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    count = len(stage.rounds())

    def checked(made: object) -> tuple[pa.Table, pa.Table]:
        if not isinstance(made, Found):
            raise CorpusmillError(
                f"stage {stage.name}: its last round, {count}, must give Found; it gave {type(made).__name__}"
            )
        found = conforming(stage.name, "removals", made.removals, DUPLICATES, job.unit.inputs)
        return found, conforming(stage.name, "edits", made.edits, EDITS, job.unit.inputs)

    known, width = known_of_rows(job), coarse_width(job.unit.buckets)

    def write(results: Iterator[list[tuple[pa.Table, pa.Table]]]) -> UnitResult:
        removals = FoundWriter(attempt.file(FOUND_FILE), DUPLICATES, width)
        edits = FoundWriter(attempt.file(EDITS_FILE), EDITS, width)
        for found in results:
            if found:  # together, so that batches are the same where rows were shown one by one
                removals.add(known.of_this_run(pa.concat_tables([removed for removed, _ in found])))
                edits.add(pa.concat_tables([cut for _, cut in found]))
        removals.close()
        edits.close()
        return UnitResult(removals.rows, part=PairsPart(job.unit.buckets, edits=edits.rows))

    return meet(job, attempt, count, checked, write)


def conforming(stage: str, what: str, table: Any, schema: pa.Schema, units: int) -> pa.Table:
    """`table` with the columns of `schema` in its order; those that may be null may be absent.

    Raises CorpusmillError where a stage gives no such table, addresses that `emit` never saw, or what is no
    id of a document.
    """
    if table is None:
        return schema.empty_table()
    if not isinstance(table, pa.Table):
        raise CorpusmillError(
            f"stage {stage}: the {what} of Found must be a pyarrow Table or None, not {type(table).__name__}"
        )
    for field in schema:
        if field.name in table.column_names:
            continue
        if not field.nullable:
            columns = ", ".join(schema.names)
            raise CorpusmillError(
                f"stage {stage}: the {what} of Found lack {field.name!r} of {columns}; add it"
            )
        table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    made = table.select(schema.names).cast(schema)
    last = pc.max(made.column("unit")).as_py()
    if last is not None and last >= units:
        raise CorpusmillError(
            f"stage {stage}: the {what} of Found have a unit {last}, but the units that `emit` saw are 0 to "
            f"{units - 1}; give `unit` and `row` as `emit` had them"
        )
    for name in {"id", "survivor_id"} & set(schema.names):
        wrong = made.filter(pc.invert(pc.match_substring_regex(made.column(name), "^[0-9a-f]{32}$")))
        if wrong.num_rows:
            raise CorpusmillError(
                f"stage {stage}: the {what} of Found have {wrong.column(name)[0].as_py()[:40]!r} as "
                f"{name!r}, which is no id of 32 hexadecimal digits; give the document's own"
            )
    return made


OPERATOR = Operator(
    "match",
    reads="rows",
    writes="pairs",
    unit=MatchUnit,
    units=units,
    work=work,
    isolates=True,
)
