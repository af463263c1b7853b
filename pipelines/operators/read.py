"""Read ranges of input files and run the source's first maps on them.

A unit is a run of consecutive splits of about `unit_bytes`. Memory: one reader batch, the documents of one
row group being written, and the removed rows of the unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.datasets import DatasetWriter
from corpusmill.pipelines.errors import DataError
from corpusmill.pipelines.ledger import Ledger
from corpusmill.pipelines.operators.fused import FusedMaps, Marker
from corpusmill.pipelines.operators.job import Job, Preparation
from corpusmill.pipelines.operators.receipts import dataset_receipt
from corpusmill.pipelines.removed import removed_table, write_removed
from corpusmill.pipelines.sources.reader import Label, Lost, Split
from corpusmill.pipelines.storage import Attempt, Json, read_json

_SPLITS_PER_UNIT = 4096


def units(preparation: Preparation) -> list[Json]:
    """Group splits in the order of files; a unit closes when the next split would exceed `unit_bytes`."""
    found: list[Json] = []
    size = 0
    for unit in preparation.first.need_manifest()["units"]:
        for entry in read_json(preparation.first.data / f"{unit['unit']:05d}.index.json"):
            path = preparation.paths[entry["name"]]
            for split in entry["splits"]:
                full = found and len(found[-1]["splits"]) >= _SPLITS_PER_UNIT
                if not found or full or (size and size + split["size"] > preparation.unit_bytes):
                    found.append({"splits": []})
                    size = 0
                found[-1]["splits"].append([entry["name"], path, split])
                size += split["size"]
    return found or [{"splits": []}]


def work(job: Job, attempt: Attempt) -> Json:
    reader, *maps = job.stages()
    label = Label(job.step.options["source"], job.step.options["domain"])
    ledger = Ledger()
    marker = Marker(job.folder.marker_path(attempt.unit)) if job.careful else None
    fused = FusedMaps(maps, ledger, poison=job.poison, marker=marker)
    writer = DatasetWriter(attempt.file("parquet"))
    entry = ledger.entry("read", label.source)
    limit = job.unit.get("limit")
    bytes_out = 0
    for name, path, fields in job.unit["splits"]:
        split = Split(**{**fields, "hint": tuple(fields["hint"])})
        for docs, removed, quarantined in _batches(reader, Path(path), name, split, label, limit):
            if quarantined and reader.on_corrupt == "fail":
                first = quarantined[0]
                raise DataError(
                    f"{first.position}: {first.why}: {first.detail or 'cannot be read'}; mend the input, or "
                    "set `on_corrupt: quarantine` to count such records and go on"
                )
            for lost, count, kind in (
                (removed, entry.remove, "removed"),
                (quarantined, entry.quarantine, "quarantined"),
            ):
                for record in lost:
                    entry.arrive(1, record.size)
                    count(record.why, 1, record.size)
                if lost:
                    fused.note_removed(_lost_rows(lost, label, kind))
            if docs is None:
                continue
            size = int(docs.sizes().sum())
            entry.arrive(len(docs), size)
            entry.keep(len(docs), size, size)
            survivors = fused.push(docs)
            bytes_out += int(survivors.sizes().sum())
            writer.append(survivors)
        if limit is not None and entry.documents_in >= limit:
            break
    rows = writer.close()
    write_removed(attempt.file("removed.arrow"), [fused.removed()])
    return dataset_receipt(
        ledger, rows, {label.source: (rows, bytes_out)}, f"{job.step.name}, unit {attempt.unit}"
    )


def _batches(reader: Any, path: Path, name: str, split: Split, label: Label, limit: int | None) -> Any:
    """(documents or None, removed, quarantined) of one split; faults become one quarantined record."""
    if split.fault is not None:
        if reader.on_corrupt == "fail":
            raise DataError(f"{name}: {split.fault}")
        yield None, [], [Lost("corrupt_input", split.size, f"{name}@{split.start}", split.fault)]
        return
    taken = 0
    try:
        for batch in reader.read(path, name, split, label):
            taken += len(batch.documents) + len(batch.removed) + len(batch.quarantined)
            yield batch.documents if len(batch.documents) else None, batch.removed, batch.quarantined
            if limit is not None and taken >= limit:
                return
    except DataError as error:
        if reader.on_corrupt == "fail":
            raise
        yield None, [], [Lost("corrupt_input", split.size, f"{name}@{split.start}", str(error))]


def _lost_rows(lost: Sequence[Lost], label: Label, kind: str) -> pa.Table:
    return removed_table(
        [
            {
                "source": label.source,
                "stage": "read",
                "kind": kind,
                "reason": record.why,
                "bytes": record.size,
                "position": record.position,
                "detail": record.detail or None,
                "excerpt": record.excerpt or None,
            }
            for record in lost
        ]
    )
