"""A few of the documents removed, and of the parts cut, to be judged by eye: by step, stage and reason.

Samples are chosen by id, so the same run shows the same ones. A duplicate is shown beside its survivor;
their texts are looked up by address. Memory: one record batch of removed or cut rows, one row group of texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.inspection.identities import (
    Place,
    arrow_batches,
    dataset_row,
    has_removed,
    removed_path,
)
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord, StepRecord
from corpusmill.pipelines.inspection.trails import detail_scores, scores_of, text_before
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.storage.cuts import is_edits
from corpusmill.pipelines.storage.datasets import MASK_UNITS

SAMPLES = 3  # of each stage and reason
EXCERPT = 400  # characters
FILES = 32  # of removed documents looked at in each step
ROWS = 100_000  # of duplicates that samples are chosen from
REASONS = 400  # a stage of endless reasons must not make an endless page
_COLUMNS = ["id", "source", "stage", "kind", "reason", "bytes", "position", "detail", "excerpt"]


def removed_samples(record: RunRecord) -> list[Json]:
    """Samples of what was removed or quarantined, with scores, and of what was cut (`kind` is `cut`).

    Of duplicates there are none here: see `duplicate_samples`.
    """
    chosen: dict[tuple[str, ...], list[tuple[int, Json]]] = {}
    for step in record.removing():
        for row in chain(_rows(step), _cut_rows(step)):
            key = (step.name, row["stage"], row["kind"], row["reason"])
            if key not in chosen and len(chosen) >= REASONS:
                continue
            held = chosen.setdefault(key, [])
            held.append((_draw(row), {"step": step.name, **row}))
            held.sort(key=lambda pair: (pair[0], pair[1]["position"] or ""))
            del held[SAMPLES:]
    return [_shown(row) for held in chosen.values() for _, row in held]


def _rows(step: StepRecord) -> Iterator[dict[str, Any]]:
    units = [unit for unit in step.units if step.operator.lists_removed == "always" or has_removed(unit)]
    if len(units) > FILES:
        units = [units[k * len(units) // FILES] for k in range(FILES)]
    for unit in units:
        for batch in arrow_batches(removed_path(step.data, unit.unit), _COLUMNS):
            yield from batch.filter(batch.column("excerpt").is_valid()).to_pylist()
            # A reader's lost records may have no excerpt; their position and detail say enough. Duplicates,
            # whose texts stand in their dataset, have none either.
            lost = pc.and_(batch.column("excerpt").is_null(), batch.column("id").is_null())
            yield from batch.filter(lost).slice(0, SAMPLES).to_pylist()


def _cut_rows(step: StepRecord) -> Iterator[dict[str, Any]]:
    """What was cut and has an excerpt, as rows of removed documents."""
    names = ["id", "source", "stage", "reason", "start", "end", "survivor_id", "survivor_source", "excerpt"]
    files = [file.name for unit in step.units for file in unit.files if is_edits(file.name)]
    for name in files[:: max(1, len(files) // FILES)][:FILES]:
        for batch in arrow_batches(step.data.file(name), names):
            for row in batch.filter(batch.column("excerpt").is_valid()).to_pylist():
                row["bytes"] = row.pop("end") - row.pop("start")
                identity, source = row.pop("survivor_id"), row.pop("survivor_source")
                detail = None if identity is None else f"kept in {identity} ({source})"
                yield {**row, "kind": "cut", "position": None, "detail": detail}


def _draw(row: dict[str, Any]) -> int:
    return int(draws([row["id"] or row["position"] or ""], 0, "report samples")[0])


def _shown(row: dict[str, Any]) -> Json:
    held = {
        name: row[name] for name in ("step", "stage", "kind", "reason", "source", "id", "position", "bytes")
    }
    scores = detail_scores(row["detail"])
    mine = scores_of(row["stage"], scores)
    detail = row["detail"] if row["detail"] and not scores else None
    excerpt = row["excerpt"][:EXCERPT] if row["excerpt"] is not None else None
    return {**held, "scores": mine, "detail": detail[:EXCERPT] if detail else None, "excerpt": excerpt}


def duplicate_samples(record: RunRecord) -> list[Json]:
    """Removed duplicates, each beside the survivor it was judged against."""
    found: list[Json] = []
    sources = {source.name: source for source in record.sources if source.whole}
    for step in record.masks:
        if step.operator.reads == "pairs":
            for row in _chosen(step):
                found.append(_pair(record, step, row, sources))
    return found


def _chosen(step: StepRecord) -> list[dict[str, Any]]:
    """For each reason the `SAMPLES` smallest draws among the first `ROWS` removals."""
    best: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    seen = 0
    names = ["unit", "row", "id", "source", "reason", "bytes", "survivor_id", "survivor_source", "similarity"]
    for unit in step.units:
        for batch in arrow_batches(removed_path(step.data, unit.unit), names):
            part = batch.filter(batch.column("survivor_id").is_valid()).slice(0, ROWS - seen)
            seen += part.num_rows
            order = draws(part.column("id"), 0, "report samples")
            table = pa.Table.from_batches([part]).append_column("draw", pa.array(order))
            for reason in pc.unique(part.column("reason")).to_pylist():
                few = table.filter(pc.equal(table.column("reason"), reason)).sort_by("draw").slice(0, SAMPLES)
                held = best.setdefault(reason, [])
                held += [(row.pop("draw"), row) for row in few.to_pylist()]
                held.sort(key=lambda pair: pair[0])
                del held[SAMPLES:]
        if seen >= ROWS:
            break
    return [row for _, held in sorted(best.items()) for _, row in held]


def _pair(record: RunRecord, step: StepRecord, row: dict[str, Any], sources: dict[str, SourceRecord]) -> Json:
    mine = (row["unit"], row["row"])
    theirs = _survivor_address(record, step, row)
    return {
        "step": step.name,
        "stage": step.stages[-1].name,
        "reason": row["reason"],
        "similarity": row["similarity"],
        "removed": {
            "id": row["id"],
            "source": row["source"],
            "bytes": row["bytes"],
            "excerpt": _text(record, step, sources.get(row["source"]), mine),
        },
        "survivor": {
            "id": row["survivor_id"],
            "source": row["survivor_source"],
            "excerpt": _text(record, step, sources.get(row["survivor_source"]), theirs) if theirs else None,
        },
    }


def _survivor_address(record: RunRecord, step: StepRecord, row: dict[str, Any]) -> tuple[int, int] | None:
    """Unit and row of a survivor, from the pairs that the step was made of."""
    finders = [record.steps[name] for name in step.inputs if name in record.steps]
    for finder in finders:
        if finder.operator.writes != "pairs":
            continue
        for unit in finder.units:
            path = finder.data.file(f"{unit.name}.found.arrow")
            names = ["unit", "row", "survivor_unit", "survivor_row", "survivor_id"]
            for number, batch in enumerate(arrow_batches(path, names)):
                if number != row["unit"] // MASK_UNITS:
                    continue
                same = pc.and_(
                    pc.equal(batch.column("unit"), pa.scalar(row["unit"], pa.uint32())),
                    pc.and_(
                        pc.equal(batch.column("row"), pa.scalar(row["row"], pa.uint32())),
                        pc.equal(batch.column("survivor_id"), row["survivor_id"]),
                    ),
                )
                hits = batch.filter(same).to_pylist()
                if hits:
                    return hits[0]["survivor_unit"], hits[0]["survivor_row"]
    return None


def _text(
    record: RunRecord, step: StepRecord, source: SourceRecord | None, address: tuple[int, int]
) -> str | None:
    """The beginning of a document as the step saw it."""
    if source is None:
        return None
    number = address[0] - record.first_units[source.name]
    place = Place(source.last.name, source.last.units[number].unit, address[1], "")
    text = dataset_row(source.last, place, without=("raw", "meta"))["text"]
    return text_before(record, step, *address, text or "")[:EXCERPT]
