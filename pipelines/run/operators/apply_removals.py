"""Turn removals into a mask: one file for `MASK_UNITS` units of the view, a record batch a unit.

Here the ledger of a deduplication step is kept: what came in is the view as it stood, what is removed is
removed by address. A removal of a document that was removed before, or whose survivor is, is a fault of
the stage and fails the run. Memory: the removals of `MASK_UNITS` units.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.left_out import read_left_out, without
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.storage.checked_ipc import committed_batch
from corpusmill.pipelines.storage.datasets import MASK_UNITS, DatasetView
from corpusmill.pipelines.storage.removed import REMOVED, quarantined_table, removed_table, write_removed
from corpusmill.pipelines.storage.run_folder import Attempt, Json, StepFolder


def units(preparation: Preparation) -> list[Json]:
    count = len(preparation.view)
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
    view = job.view
    found = _bucket(job.first, job.unit["bucket"])
    left = read_left_out(job.first)
    removals = without(found, left).to_pylist()
    removals.sort(key=lambda row: (row["unit"], row["row"], -row["similarity"], row["survivor_id"]))
    by_unit: dict[int, list[Json]] = {}
    for row in removals:
        rows = by_unit.setdefault(row["unit"], [])
        if not rows or rows[-1]["row"] != row["row"]:  # one removal a document: the closest survivor
            rows.append(row)
    ledger = Ledger()
    tables = []
    for unit in range(job.unit["from"], job.unit["to"]):
        removals = by_unit.get(unit, [])
        lost = _quarantined(view, unit, left, stage.name)
        _count(ledger, stage.name, view, unit, removals, lost)
        rows = [*([_removed(stage.name, row) for row in removals]), *lost]
        tables.append(removed_table(rows) if rows else REMOVED.empty_table())
    write_removed(attempt.file("removed.arrow"), tables)
    ledger.check(f"{job.step.name}, bucket {attempt.unit}")
    return {
        "rows": sum(table.num_rows for table in tables),
        "mask_units": MASK_UNITS,
        "removed_rows": {
            str(unit): table.num_rows for unit, table in enumerate(tables, job.unit["from"]) if table.num_rows
        },
        "ledger": ledger.as_json(),
    }


def _removed(stage: str, row: Json) -> Json:
    kept = {name: row[name] for name in ("unit", "row", "id", "source", "reason", "bytes", "similarity")}
    kept |= {"survivor_id": row["survivor_id"], "survivor_source": row["survivor_source"]}
    return {**kept, "stage": stage, "kind": "removed"}


def _quarantined(view: DatasetView, unit: int, left: pa.Table, stage: str) -> list[Json]:
    """`REMOVED` rows of the documents of a unit that the exchange could not judge."""
    here = left.filter(pc.equal(left.column("unit"), unit))
    causes = dict(zip(here.column("row").to_pylist(), here.column("cause").to_pylist(), strict=True))
    found: list[Json] = []
    for docs, rows in view.batches(unit) if causes else ():
        bad = np.isin(rows, np.array(list(causes), np.uint32))
        numbers = rows[bad].tolist()
        table = quarantined_table(docs.keep(bad), stage, [causes[row] for row in numbers])
        found += [{**row, "unit": unit, "row": n} for n, row in zip(numbers, table.to_pylist(), strict=True)]
    return found


def _count(
    ledger: Ledger, stage: str, view: DatasetView, unit: int, removals: list[Json], lost: list[Json]
) -> None:
    already = view.removed_rows(unit)
    again = np.isin(np.array([row["row"] for row in removals], np.uint32), already)
    if again.any():
        row = removals[int(np.flatnonzero(again)[0])]
        raise CorpusmillError(f"{stage} removes document {row['id']} of unit {unit} a second time")
    arrived: dict[str, list[int]] = {
        source: [documents, size] for source, (documents, size) in view.facts(unit).sources.items()
    }
    for batch in view.mask_batches(unit):
        for source, size in zip(
            batch.column("source").to_pylist(), batch.column("bytes").to_pylist(), strict=True
        ):
            arrived[source][0] -= 1
            arrived[source][1] -= size
    taken_out: dict[str, list[int]] = {}
    for row in removals:
        tally = taken_out.setdefault(row["source"], [0, 0])
        tally[0] += 1
        tally[1] += row["bytes"]
        ledger.entry(stage, row["source"]).remove(row["reason"], 1, row["bytes"])
    for row in lost:
        tally = taken_out.setdefault(row["source"], [0, 0])
        tally[0] += 1
        tally[1] += row["bytes"]
        ledger.entry(stage, row["source"]).quarantine(row["reason"], 1, row["bytes"])
    for source, (documents, size) in arrived.items():
        entry = ledger.entry(stage, source)
        less = taken_out.get(source, [0, 0])
        entry.arrive(documents, size)
        entry.keep(documents - less[0], size - less[1], size - less[1])


OPERATOR = Operator(
    "apply_removals",
    reads="pairs",
    writes="removals",
    units=units,
    work=work,
    balances="documents",
    datasets_from=1,
    lists_removed="always",
)
