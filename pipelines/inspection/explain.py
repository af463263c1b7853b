"""`explain`: the whole story of one document of a run, found by its id or the beginning of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from corpusmill.pipelines.contract.errors import NotKeptError, UserError
from corpusmill.pipelines.contract.given import ENCODED
from corpusmill.pipelines.contract.known import run_of
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection import trails
from corpusmill.pipelines.inspection.displaced import FIRST, Page, compare, displaced_by, displacing
from corpusmill.pipelines.inspection.identities import (
    Place,
    dataset_row,
    in_dataset,
    in_removed,
    removed_row,
)
from corpusmill.pipelines.inspection.limits import with_limits
from corpusmill.pipelines.inspection.named_documents import id_of_named, looks_like_id
from corpusmill.pipelines.inspection.run_record import STATES, RunRecord, SourceRecord, load_record
from corpusmill.pipelines.inspection.story import (
    Comparison,
    CutSpan,
    DisplacedDocument,
    DocumentEvent,
    Instance,
    Origin,
    RowPlace,
    Story,
    Survivor,
)
from corpusmill.pipelines.storage.run_folder import RunFolder

_CANDIDATES = 8
_EXCERPT = 300
_LONGEST_CHAIN = 16
_INSTANCES = 32  # told of an id, of those that stand in a dataset and of those that do not; each reads files
_FACTS = ("source", "domain", "url", "path", "repo", "license", "lang")


def explain(folder: RunFolder, identity: str, page: Page = FIRST) -> Story:
    """The story of the document whose id is, or begins with, `identity`, or whose URL or path it is.

    What is told of it is described in `story.py`. Of a document read very often the first instances are told;
    of one in whose favour many were removed those of the `page`.

    Reads id columns only (of a URL or path also those), a record batch at a time, then the document's own
    rows, and of shards the pieces of those partitions that it was drawn into. Raises UserError for what is
    unknown or ambiguous, naming candidates; IntegrityError on damaged files.
    """
    record = load_record(folder)
    named = identity.strip()
    wanted = named.lower() if looks_like_id(named) else id_of_named(record, named)
    try:
        found = _find(record, wanted)
    except NotKeptError as error:
        return _from_lists(record, wanted, page, error)
    if not found:
        raise UserError(_unknown(record, wanted))
    if len(found) > 1:
        shown = ", ".join(sorted(found)[:_CANDIDATES])
        more = f" and {len(found) - _CANDIDATES} more" if len(found) > _CANDIDATES else ""
        raise UserError(f"{wanted} is the start of {len(found)} ids: {shown}{more}; give more digits")
    ((full, places),) = found.items()
    instances = _instances(record, full, places)
    known = {full: instances}
    for instance in instances:
        _follow(record, full, instance, known)
        _compare(record, instance)
    untold = len(places) - len(instances)
    displaced = displaced_by(record, full, page)
    return Story(full, tuple(instances), trails.left_out_of(record, full), untold, displaced)


def _compare(record: RunRecord, instance: Instance) -> None:
    """How a document that a step removed for another one differs from it."""
    event, place = instance.events[-1] if instance.events else None, instance.place
    if event is None or place is None or instance.source is None:
        return
    if event.survivor_id is None or event.survivor_source is None or event.similarity is None:
        return
    unit = record.first_units[instance.source] + place.unit
    about = (instance.source, instance.bytes, event.reason or "", event.similarity)
    removed = DisplacedDocument(unit, place.row, "", *about)
    instance.comparison = compare(record, event.step, removed, event.survivor_id, event.survivor_source)


def _from_lists(record: RunRecord, wanted: str, page: Page, error: NotKeptError) -> Story:
    """The story of a document whose dataset was removed after use, as the lists of removed documents tell it.

    Raises the error where none of these names it.
    """
    found: dict[str, list[Instance]] = {}
    for mask in displacing(record):
        for place in in_removed(mask, wanted):
            row = removed_row(mask, place)
            event = trails.loss(mask.name, row)
            instance = Instance(row.bytes, Origin(mask.name, place.unit, row.row), (event,), row.source)
            _lost(instance, event)
            if event.survivor_id is not None:
                instance.comparison = Comparison(event.survivor_id, not_shown=str(error))
            found.setdefault(place.id, []).append(instance)
    if not found and len(wanted) == 32 and (displaced := displaced_by(record, wanted, page)):
        return Story(
            wanted, (), (), displaced=displaced, untold=f"what else became of it is not told: {error}"
        )
    if len(found) != 1:
        raise error
    ((full, instances),) = found.items()
    return Story(full, tuple(instances[:_INSTANCES]), (), max(0, len(instances) - _INSTANCES),
                 displaced_by(record, full, page))  # fmt: skip


def _find(record: RunRecord, prefix: str) -> dict[str, list[tuple[SourceRecord, Place]]]:
    """Places by id: rows of every source's last dataset, and documents removed before it was written.

    Raises NotKeptError where a dataset was removed after use and the others, and what was removed, have none.
    """
    found: dict[str, list[tuple[SourceRecord, Place]]] = {}
    not_kept: list[NotKeptError] = []
    for source in _all_sources(record):
        for step in (*source.steps, *source.scatters):
            for place in in_removed(step, prefix):
                found.setdefault(place.id, []).append((source, place))
        try:
            for place in in_dataset(source.last, prefix):
                found.setdefault(place.id, []).append((source, place))
        except NotKeptError as error:
            not_kept.append(error)
    if not_kept and not found:
        raise not_kept[0]
    return found


def _all_sources(record: RunRecord) -> list[SourceRecord]:
    return [*record.sources, *record.beside]


def _unknown(record: RunRecord, wanted: str) -> str:
    searched = [source.last.name for source in _all_sources(record)]
    waiting = [name for name, step in record.steps.items() if not step.complete]
    message = f"no document whose id begins with {wanted}"
    if not searched:
        return f"{message}: no source of this run is complete; run the recipe to its end"
    message += f" in {', '.join(searched)} or among what their steps removed"
    if waiting:
        step = record.steps[waiting[0]]
        message += f"; step {step.name} is {STATES[step.state]}"
    return f"{message}; `inspect` on a dataset shows ids"


def _instances(record: RunRecord, full: str, places: list[tuple[SourceRecord, Place]]) -> list[Instance]:
    instances: list[Instance] = []
    survived: dict[int, int] = {}  # surviving documents of this id by unit of the view
    removed = [found for found in places if found[1].removed]
    standing = [found for found in places if not found[1].removed]
    for source, place in [*removed[:_INSTANCES], *standing[:_INSTANCES]]:
        if place.removed:
            instances.append(_removed_early(record, source, place))
            continue
        instance, row = described(record, source, place)
        instance.events = tuple(trails.judgements(source, row))
        if source in record.beside:
            instance.outcome = "beside"
            instance.fate = f"a document of {source.name}, which lie beside the sources and are never kept"
        elif not source.whole or not (record.masks or record.complete_giving(ENCODED)):
            instance.outcome, instance.fate = "kept", f"kept by {source.last.name}; {_waiting(record)}"
        else:
            unit = record.first_units[source.name] + place.unit
            instance.events += tuple(trails.mask_events(record, unit, place.row))
            _cut(instance, (row.get("text") or "").encode())
            if instance.events[-1].verdict == "kept":
                nth = survived.get(unit, 0)
                survived[unit] = nth + 1
                _survivor(record, instance, full, unit, nth)
            else:
                _lost(instance, instance.events[-1])
        instance.events = with_limits(record, source, instance.events)
        instances.append(instance)
    return instances


def described(record: RunRecord, source: SourceRecord, place: Place) -> tuple[Instance, dict[str, Any]]:
    """What is known of the document at a place of a dataset, and its row there."""
    step = record.steps[place.step]
    row = dataset_row(step, place, without=("raw",))
    whole = row.get("text") or ""
    instance = Instance(
        meta=json.loads(row.get("meta") or "{}"),
        bytes=len(whole.encode()),
        excerpt=whole[:_EXCERPT],
        place=RowPlace(place.step, place.unit, place.row),
        origin=trails.origin(record, source, place),
    )
    for name in _FACTS:
        setattr(instance, name, row.get(name))
    return instance, row


def _cut(instance: Instance, text: bytes) -> None:
    """Beginnings of what was cut of a document, and of what is left; `text` is that of its dataset."""
    spans = [span for event in instance.events for span in event.cut]
    left, done = [], 0
    for span in sorted(spans, key=lambda span: span.start):
        left.append(text[done : span.start])
        done = span.end
    if spans:
        whole = b"".join([*left, text[done:]])
        instance.bytes_left, instance.excerpt = len(whole), whole.decode()[:_EXCERPT]
        instance.events = tuple(
            replace(event, cut=tuple(_with_beginning(span, text) for span in event.cut))
            for event in instance.events
        )


def _with_beginning(span: CutSpan, text: bytes) -> CutSpan:
    return replace(span, excerpt=text[span.start : span.end].decode()[:_EXCERPT])


def _removed_early(record: RunRecord, source: SourceRecord, place: Place) -> Instance:
    """A document that never reached its source's last dataset."""
    row = removed_row(record.steps[place.step], place)
    scores = trails.detail_scores(row.detail)
    event = trails.loss(place.step, row)
    instance = Instance(
        source=source.name,
        domain=source.domain,
        bytes=row.bytes,
        position=row.position,
        excerpt=row.excerpt[:_EXCERPT] if row.excerpt is not None else None,
        origin=trails.origin(record, source, place),
        events=with_limits(
            record, source, (*trails.judgements(source, scores, (place.step, row.stage)), event)
        ),
    )
    _lost(instance, event)
    return instance


