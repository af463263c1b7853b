"""What happened to one document, step by step: judged, removed, encoded, drawn, written.

A document is followed by address: from its row in its source's last dataset to the masks that may remove
it, to its encoded row, to the partitions it was drawn into and its pieces in their shards. Only the files
of its own unit are opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.errors import IntegrityError, NotKeptError, damaged
from corpusmill.pipelines.contract.given import DRAWN, ENCODED, MIXTURE, SHARDS
from corpusmill.pipelines.contract.given_tables import DRAWN_ROWS
from corpusmill.pipelines.inspection.identities import (
    Place,
    arrow_batches,
    in_dataset,
    in_removed,
    in_unit,
    removed_row,
)
from corpusmill.pipelines.inspection.removed_rows import RemovedRow
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord, StepRecord
from corpusmill.pipelines.inspection.story import (
    CutSpan,
    DocumentEvent,
    DrawnCopy,
    EncodedRow,
    InputRange,
    Origin,
    Scores,
    ShardPiece,
)
from corpusmill.pipelines.records.mixture_plan import FILE, read_plan
from corpusmill.pipelines.run.operators.layout import ROWS_FILE, first_of
from corpusmill.pipelines.run.operators.partitions import file_of, layout_at
from corpusmill.pipelines.run.operators.row_batches import partition_of
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.storage.cuts import cut
from corpusmill.pipelines.storage.datasets import DatasetView, unit_file
from corpusmill.pipelines.storage.rows_of_ranges import range_of

_RANGES_SHOWN = 8
_PIECE = ("start", "length", "offset", "epoch", "fim")  # what is told of a piece


def judgements(
    source: SourceRecord, scores: Mapping[str, Any], until: tuple[str, str] | None = None
) -> list[DocumentEvent]:
    """The stages of a source that let a document pass, in order, with its scores.

    `until` (step, stage) is where it was removed; that stage and those after it are left out. The two halves
    of an exchange are one judgement, told by the name of the second.
    """
    if until is not None:
        until = until[0].removesuffix(".scatter"), until[1]
    events: list[DocumentEvent] = []
    for step in source.steps:
        names = [stage.name for stage in step.stages]
        for stage in ["read", *names[1:]] if step.operator.reads == "splits" else names:
            if until == (step.name, stage):
                return events
            events.append(DocumentEvent(step.name, stage, "kept", scores=scores_of(stage, scores)))
    return events


def scores_of(stage: str, columns: Mapping[str, Any]) -> Scores:
    """Scores of one stage from columns named `<stage>.<score>`; empty where there are none."""
    head = f"{stage}."
    return {name.removeprefix(head): value for name, value in columns.items() if name.startswith(head)}


def loss(step: str, row: RemovedRow) -> DocumentEvent:
    """The event of a removed or quarantined document, from its row of the removed documents."""
    scores = detail_scores(row.detail)
    return DocumentEvent(
        step=step,
        stage=row.stage,
        verdict=row.kind,
        reason=row.reason,
        scores=scores_of(row.stage, scores),
        detail=row.detail if row.detail and not scores else None,
        survivor_id=row.survivor_id,
        survivor_source=row.survivor_source,
        similarity=row.similarity,
    )


def detail_scores(detail: str | None) -> Scores:
    """Scores kept in the `detail` of a removed row; empty where it holds a fault's words."""
    try:
        value = json.loads(detail or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def origin(record: RunRecord, source: SourceRecord, place: Place) -> Origin:
    """Step, unit and row where the document was read, and the range of an input file, or those of its unit
    that it may be from."""
    read = source.steps[0]
    if place.step != read.name:
        place = next(in_dataset(read, place.id), place)
    row = None if place.removed else place.row
    if read.operator.reads != "splits" or place.step != read.name:
        return Origin(place.step, place.unit, row)
    ranges = _own(read, place, _ranges(record, read, place.unit))
    more = max(0, len(ranges) - _RANGES_SHOWN)
    return Origin(place.step, place.unit, row, tuple(ranges[:_RANGES_SHOWN]), more)


def _own(read: StepRecord, place: Place, ranges: list[InputRange]) -> list[InputRange]:
    """Those of a unit's ranges that a document may be from; one, where the unit's file tells."""
    if len(ranges) < 2:
        return ranges
    lost = removed_row(read, place) if place.removed else None
    if lost is not None and lost.stage == "read":  # the reader names the file
        said = lost.position or ""
        named = [
            one for one in ranges if said == one.file or said.startswith((f"{one.file},", f"{one.file}@"))
        ]
        return named or ranges
    try:
        number = range_of(unit_file(read.data, place.unit), place.row, removed=place.removed)
    except NotKeptError:
        return ranges
    return ranges if number is None or number >= len(ranges) else [ranges[number]]


def _ranges(record: RunRecord, read: StepRecord, unit: int) -> list[InputRange]:
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
    return [InputRange(one.name, one.split.start, one.split.end) for one in splits]


def mask_events(record: RunRecord, unit: int, row: int) -> list[DocumentEvent]:
    """What each mask, in order, made of the document at this address; ends where it is removed."""
    events: list[DocumentEvent] = []
    for mask in record.masks:
        removed = _removal(mask, unit, row)
        if removed is not None:
            return [*events, loss(mask.name, removed)]
        stage = mask.stages[-1].name
        scores: Scores = {}
        if mask.operator.reads == "documents":
            scores = scores_of(stage, _mask_scores(mask, unit, row))
        cuts = _cuts(mask, unit, row)
        events.append(DocumentEvent(mask.name, stage, "kept", scores=scores, cut=cuts))
    return events


def _removal(mask: StepRecord, unit: int, row: int) -> RemovedRow | None:
    for batch in DatasetView([], [mask.data]).mask_batches(unit):
        at = np.flatnonzero(batch.column("row").to_numpy(zero_copy_only=False) == row)
        if len(at):
            return RemovedRow(**batch.slice(int(at[0]), 1).to_pylist()[0])
    return None


def _cuts(mask: StepRecord, unit: int, row: int) -> tuple[CutSpan, ...]:
    names = ["start", "end", "reason", "survivor_id", "survivor_source"]
    found: list[CutSpan] = []
    for batch in DatasetView([], [mask.data]).cut_batches(unit):
        mine = batch.filter(pc.equal(batch.column("row"), pa.scalar(row, pa.uint32())))
        found += [CutSpan(**span) for span in mine.select(names).to_pylist()]
    return tuple(found)


def text_before(record: RunRecord, step: StepRecord, unit: int, row: int, text: str) -> str:
    """`text`, of the document at this address in its dataset, as the mask `step` saw it: without what was cut
    before."""
    masks = takewhile(lambda mask: mask.name != step.name, record.masks)
    cuts = DatasetView([], [mask.data for mask in masks]).cuts(unit).among(np.array([row], np.uint32))
    return str(cut(pa.array([text], pa.large_string()), cuts)[0].as_py())


def _mask_scores(mask: StepRecord, unit: int, row: int) -> Scores:
    path = mask.data.file(f"{unit:05d}.scores.parquet")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if "_row" not in file.schema_arrow.names:
                return {}
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, use_threads=False)
                at = pc.index(table.column("_row"), pa.scalar(row, pa.uint32())).as_py()
                if at >= 0:
                    found: dict[str, Any] = table.slice(at, 1).to_pylist()[0]
                    return {name: value for name, value in found.items() if name != "_row"}
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(f"{path}: {error}") from error
    return {}


