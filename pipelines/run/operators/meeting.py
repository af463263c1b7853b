"""One partition of rows shown to a round of an exchange, apart from what the stage raises on or dies of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.run.operators.apart import Rows, Trier, key_ends
from corpusmill.pipelines.run.operators.job import Job
from corpusmill.pipelines.run.operators.left_out import addresses, left_out, read_left_out, write_left_out
from corpusmill.pipelines.run.operators.partitions import (
    PartitionUnit,
    StoredSides,
    read_partition,
    sorted_rows,
)
from corpusmill.pipelines.storage.run_folder import Attempt

Result = TypeVar("Result")
Meeting = TypeVar("Meeting", bound=PartitionUnit)


def meet(
    job: Job[Meeting], attempt: Attempt, number: int, checked: Callable[[object], Result]
) -> list[Result]:
    """What round `number` of the job's stage makes of the rows of the job's partition, through `checked`.

    The job's first input are the rows, its last is what `emit` kept beside its documents. Documents left out
    before have no rows any more. Those left out now, and (in partition 0) before, go to the attempt's file.
    """
    (stage,) = job.stages()
    this = stage.rounds()[number - 1]
    rows = read_partition(job.first, job.unit.partition)
    before = read_left_out(job.first)
    forward = [before] if job.unit.partition == 0 else []
    results: list[Result] = []
    if rows is not None and number > 1:
        rows = sorted_rows(rows)
    if rows is not None and before.num_rows:
        rows = rows.filter(pa.array(~np.isin(addresses(rows), addresses(before)))).combine_chunks()
    if rows is not None and rows.num_rows:
        sides = StoredSides(job.inputs[job.step.inputs[-1]])

        def reduce(some: Rows) -> Result:
            part = rows if len(some) == rows.num_rows else rows.take(pa.array(some)).combine_chunks()
            return checked(this(part, sides))

        apart = Trier(stage.name, reduce, job.poison, job.marker(attempt)).groups(key_ends(rows))
        results = apart.results
        guilty, causes = apart.left_out()
        unit, row = (rows.column(name).to_numpy()[guilty] for name in ("unit", "row"))
        forward.append(left_out(unit, row, causes))
    write_left_out(attempt, forward)
    return results