def _lost(instance: Instance, event: DocumentEvent) -> None:
    instance.outcome = event.verdict
    instance.fate = (
        f"{event.verdict} by {event.stage} in step {event.step}: {text.reason(event.reason or '')}"
    )
    if event.survivor_id is not None:
        run = run_of(event.survivor_source)
        where = f" of the earlier run {run}" if run is not None else ""
        instance.fate += f", in favour of {event.survivor_id}{where} (similarity {event.similarity:.3g})"


def _survivor(record: RunRecord, instance: Instance, full: str, unit: int, nth: int) -> None:
    """From its encoded row to its pieces: whatever of this the run has done."""
    encoded = trails.encoding(record, unit, full, nth)
    instance.outcome = "kept"
    if encoded is None:
        instance.fate = f"kept by every step so far; {_waiting(record)}"
        return
    if isinstance(encoded, DocumentEvent):
        instance.events += (encoded,)
        _lost(instance, encoded)
        return
    instance.encoded = encoded
    try:
        copies = trails.drawn(record, unit, encoded.row)
    except NotKeptError as error:
        instance.fate = f"kept and encoded as {encoded.tokens:,} tokens; of what was drawn of it: {error}"
        return
    if copies is None:
        instance.fate = f"kept and encoded as {encoded.tokens:,} tokens; {_waiting(record)}"
        return
    instance.drawn = copies
    if not copies and (lost := trails.quarantined_at_draw(record, full, unit, encoded.row)) is not None:
        instance.events += (lost,)
        _lost(instance, lost)
        return
    if not copies:
        instance.outcome, instance.fate = "not_drawn", "kept, but the mixture did not draw it"
        return
    placed = trails.pieces(record, full, copies)
    drawn = len({copy.epoch for copy in copies})  # a copy may be divided over phases
    times = "once" if drawn == 1 else f"{drawn} times"
    if placed is None:
        instance.fate = f"kept and drawn {times}; {_waiting(record)}"
        return
    instance.pieces = placed
    shards = sorted({piece.shard for piece in placed})
    where = "no piece: it has no tokens"
    if placed:
        where = f"{placed[0].shard}, row {placed[0].row}, offset {placed[0].start}"
    instance.outcome = "in_shards"
    instance.fate = f"drawn {times}, in {len(placed)} piece(s) of {len(shards)} shard(s): {where}"


