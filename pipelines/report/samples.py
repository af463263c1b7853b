"""A few of the documents removed, and of the parts cut, to be judged by eye: by step, stage and reason.

Samples are chosen by id, so the same run shows the same ones. A duplicate is shown beside its survivor;
their texts are looked up by address. Memory: one record batch of removed or cut rows, one row group of texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.inspection.displaced import text_seen
from corpusmill.pipelines.inspection.identities import (
    arrow_batches,
    has_removed,
    removed_path,
)
from corpusmill.pipelines.inspection.passages import Differing, differing
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord, StepRecord
from corpusmill.pipelines.inspection.story import Scores
from corpusmill.pipelines.inspection.trails import detail_scores, scores_of
from corpusmill.pipelines.records.opaque import Row
from corpusmill.pipelines.storage.cuts import is_edits
from corpusmill.pipelines.storage.not_kept import not_kept
from corpusmill.pipelines.storage.pairs import unpacked

SAMPLES = 3  # of each stage and reason
EXCERPT = 400  # characters
PASSAGES = 20  # of a duplicate and of its survivor, in which they differ
FILES = 32  # of removed documents looked at in each step
ROWS = 100_000  # of duplicates that samples are chosen from
REASONS = 400  # a stage of endless reasons must not make an endless page
_DRAWS = "report samples"
_COLUMNS = ["id", "source", "stage", "kind", "reason", "bytes", "position", "detail", "excerpt"]
_CUT_COLUMNS = [
    *("id", "source", "stage", "reason", "start", "end"),
    *("survivor_id", "survivor_source", "excerpt"),
]
_DUPLICATE_COLUMNS = [
    *("unit", "row", "id", "source", "reason", "bytes"),
    *("survivor_id", "survivor_source", "similarity"),
]


@dataclass(frozen=True)
class LostRow:
    """A row that may be shown: of a document removed or quarantined, or (`kind` cut) of a part cut."""

    id: str | None
    source: str
    stage: str
    kind: str
    reason: str
    bytes: int
    position: str | None
    detail: str | None
    excerpt: str | None


@dataclass(frozen=True)
class RemovedSample:
    """A document removed or quarantined, or a part cut, with the scores of its stage and the beginning of its
    text."""

    step: str
    stage: str
    kind: str
    reason: str
    source: str
    id: str | None
    position: str | None
    bytes: int
    scores: Scores
    detail: str | None
    excerpt: str | None


@dataclass(frozen=True)
class DuplicateRow:
    """A removed duplicate: its address, and which document it repeats."""

    unit: int
    row: int
    id: str
    source: str
    reason: str
    bytes: int
    survivor_id: str
    survivor_source: str
    similarity: float


@dataclass(frozen=True)
class RemovedText:
    """A removed document, its beginning (None where its text is not at hand), and what it has that its
    survivor lacks."""

    id: str
    source: str
    bytes: int
    excerpt: str | None
    differs: Differing | None = None


@dataclass(frozen=True)
class SurvivorText:
    """What was kept in place of it, and what that has that the removed one lacks."""

    id: str
    source: str
    excerpt: str | None
    differs: Differing | None = None


@dataclass(frozen=True)
class DuplicateSample:
    """A removed duplicate beside the survivor it was judged against."""

    step: str
    stage: str
    reason: str
    similarity: float
    removed: RemovedText
    survivor: SurvivorText


def removed_samples(record: RunRecord) -> tuple[RemovedSample, ...]:
    """Samples of what was removed or quarantined, with scores, and of what was cut (`kind` is `cut`).

    Of duplicates there are none here: see `duplicate_samples`.
    """
    chosen: dict[tuple[str, ...], list[tuple[int, LostRow]]] = {}
    for step in record.removing():
        for row in chain(_rows(step), _cut_rows(step)):
            key = (step.name, row.stage, row.kind, row.reason)
            if key not in chosen and len(chosen) >= REASONS:
                continue
            smallest = chosen.setdefault(key, [])
            smallest.append((_draw(row), row))
            smallest.sort(key=lambda pair: (pair[0], pair[1].position or ""))
            del smallest[SAMPLES:]
    return tuple(_shown(step, row) for (step, *_), rows in chosen.items() for _, row in rows)


def _rows(step: StepRecord) -> Iterator[LostRow]:
    units = [unit for unit in step.units if step.operator.lists_removed == "always" or has_removed(unit)]
    if len(units) > FILES:
        units = [units[k * len(units) // FILES] for k in range(FILES)]
    for unit in units:
        for batch in arrow_batches(removed_path(step.data, unit.unit), _COLUMNS):
            shown = batch.filter(batch.column("excerpt").is_valid())
            # A reader's lost records may have no excerpt; their position and detail say enough. Duplicates,
            # whose texts stand in their dataset, have none either.
            lost = pc.and_(batch.column("excerpt").is_null(), batch.column("id").is_null())
            for part in (shown, batch.filter(lost).slice(0, SAMPLES)):
                yield from (LostRow(**row) for row in part.to_pylist())


def _cut_rows(step: StepRecord) -> Iterator[LostRow]:
    """What was cut and has an excerpt, as rows of removed documents."""
    files = [file.name for unit in step.units for file in unit.files if is_edits(file.name)]
    for name in files[:: max(1, len(files) // FILES)][:FILES]:
        for batch in arrow_batches(step.data.file(name), _CUT_COLUMNS):
            part = batch.filter(batch.column("excerpt").is_valid())
            columns = (part.column(name).to_pylist() for name in _CUT_COLUMNS)
            for row in zip(*columns, strict=True):
                identity, source, stage, reason, start, end, survivor, survivor_source, excerpt = row
                detail = None if survivor is None else f"as in {survivor} ({survivor_source})"
                yield LostRow(identity, source, stage, "cut", reason, end - start, None, detail, excerpt)


def _draw(row: LostRow) -> int:
    return int(draws([row.id or row.position or ""], 0, _DRAWS)[0])


def _shown(step: str, row: LostRow) -> RemovedSample:
    scores = detail_scores(row.detail)
    detail = row.detail if row.detail and not scores else None
    return RemovedSample(
        step=step,
        stage=row.stage,
        kind=row.kind,
        reason=row.reason,
        source=row.source,
        id=row.id,
        position=row.position,
        bytes=row.bytes,
        scores=scores_of(row.stage, scores),
        detail=detail[:EXCERPT] if detail else None,
        excerpt=row.excerpt[:EXCERPT] if row.excerpt is not None else None,
    )


def duplicate_samples(record: RunRecord) -> tuple[DuplicateSample, ...]:
    """Removed duplicates, each beside the survivor it was judged against."""
    sources = {source.name: source for source in record.sources if source.whole}
    steps = [step for step in record.masks if step.operator.reads == "pairs"]
    return tuple(_pair(record, step, row, sources) for step in steps for row in _chosen(step))


def _chosen(step: StepRecord) -> list[DuplicateRow]:
    """For each reason the `SAMPLES` smallest draws among the first `ROWS` removals."""
    best: dict[str, list[tuple[int, Row]]] = {}
    seen = 0
    for unit in filter(has_removed, step.units):
        for batch in arrow_batches(removed_path(step.data, unit.unit), _DUPLICATE_COLUMNS):
            part = batch.filter(batch.column("survivor_id").is_valid()).slice(0, ROWS - seen)
            seen += part.num_rows
            drawn = draws(part.column("id"), 0, _DRAWS)
            order = pa.Table.from_batches([part]).append_column("order", pa.array(drawn))
            for reason in pc.unique(part.column("reason")).to_pylist():
                mine = order.filter(pc.equal(order.column("reason"), reason))
                few = mine.sort_by("order").slice(0, SAMPLES)
                smallest = best.setdefault(reason, [])
                rows = few.drop_columns("order").to_pylist()
                smallest += zip(few.column("order").to_pylist(), rows, strict=True)
                smallest.sort(key=lambda pair: pair[0])
                del smallest[SAMPLES:]
        if seen >= ROWS:
            break
    return [DuplicateRow(**row) for _, rows in sorted(best.items()) for _, row in rows]


def _pair(
    record: RunRecord, step: StepRecord, row: DuplicateRow, sources: dict[str, SourceRecord]
) -> DuplicateSample:
    address = _survivor_address(record, step, row)
    theirs = _text(record, step, sources.get(row.survivor_source), address) if address else None
    mine = _text(record, step, sources.get(row.source), (row.unit, row.row))
    differ: tuple[Differing | None, Differing | None] = None, None
    if mine is not None and theirs is not None:
        removed, survivor = differing(mine, theirs)
        differ = _few(removed), _few(survivor)
    return DuplicateSample(
        step=step.name,
        stage=step.stages[-1].name,
        reason=row.reason,
        similarity=row.similarity,
        removed=RemovedText(row.id, row.source, row.bytes, _beginning(mine), differ[0]),
        survivor=SurvivorText(row.survivor_id, row.survivor_source, _beginning(theirs), differ[1]),
    )


def _few(side: Differing) -> Differing:
    """With the first `PASSAGES` of its passages."""
    more = side.more_passages + max(0, len(side.passages) - PASSAGES)
    return replace(side, passages=side.passages[:PASSAGES], more_passages=more)


def _beginning(text: str | None) -> str | None:
    return None if text is None else text[:EXCERPT]


def _survivor_address(record: RunRecord, step: StepRecord, row: DuplicateRow) -> tuple[int, int] | None:
    """Unit and row of a survivor, from the pairs that the step was made of; None where these were not
    kept."""
    finders = [record.steps[name] for name in step.inputs if name in record.steps]
    for finder in finders:
        if finder.operator.writes != "pairs" or not_kept(finder.data.path) is not None:
            continue
        for unit in finder.units:
            if not finder.data.has(f"{unit.name}.found.arrow"):
                continue
            path = finder.data.file(f"{unit.name}.found.arrow")
            for packed in arrow_batches(path, None):
                batch = unpacked(pa.Table.from_batches([packed]))
                same = pc.and_(
                    pc.equal(batch.column("unit"), pa.scalar(row.unit, pa.uint32())),
                    pc.and_(
                        pc.equal(batch.column("row"), pa.scalar(row.row, pa.uint32())),
                        pc.equal(batch.column("survivor_id"), row.survivor_id),
                    ),
                )
                hits = batch.filter(same)
                if hits.num_rows:
                    return hits.column("survivor_unit")[0].as_py(), hits.column("survivor_row")[0].as_py()
    return None


def _text(
    record: RunRecord, step: StepRecord, source: SourceRecord | None, address: tuple[int, int]
) -> str | None:
    """A document as the step saw it; None where its dataset is not there, or not kept."""
    if source is None or not_kept(source.last.data.path) is not None:
        return None
    return text_seen(record, step, source.name, address)
