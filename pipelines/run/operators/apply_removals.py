"""Turn removals and edits into a mask: files for `MASK_UNITS` units of the view each, a record batch a unit.

Here the ledger of an exchange is kept: what came in is the view as it stood, what is removed or cut is so by
address. A removal of a document that was removed before is a fault of the stage and fails the run. Of a
document that is removed nothing is cut, and nothing in favour of one that is quarantined. Texts are read only
of units that have edits or quarantined documents. Memory: removals and edits of `MASK_UNITS` units, and one
row group of text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.addresses import DUPLICATES, EDITS
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import MaskPart, UnitResult
from corpusmill.pipelines.run.operators.cutting import cut_unit
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.left_out import read_left_out, without
from corpusmill.pipelines.run.operators.operator import Operator
from corpusmill.pipelines.storage.checked_ipc import committed_batch
from corpusmill.pipelines.storage.cuts import EDITS_FILE, write_cuts
from corpusmill.pipelines.storage.datasets import MASK_UNITS, DatasetView
from corpusmill.pipelines.storage.removed import REMOVED, quarantined_table, removed_table, write_removed
from corpusmill.pipelines.storage.run_folder import Attempt, StepFolder


@dataclass(frozen=True)
class BucketUnit:
    """One bucket of the view's units, which are those from `first` up to `end`."""

    bucket: int
    first: int
    end: int


Row = dict[str, Any]  # of a table