def _waiting(record: RunRecord) -> str:
    waiting = [name for name, step in record.steps.items() if not step.complete]
    if waiting:
        return f"next is step {waiting[0]}, {STATES[record.steps[waiting[0]].state]}"
    return "the recipe ends there"


def _follow(record: RunRecord, full: str, instance: Instance, known: dict[str, list[Instance]]) -> None:
    """What became of the document's survivor, and of that one's own, to the end or to one of an earlier run.

    `known`: the instances of ids, `full` among them, to which this adds those it looks up.
    """
    chain: list[Survivor] = []
    seen = {full}
    identity = _survivor_here(instance)
    while identity is not None and len(chain) < _LONGEST_CHAIN:
        if identity == full:
            others = [other for other in known[full] if other is not instance]
        elif identity in seen:
            break
        else:
            if identity not in known:
                known[identity] = _instances(record, identity, _find(record, identity).get(identity, []))
            others = known[identity]
        seen.add(identity)
        kept = [other for other in others if other.outcome not in ("removed", "quarantined")]
        if not others:
            break
        survivor = (kept or others)[0]
        chain.append(Survivor(identity, survivor.source, survivor.outcome, survivor.fate))
        if identity == full:
            break
        identity = _survivor_here(survivor)
    instance.survivors = tuple(chain)


def _survivor_here(instance: Instance) -> str | None:
    """The survivor of a document, where it has one and this run has read it."""
    last = instance.events[-1] if instance.events else None
    return last.survivor_id if last is not None and run_of(last.survivor_source) is None else None