def encoding(record: RunRecord, unit: int, identity: str, nth: int) -> EncodedRow | DocumentEvent | None:
    """Encoded row of the `nth` surviving document of this id in a unit, or its loss there.

    None where the run has not encoded yet.
    """
    step = record.complete_giving(ENCODED)
    if step is None:
        return None
    places = list(in_unit(step, unit, identity))
    if nth < len(places):
        return _encoded_row(step, unit, places[nth].row)
    for place in in_removed(step, identity):
        if place.unit == unit:
            return loss(step.name, removed_row(step, place))
    raise IntegrityError(
        f"step {step.name} has neither kept nor removed document {identity}; check the run: "
        f"corpusmill doctor {record.folder.location} --deep"
    )


def _encoded_row(step: StepRecord, unit: int, row: int) -> EncodedRow:
    start = 0
    path = step.data.file(f"{unit:05d}.arrow")
    for batch in arrow_batches(path, None):
        if row < start + batch.num_rows:
            at = row - start
            return EncodedRow(
                step=step.name,
                unit=unit,
                row=row,
                tokens=pc.list_value_length(batch.column("tokens").slice(at, 1))[0].as_py(),
                bytes=batch.column("bytes")[at].as_py(),
                fim=batch.column("fim")[at].as_py(),
            )
        start += batch.num_rows
    raise damaged(f"{path}: no row {row}")