def units(preparation: Preparation) -> list[BucketUnit]:
    count = len(preparation.view)
    return [
        BucketUnit(bucket, bucket * MASK_UNITS, min(count, (bucket + 1) * MASK_UNITS))
        for bucket in range(max(1, -(-count // MASK_UNITS)))
    ]


def _bucket(found: StepFolder, bucket: int, kind: str, schema: pa.Schema) -> pa.Table:
    """Rows of one bucket of units. `kind`: `found`, or `edits`, which a partition may have no file of."""
    tables = [schema.empty_table()]
    for unit in found.need_manifest().units:
        name = f"{unit.name}.{kind}.arrow"
        if found.has(name):
            tables.append(pa.Table.from_batches([committed_batch(found, name, bucket)]))
    return pa.concat_tables(tables).combine_chunks()


def work(job: Job[BucketUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    view = job.view
    left = read_left_out(job.first)
    pairs = without(_bucket(job.first, job.unit.bucket, "found", DUPLICATES), left).to_pylist()
    edits = without(_bucket(job.first, job.unit.bucket, "edits", EDITS), left)
    pairs.sort(key=lambda row: (row["unit"], row["row"], -row["similarity"], row["survivor_id"]))
    by_unit: dict[int, list[Row]] = {}
    for row in pairs:
        rows = by_unit.setdefault(row["unit"], [])
        if not rows or rows[-1]["row"] != row["row"]:  # one removal a document: the closest survivor
            rows.append(row)
    beyond = [unit for unit in by_unit if unit >= job.unit.end]
    if beyond:
        raise CorpusmillError(
            f"{stage.name} removes documents of unit {beyond[0]}, but there are {len(view)}; give `unit` and "
            "`row` as `emit` had them"
        )
    ledger = Ledger()
    tables: list[pa.Table] = []
    cuts: list[pa.Table] = []
    for unit in range(job.unit.first, job.unit.end):
        removals = by_unit.get(unit, [])
        here = edits.filter(pc.equal(edits.column("unit"), unit))
        removed = np.array([row["row"] for row in removals], np.uint32)
        here = here.filter(pa.array(~np.isin(here.column("row").to_numpy(), removed)))
        made, emptied = cut_unit(view, unit, here, stage.name)
        lost = _quarantined(view, unit, left, stage.name)
        rows = [*(_removed(stage.name, row) for row in removals), *emptied.to_pylist(), *lost]
        _count(ledger, stage.name, view, unit, rows, made)
        tables.append(removed_table(rows) if rows else REMOVED.empty_table())
        cuts.append(made)
    write_removed(attempt.file("removed.arrow"), tables)
    if any(table.num_rows for table in cuts):
        write_cuts(attempt.file(EDITS_FILE), cuts)
    ledger.check(f"{job.step.name}, bucket {attempt.unit}")
    by_unit_rows = {
        unit: table.num_rows for unit, table in enumerate(tables, job.unit.first) if table.num_rows
    }
    return UnitResult(sum(by_unit_rows.values()), ledger.record(), MaskPart(MASK_UNITS, by_unit_rows))


def _removed(stage: str, row: Row) -> Row:
    kept = {name: row[name] for name in ("unit", "row", "id", "source", "reason", "bytes", "similarity")}
    kept |= {"survivor_id": row["survivor_id"], "survivor_source": row["survivor_source"]}
    return {**kept, "stage": stage, "kind": "removed"}


def _quarantined(view: DatasetView, unit: int, left: pa.Table, stage: str) -> list[Row]:
    """`REMOVED` rows of the documents of a unit that the exchange could not judge."""
    here = left.filter(pc.equal(left.column("unit"), unit))
    causes = dict(zip(here.column("row").to_pylist(), here.column("cause").to_pylist(), strict=True))
    found: list[Row] = []
    for docs, rows in view.batches(unit) if causes else ():
        bad = np.isin(rows, np.array(list(causes), np.uint32))
        numbers = rows[bad].tolist()
        table = quarantined_table(docs.keep(bad), stage, [causes[row] for row in numbers])
        found += [{**row, "unit": unit, "row": n} for n, row in zip(numbers, table.to_pylist(), strict=True)]
    return found


def _count(ledger: Ledger, stage: str, view: DatasetView, unit: int, rows: list[Row], cuts: pa.Table) -> None:
    """Count one unit: `rows` are its `REMOVED` rows, `cuts` its `CUTS`.

    Raises CorpusmillError where a document was removed before, or never was.
    """
    beyond = [row for row in rows if row["row"] >= view.facts(unit).rows]
    if beyond:
        raise CorpusmillError(
            f"{stage} removes document {beyond[0]['id']} at row {beyond[0]['row']} of unit {unit}, which has "
            f"{view.facts(unit).rows:,} rows; give `unit` and `row` as `emit` had them"
        )
    already = view.removed_rows(unit)
    again = np.isin(np.array([row["row"] for row in rows], np.uint32), already)
    if again.any():
        row = rows[int(np.flatnonzero(again)[0])]
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
    for batch in view.cut_batches(unit):
        for source, _, size in _cut_bytes(batch):
            arrived[source][1] -= size
    taken_out: dict[str, list[int]] = {}
    for row in rows:
        tally = taken_out.setdefault(row["source"], [0, 0])
        tally[0] += 1
        tally[1] += row["bytes"]
        entry = ledger.entry(stage, row["source"])
        (entry.remove if row["kind"] == "removed" else entry.quarantine)(row["reason"], 1, row["bytes"])
    for source, reason, size in _cut_bytes(cuts):
        taken_out.setdefault(source, [0, 0])[1] += size
        ledger.entry(stage, source).cut_out(reason, size)
    for source, (documents, size) in arrived.items():
        entry = ledger.entry(stage, source)
        less = taken_out.get(source, [0, 0])
        entry.arrive(documents, size)
        entry.keep(documents - less[0], size - less[1], size - less[1])


def _cut_bytes(cuts: pa.Table | pa.RecordBatch) -> Iterator[tuple[str, str, int]]:
    """(source, reason, bytes) of `CUTS` rows."""
    sizes = pc.subtract(cuts.column("end"), cuts.column("start")).cast(pa.int64())
    table = pa.table({"source": cuts.column("source"), "reason": cuts.column("reason"), "bytes": sizes})
    sums = table.group_by(["source", "reason"]).aggregate([("bytes", "sum")])
    for row in sums.sort_by([("source", "ascending"), ("reason", "ascending")]).to_pylist():
        yield row["source"], row["reason"], row["bytes_sum"]


OPERATOR = Operator(
    "apply_removals",
    reads="pairs",
    writes="removals",
    unit=BucketUnit,
    units=units,
    work=work,
    balances="documents",
    datasets_from=1,
    lists_removed="always",
)
