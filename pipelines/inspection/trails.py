"""What happened to one document, step by step: judged, removed, encoded, drawn, written.

A document is followed by address: from its row in its source's last dataset to the masks that may remove
it, to its encoded row, to the partitions it was drawn into and its pieces in their shards. Only the files
of its own unit are opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.errors import IntegrityError, damaged
from corpusmill.pipelines.contract.given import DRAWN, ENCODED, SHARDS
from corpusmill.pipelines.inspection.identities import (
    Place,
    arrow_batches,
    in_dataset,
    in_removed,
    in_unit,
    removed_row,
)
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord, StepRecord
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.storage.cuts import cut
from corpusmill.pipelines.storage.datasets import DatasetView

_RANGES_SHOWN = 8


def judgements(
    source: SourceRecord, scores: Mapping[str, Any], until: tuple[str, str] | None = None
) -> list[Json]:
    """The stages of a source that let a document pass, in order, with its scores.

    `until` (step, stage) is where it was removed; that stage and those after it are left out. The two halves
    of an exchange are one judgement, told by the name of the second.
    """
    if until is not None:
        until = until[0].removesuffix(".scatter"), until[1]
    events: list[Json] = []
    for step in source.steps:
        names = [stage.name for stage in step.stages]
        for stage in ["read", *names[1:]] if step.operator.reads == "splits" else names:
            if until == (step.name, stage):
                return events
            events.append({"step": step.name, "stage": stage, "verdict": "kept", **scores_of(stage, scores)})
    return events


def scores_of(stage: str, columns: Mapping[str, Any]) -> Json:
    """`{"scores": {...}}` of one stage from columns named `<stage>.<score>`; empty where there are none."""
    head = f"{stage}."
    held = {name.removeprefix(head): value for name, value in columns.items() if name.startswith(head)}
    return {"scores": held} if held else {}


def loss(step: str, row: Mapping[str, Any]) -> Json:
    """The event of a removed or quarantined document, from its row of the removed documents."""
    event: Json = {"step": step, "stage": row["stage"], "verdict": row["kind"], "reason": row["reason"]}
    scores = detail_scores(row["detail"])
    event |= scores_of(row["stage"], scores)
    if row["detail"] and not scores:
        event["detail"] = row["detail"]
    if row["survivor_id"] is not None:
        event |= {name: row[name] for name in ("survivor_id", "survivor_source", "similarity")}
    return event


def detail_scores(detail: str | None) -> Json:
    """Scores kept in the `detail` of a removed row; empty where it holds a fault's words."""
    try:
        value = json.loads(detail or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def origin(record: RunRecord, source: SourceRecord, place: Place) -> Json:
    """Step, unit and row where the document was read, and the ranges of input files its unit covers."""
    read = source.steps[0]
    if place.step != read.name:
        place = next(in_dataset(read, place.id), place)
    row = None if place.removed else place.row
    found: Json = {"step": place.step, "unit": place.unit, "row": row}
    if read.operator.reads == "splits" and place.step == read.name:
        ranges = _ranges(record, read, place.unit)
        found["inputs"] = ranges[:_RANGES_SHOWN]
        found["more_inputs"] = max(0, len(ranges) - _RANGES_SHOWN)
    return found


def _ranges(record: RunRecord, read: StepRecord, unit: int) -> list[Json]:
    from corpusmill.pipelines.run.operators.job import Preparation
    from corpusmill.pipelines.sources.reader import read_index

    (index,) = read.inputs
    folder = record.steps[index].data
    names = [
        entry.name
        for part in folder.need_manifest().units
        for entry in read_index(folder.file(f"{part.name}.index.json"))
    ]
    step = Step(read.name, read.operator, inputs=(index,))
    paths = {name: name for name in names}
    assert read.key.unit_bytes is not None
    preparation = Preparation(step, {index: folder}, paths, read.key.unit_bytes)
    splits = read.operator.units(preparation)[unit].splits
    return [{"file": held.name, "start": held.split.start, "end": held.split.end} for held in splits]


def mask_events(record: RunRecord, unit: int, row: int) -> list[Json]:
    """What each mask, in order, made of the document at this address; ends where it is removed.

    `cut`, where a mask cut parts of it: for each span `start` and `end` in bytes of the text in its dataset,
    `reason`, and `survivor_id` and `survivor_source` where another document keeps the text.
    """
    events: list[Json] = []
    for mask in record.masks:
        removed = _removal(mask, unit, row)
        if removed is not None:
            return [*events, loss(mask.name, removed)]
        event: Json = {"step": mask.name, "stage": mask.stages[-1].name, "verdict": "kept"}
        if mask.operator.reads == "documents":
            event |= scores_of(mask.stages[-1].name, _mask_scores(mask, unit, row))
        spans = _cuts(mask, unit, row)
        events.append({**event, "cut": spans} if spans else event)
    return events


def _removal(mask: StepRecord, unit: int, row: int) -> dict[str, Any] | None:
    for batch in DatasetView([], [mask.data]).mask_batches(unit):
        at = np.flatnonzero(batch.column("row").to_numpy(zero_copy_only=False) == row)
        if len(at):
            found: dict[str, Any] = batch.slice(int(at[0]), 1).to_pylist()[0]
            return found
    return None


def _cuts(mask: StepRecord, unit: int, row: int) -> list[Json]:
    names = ["start", "end", "reason", "survivor_id", "survivor_source"]
    found: list[Json] = []
    for batch in DatasetView([], [mask.data]).cut_batches(unit):
        mine = batch.filter(pc.equal(batch.column("row"), pa.scalar(row, pa.uint32())))
        spans = mine.select(names).to_pylist()
        found += [{key: value for key, value in span.items() if value is not None} for span in spans]
    return found


def text_before(record: RunRecord, step: StepRecord, unit: int, row: int, text: str) -> str:
    """`text`, of the document at this address in its dataset, as the mask `step` saw it: without what was cut
    before."""
    masks = takewhile(lambda mask: mask.name != step.name, record.masks)
    cuts = DatasetView([], [mask.data for mask in masks]).cuts(unit).among(np.array([row], np.uint32))
    return str(cut(pa.array([text], pa.large_string()), cuts)[0].as_py())


def _mask_scores(mask: StepRecord, unit: int, row: int) -> Json:
    path = mask.data.file(f"{unit:05d}.scores.parquet")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if "_row" not in file.schema_arrow.names:
                return {}
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, use_threads=False)
                at = pc.index(table.column("_row"), pa.scalar(row, pa.uint32())).as_py()
                if at >= 0:
                    found: Json = table.slice(at, 1).to_pylist()[0]
                    return {name: value for name, value in found.items() if name != "_row"}
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(f"{path}: {error}") from error
    return {}


