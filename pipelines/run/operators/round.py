"""A round of an exchange that is not its last: rows of equal key meet, and what they give is keyed anew.

Reads one partition of the rows that the step before sent, and writes the stage's rows as partitions for the
next round, as `scatter` does for the first. There are as many as in the first round, whose number follows
from the input's bytes. A document on whose rows the stage raises, or its worker dies, is left out of later
rounds. Memory: one partition, and the rows made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.stage import WithSides
from corpusmill.pipelines.records.receipt import Layout, PartitionsPart, UnitResult
from corpusmill.pipelines.run.operators.job import Done, Job, Lazily, Preparation
from corpusmill.pipelines.run.operators.layout import (
    ROWS_FILE,
    Merge,
    RowsWriter,
    layout_of,
    merge_files,
    merges,
)
from corpusmill.pipelines.run.operators.meeting import meet
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.run.operators.partitions import (
    PartPartition,
    layout_at,
    split_partitions,
)
from corpusmill.pipelines.run.operators.sides import keyed_by_address
from corpusmill.pipelines.storage.run_folder import Attempt

ADDRESSED = {"key": pa.uint64(), "unit": pa.uint32(), "row": pa.uint32()}


@dataclass(frozen=True)
class RoundUnit(PartPartition):
    """One partition of the rows of the round before, or a part of it, or the merge of files of the level
    before; and where the rows for the next round lie."""

    layout: Layout
    merge: Merge | None = None


def units(preparation: Preparation) -> Sequence[RoundUnit]:
    parts = split_partitions(preparation.first)
    layout = _layout(preparation, len(parts))

    def unit(place: int) -> RoundUnit:
        of = parts[place]
        return RoundUnit(of.partition, of.part, of.parts, layout)

    return Lazily(len(parts), unit)


def then(preparation: Preparation, done: Done) -> Sequence[RoundUnit]:
    layout = _layout(preparation, done.counts[0])
    found = merges(layout, len(done.counts))
    return Lazily(len(found), lambda place: RoundUnit(found[place].coarse, 0, 1, layout, found[place]))


def _later(preparation: Preparation, first: int) -> int:
    return sum(_layout(preparation, first).files[1:])


def _layout(preparation: Preparation, units: int) -> Layout:
    return layout_of(layout_at(preparation.first).partitions, units, sharing=False)


def work(job: Job[RoundUnit], attempt: Attempt) -> UnitResult:
    if job.unit.merge is not None:
        large = merge_files(job.folder, job.unit.layout, job.unit.merge, attempt.file(ROWS_FILE))
        return UnitResult(0, part=PartitionsPart(job.unit.layout, large=large))
    (stage,) = job.stages()
    number, layout = job.step.options.round, job.unit.layout
    assert number is not None

    following = stage.rounds()[number]
    seen = layout_at(job.inputs[job.step.inputs[-1]]).units

    def keyed(made: Any) -> pa.Table:
        by_address = isinstance(following, WithSides)
        needed = ADDRESSED if not by_address else {name: ADDRESSED[name] for name in ("unit", "row")}
        if not isinstance(made, pa.Table) or not set(needed) <= set(made.column_names):
            named = "`unit` and `row`" if by_address else "`key`, `unit` and `row`"
            raise CorpusmillError(
                f"stage {stage.name}: round {number} of {len(stage.rounds())} must give a table of rows with "
                f"{named} for the next round; it gave {type(made).__name__}"
            )
        for name, kind in needed.items():
            made = made.set_column(made.column_names.index(name), name, made.column(name).cast(kind))
        return keyed_by_address(made, seen, stage.name) if by_address else made

    def write(results: Iterator[list[pa.Table]]) -> UnitResult:
        writer = RowsWriter(attempt.file(ROWS_FILE), layout, width=layout.width, in_any_order=True)
        for tables in results:
            if tables:
                writer.add(*tables)
        writer.close()
        return UnitResult(writer.rows, part=writer.part())

    return meet(job, attempt, number, keyed, write)


OPERATOR = Operator(
    "round",
    reads="rows",
    writes="rows",
    unit=RoundUnit,
    units=units,
    work=work,
    then=then,
    later=_later,
    isolates=True,
)
