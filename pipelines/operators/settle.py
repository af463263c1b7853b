"""Turn removals into a mask: one file for `MASK_UNITS` units of the view, a record batch a unit.

Here the ledger of a deduplication step is kept: what came in is the view as it stood, what is removed is
struck by address. A removal that is already gone, or whose survivor goes in the same step, is a fault of
the stage and fails the run. Memory: the removals of `MASK_UNITS` units.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.checked_ipc import committed_batch
from corpusmill.pipelines.datasets import MASK_UNITS, DatasetView
from corpusmill.pipelines.errors import CorpusmillError
from corpusmill.pipelines.ledger import Ledger
from corpusmill.pipelines.operators.job import Job, Preparation
from corpusmill.pipelines.removed import REMOVED, removed_table, write_removed
from corpusmill.pipelines.storage import Attempt, Json, StepFolder


def _view(job: Job | Preparation) -> DatasetView:
    return DatasetView(
        [job.inputs[name] for name in job.step.inputs[1:]], [job.inputs[name] for name in job.step.masks]
    )


def units(preparation: Preparation) -> list[Json]:
    count = len(_view(preparation))
    return [
        {"bucket": bucket, "from": bucket * MASK_UNITS, "to": min(count, (bucket + 1) * MASK_UNITS)}
        for bucket in range(max(1, -(-count // MASK_UNITS)))
    ]


def _bucket(found: StepFolder, bucket: int) -> pa.Table:
    tables = []
    for unit in found.need_manifest()["units"]:
        batch = committed_batch(found, f"{unit['unit']:05d}.found.arrow", bucket)
        tables.append(pa.Table.from_batches([batch]))
    return pa.concat_tables(tables).combine_chunks()


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    view = _view(job)
    found = _bucket(job.first, job.unit["bucket"])
    removals = found.to_pylist()
    removals.sort(key=lambda row: (row["unit"], row["row"], -row["similarity"], row["survivor_id"]))
    by_unit: dict[int, list[Json]] = {}
    for row in removals:
        rows = by_unit.setdefault(row["unit"], [])
        if not rows or rows[-1]["row"] != row["row"]:  # one removal a document: the closest survivor
            rows.append(row)
    ledger = Ledger()
    tables = []
    for unit in range(job.unit["from"], job.unit["to"]):
        struck = by_unit.get(unit, [])
        _count(ledger, stage.name, view, unit, struck)
        tables.append(
            removed_table([_removed(stage.name, row) for row in struck]) if struck else REMOVED.empty_table()
        )
    write_removed(attempt.file("removed.arrow"), tables)
    ledger.check(f"{job.step.name}, bucket {attempt.unit}")
    return {
        "rows": sum(len(rows) for rows in by_unit.values()),
        "mask_units": MASK_UNITS,
        "struck": {str(unit): len(rows) for unit, rows in sorted(by_unit.items())},
        "ledger": ledger.as_json(),
    }


def _removed(stage: str, row: Json) -> Json:
    kept = {name: row[name] for name in ("unit", "row", "id", "source", "reason", "bytes", "similarity")}
    kept |= {"survivor_id": row["survivor_id"], "survivor_source": row["survivor_source"]}
    return {**kept, "stage": stage, "kind": "removed"}


def _count(ledger: Ledger, stage: str, view: DatasetView, unit: int, struck: list[Json]) -> None:
    already = view.struck(unit)
    again = np.isin(np.array([row["row"] for row in struck], np.uint32), already)
    if again.any():
        row = struck[int(np.flatnonzero(again)[0])]
        raise CorpusmillError(f"{stage} removes document {row['id']} of unit {unit}, which was gone before")
    arrived: dict[str, list[int]] = {
        source: [documents, size] for source, (documents, size) in view.facts(unit).sources.items()
    }
    for batch in view.mask_batches(unit):
        for source, size in zip(
            batch.column("source").to_pylist(), batch.column("bytes").to_pylist(), strict=True
        ):
            arrived[source][0] -= 1
            arrived[source][1] -= size
    gone: dict[str, list[int]] = {}
    for row in struck:
        tally = gone.setdefault(row["source"], [0, 0])
        tally[0] += 1
        tally[1] += row["bytes"]
        ledger.entry(stage, row["source"]).remove(row["reason"], 1, row["bytes"])
    for source, (documents, size) in arrived.items():
        entry = ledger.entry(stage, source)
        lost = gone.get(source, [0, 0])
        entry.arrive(documents, size)
        entry.keep(documents - lost[0], size - lost[1], size - lost[1])