def drawn(record: RunRecord, unit: int, row: int) -> tuple[DrawnCopy, ...] | None:
    """Each copy that the mixture drew of an encoded row, of a copy divided over phases each part, by epoch
    and place; None before it was drawn."""
    step = record.complete_giving(DRAWN)
    if step is None:
        return None
    copies: list[DrawnCopy] = []
    mixture = record.finished_giving(MIXTURE)
    phases = () if mixture is None else read_plan(mixture.data.file(FILE)).phases
    layout = layout_at(step.data)
    file = file_of(step.data, unit)
    unit -= first_of(step.data.units.facts(file))
    name = f"{file:05d}.{ROWS_FILE}"
    if not step.data.has(name):
        return ()
    for batch in arrow_batches(step.data.file(name), ["key", "unit", *DRAWN_ROWS.names, "fim", "tokens"]):
        found = (batch.column("row").to_numpy() == row) & (batch.column("unit").to_numpy() == unit)
        placed = partition_of(batch.column("key").to_numpy(), layout.partitions)
        for at in np.flatnonzero(found).tolist():
            one = batch.slice(at, 1)
            told = one.drop_columns(["tokens"]).to_pylist()[0]
            copies.append(
                DrawnCopy(
                    epoch=told["epoch"],
                    partition=int(placed[at]),
                    cut_to=told["cut_to"] if told["cut_to"] >= 0 else None,
                    cut_from=told["cut_from"],
                    goes_on=told["goes_on"],
                    phase=told["phase"],
                    phase_name=phases[told["phase"]].name if len(phases) > 1 else None,
                    tokens=pc.list_value_length(one.column("tokens"))[0].as_py(),
                    fim=told["fim"],
                )
            )
    return tuple(sorted(copies, key=lambda copy: (copy.epoch, copy.cut_from, copy.partition)))


def quarantined_at_draw(record: RunRecord, identity: str, unit: int, row: int) -> DocumentEvent | None:
    """The loss of an encoded row that the draw raised on, or its worker died of; None where there is none."""
    step = record.complete_giving(DRAWN)
    if step is None:
        return None
    file = file_of(step.data, unit)
    unit -= first_of(step.data.units.facts(file))
    for place in in_removed(step, identity):
        found = removed_row(step, place) if place.unit == file else None
        if found is not None and (found.unit, found.row) == (unit, row):
            return loss(step.name, found)
    return None


def left_out_of(record: RunRecord, identity: str) -> tuple[DocumentEvent, ...]:
    """The losses of a document in folds, by step: it stays in its dataset, their artefacts are without it."""
    folds = [step for step in record.steps.values() if step.complete and step.operator.leaves_in_place]
    return tuple(
        loss(step.name, removed_row(step, place)) for step in folds for place in in_removed(step, identity)
    )


def pieces(record: RunRecord, identity: str, copies: Sequence[DrawnCopy]) -> tuple[ShardPiece, ...] | None:
    """Where each piece of a document lies in the shards of its copies; None before there are shards."""
    step = record.complete_giving(SHARDS)
    if step is None:
        return None
    found: list[ShardPiece] = []
    epochs: dict[int, set[int]] = {}
    for copy in copies:
        epochs.setdefault(copy.partition, set()).add(copy.epoch)
    for partition, wanted in sorted(epochs.items()):
        for file in step.units[partition].files:
            if file.name.endswith(".arrow"):
                found += _pieces_in(step, file.name, bytes.fromhex(identity), wanted)
    return tuple(sorted(found, key=lambda piece: (piece.epoch, piece.offset, piece.shard)))


def _pieces_in(step: StepRecord, name: str, document: bytes, epochs: set[int]) -> list[ShardPiece]:
    found: list[ShardPiece] = []
    first_row = 0
    for batch in arrow_batches(step.data.file(name), ["pieces"]):
        column = batch.column("pieces")
        values = column.values
        hits = pc.indices_nonzero(pc.equal(values.field("document"), document)).to_numpy()
        rows = np.searchsorted(column.offsets.to_numpy(), hits, side="right") - 1
        for at, row in zip(hits.tolist(), rows.tolist(), strict=True):
            piece = {key: value for key, value in values[at].as_py().items() if key in _PIECE}
            shown = ShardPiece(shard=name, row=first_row + row, **piece)
            if shown.epoch in epochs:
                found.append(shown)
        first_row += batch.num_rows
    return found