def encoding(record: RunRecord, unit: int, identity: str, nth: int) -> Json | None:
    """Encoded row of the `nth` surviving document of this id in a unit, or its loss there.

    None where the run has not encoded yet.
    """
    step = record.complete_giving(ENCODED)
    if step is None:
        return None
    places = list(in_unit(step, unit, identity))
    if nth < len(places):
        row = places[nth].row
        return {"step": step.name, "unit": unit, "row": row, **_encoded_facts(step, unit, row)}
    for place in in_removed(step, identity):
        if place.unit == unit:
            return loss(step.name, removed_row(step, place))
    raise IntegrityError(
        f"step {step.name} has neither kept nor removed document {identity}; check the run: "
        f"corpusmill doctor {record.folder.path}"
    )


def _encoded_facts(step: StepRecord, unit: int, row: int) -> Json:
    start = 0
    path = step.data.file(f"{unit:05d}.arrow")
    for batch in arrow_batches(path, None):
        if row < start + batch.num_rows:
            at = row - start
            return {
                "tokens": pc.list_value_length(batch.column("tokens").slice(at, 1))[0].as_py(),
                "bytes": batch.column("bytes")[at].as_py(),
                "fim": batch.column("fim")[at].as_py(),
            }
        start += batch.num_rows
    raise damaged(f"{path}: no row {row}")


def drawn(record: RunRecord, unit: int, row: int) -> list[Json] | None:
    """Partition and epoch of each copy the mixture drew of an encoded row, and `cut_to`, the tokens of its
    beginning that a copy is cut to (null: it is whole); None before it was drawn."""
    step = record.complete_giving(DRAWN)
    if step is None:
        return None
    copies = []
    held = next(one for one in step.units if one.unit == unit)
    if held.rows == 0:
        return []
    for partition, batch in enumerate(
        arrow_batches(step.data.file(f"{unit:05d}.rows.arrow"), ["row", "epoch", "cut_to"])
    ):
        rows = batch.column("row").to_numpy(zero_copy_only=False)
        for at in np.flatnonzero(rows == row).tolist():
            to = batch.column("cut_to")[at].as_py()
            epoch = batch.column("epoch")[at].as_py()
            copies.append({"epoch": epoch, "partition": partition, "cut_to": to if to >= 0 else None})
    return sorted(copies, key=lambda copy: (copy["epoch"], copy["partition"]))


def quarantined_at_draw(record: RunRecord, identity: str, unit: int, row: int) -> Json | None:
    """The loss of an encoded row that the draw raised on, or its worker died of; None where there is none."""
    step = record.complete_giving(DRAWN)
    if step is None:
        return None
    for place in in_removed(step, identity):
        found = removed_row(step, place) if place.unit == unit else None
        if found is not None and found["row"] == row:
            return loss(step.name, found)
    return None


def left_out_of(record: RunRecord, identity: str) -> list[Json]:
    """The losses of a document in folds, by step: it stays in its dataset, their artefacts are without it."""
    folds = [step for step in record.steps.values() if step.complete and step.operator.leaves_in_place]
    return [
        loss(step.name, removed_row(step, place)) for step in folds for place in in_removed(step, identity)
    ]


def pieces(record: RunRecord, identity: str, copies: list[Json]) -> list[Json] | None:
    """Where each piece of a document lies in the shards of its copies; None before there are shards."""
    step = record.complete_giving(SHARDS)
    if step is None:
        return None
    found: list[Json] = []
    epochs: dict[int, set[int]] = {}
    for copy in copies:
        epochs.setdefault(copy["partition"], set()).add(copy["epoch"])
    for partition, wanted in sorted(epochs.items()):
        for file in step.units[partition].files:
            if file.name.endswith(".arrow"):
                found += _pieces_in(step, file.name, bytes.fromhex(identity), wanted)
    return sorted(found, key=lambda piece: (piece["epoch"], piece["offset"], piece["shard"]))


def _pieces_in(step: StepRecord, name: str, document: bytes, epochs: set[int]) -> list[Json]:
    found: list[Json] = []
    first_row = 0
    for batch in arrow_batches(step.data.file(name), ["pieces"]):
        column = batch.column("pieces")
        values = column.values
        hits = pc.indices_nonzero(pc.equal(values.field("document"), document)).to_numpy()
        rows = np.searchsorted(column.offsets.to_numpy(), hits, side="right") - 1
        for at, row in zip(hits.tolist(), rows.tolist(), strict=True):
            piece = values[at].as_py()
            if piece["epoch"] in epochs:
                held = {key: piece[key] for key in ("start", "length", "offset", "epoch", "fim")}
                found.append({"shard": name, "row": first_row + row, **held})
        first_row += batch.num_rows
    return found
