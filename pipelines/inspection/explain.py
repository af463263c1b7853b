"""`explain`: the whole story of one document of a run, found by its id or the beginning of it."""

from __future__ import annotations

import json
import textwrap
from operator import itemgetter
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.given import ENCODED
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection import trails
from corpusmill.pipelines.inspection.identities import (
    Place,
    dataset_row,
    in_dataset,
    in_removed,
    removed_row,
)
from corpusmill.pipelines.inspection.run_record import STATES, RunRecord, SourceRecord, load_record
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.storage.run_folder import RunFolder

_CANDIDATES = 8
_EXCERPT = 300
_LONGEST_CHAIN = 16
_INSTANCES = 32  # told of an id, of those that stand in a dataset and of those that do not; each reads files
_SPANS = 8  # told of one mask's cuts to people
_SCORES = 100  # columns that scores are wrapped at
_IN = " " * 8
_FACTS = ("source", "domain", "url", "path", "repo", "license", "lang")


def explain(folder: RunFolder, identity: str) -> Json:
    """The story of the document whose id is, or begins with, `identity`.

    Keys: `id`; `instances`, one for each time the run read this very document, each with `source`, `domain`
    and what else is known of it, `bytes` and, where parts are cut, `bytes_left`, `excerpt` (of what is left),
    `origin` (step, unit, row and input ranges), `events` (every stage that judged it: step, stage, verdict
    kept/removed/quarantined, scores, reason, survivor, `cut` as `mask_events` has it), `encoded`,
    `drawn` (copies: epoch, partition, `cut_to`), `pieces` (shard, row, start, length, offset, epoch, fim),
    `survivors` (for a duplicate: what became of its survivor, and of the survivor's survivor), `outcome`
    (in_shards, not_drawn, kept, benchmark, removed, quarantined) and `fate`, a sentence. Of a document read
    very often the first instances are told, and `more_instances` counts the others. `left_out_of`: losses in
    folds, whose artefacts are made without a document of this id, which they raised on or died of.

    Reads id columns only, a record batch at a time, and then the document's own rows. Raises UserError for
    an id that is malformed, unknown or ambiguous, naming candidates; IntegrityError on damaged files.
    """
    wanted = identity.strip().lower()
    if not wanted or len(wanted) > 32 or set(wanted) - set("0123456789abcdef"):
        raise UserError(
            f"{text.printable(identity, 60)!r} is not a document id: give up to 32 hexadecimal digits, as in "
            "the `id` column of a dataset"
        )
    record = load_record(folder)
    found = _find(record, wanted)
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
    story: Json = {"id": full, "instances": instances, "left_out_of": trails.left_out_of(record, full)}
    if len(places) > len(instances):
        story["more_instances"] = len(places) - len(instances)
    return story


def _find(record: RunRecord, prefix: str) -> dict[str, list[tuple[SourceRecord, Place]]]:
    """Places by id: rows of every source's last dataset, and documents removed before it was written."""
    found: dict[str, list[tuple[SourceRecord, Place]]] = {}
    for source in _all_sources(record):
        for step in (*source.steps, *source.scatters):
            for place in in_removed(step, prefix):
                found.setdefault(place.id, []).append((source, place))
        for place in in_dataset(source.last, prefix):
            found.setdefault(place.id, []).append((source, place))
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


def _instances(record: RunRecord, full: str, places: list[tuple[SourceRecord, Place]]) -> list[Json]:
    instances = []
    survived: dict[int, int] = {}  # surviving documents of this id by unit of the view
    removed = [found for found in places if found[1].removed]
    standing = [found for found in places if not found[1].removed]
    for source, place in [*removed[:_INSTANCES], *standing[:_INSTANCES]]:
        if place.removed:
            instances.append(_fallen(record, source, place))
            continue
        instance, row = _described(record, source, place)
        instance["events"] = trails.judgements(source, row)
        if source in record.beside:
            instance |= {
                "outcome": "beside",
                "fate": f"a document of {source.name}, which lie beside the sources and are never kept",
            }
        elif not source.whole or not (record.masks or record.complete_giving(ENCODED)):
            instance |= {"outcome": "kept", "fate": f"kept by {source.last.name}; {_waiting(record)}"}
        else:
            unit = record.first_units[source.name] + place.unit
            instance["events"] += trails.mask_events(record, unit, place.row)
            _cut(instance, (row.get("text") or "").encode())
            if instance["events"][-1]["verdict"] == "kept":
                nth = survived.get(unit, 0)
                survived[unit] = nth + 1
                _survivor(record, instance, full, unit, nth)
            else:
                _lost(instance, instance["events"][-1])
        instances.append(instance)
    return instances


def _described(record: RunRecord, source: SourceRecord, place: Place) -> tuple[Json, dict[str, Any]]:
    step = record.steps[place.step]
    row = dataset_row(step, place, without=("raw",))
    instance: Json = {name: row[name] for name in _FACTS if row.get(name) is not None}
    meta = json.loads(row.get("meta") or "{}")
    if meta:
        instance["meta"] = meta
    instance["bytes"] = len((row.get("text") or "").encode())
    instance["excerpt"] = (row.get("text") or "")[:_EXCERPT]
    instance["place"] = {"step": place.step, "unit": place.unit, "row": place.row}
    instance["origin"] = trails.origin(record, source, place)
    return instance, row


def _cut(instance: Json, text: bytes) -> None:
    """Beginnings of what was cut of a document, and of what is left; `text` is that of its dataset."""
    spans = [span for event in instance["events"] for span in event.get("cut", ())]
    left, done = [], 0
    for span in sorted(spans, key=itemgetter("start")):
        span["excerpt"] = text[span["start"] : span["end"]].decode()[:_EXCERPT]
        left.append(text[done : span["start"]])
        done = span["end"]
    if spans:
        whole = b"".join([*left, text[done:]])
        instance |= {"bytes_left": len(whole), "excerpt": whole.decode()[:_EXCERPT]}


def _fallen(record: RunRecord, source: SourceRecord, place: Place) -> Json:
    """A document that never reached its source's last dataset."""
    row = removed_row(record.steps[place.step], place)
    scores = trails.detail_scores(row["detail"])
    instance: Json = {"source": source.name, "domain": source.domain, "bytes": row["bytes"]}
    if row["position"] is not None:
        instance["position"] = row["position"]
    if row["excerpt"] is not None:
        instance["excerpt"] = row["excerpt"][:_EXCERPT]
    instance["origin"] = trails.origin(record, source, place)
    event = trails.loss(place.step, row)
    instance["events"] = [*trails.judgements(source, scores, (place.step, row["stage"])), event]
    _lost(instance, event)
    return instance


def _lost(instance: Json, event: Json) -> None:
    instance["outcome"] = event["verdict"]
    fate = f"{event['verdict']} by {event['stage']} in step {event['step']}: {event['reason']}"
    if "survivor_id" in event:
        fate += f", in favour of {event['survivor_id']} (similarity {event['similarity']:.3g})"
    instance["fate"] = fate


def _survivor(record: RunRecord, instance: Json, full: str, unit: int, nth: int) -> None:
    """From its encoded row to its pieces: whatever of this the run has done."""
    encoded = trails.encoding(record, unit, full, nth)
    instance["outcome"] = "kept"
    if encoded is None:
        instance["fate"] = f"kept by every step so far; {_waiting(record)}"
        return
    if "verdict" in encoded:
        instance["events"].append(encoded)
        _lost(instance, encoded)
        return
    instance["encoded"] = encoded
    copies = trails.drawn(record, unit, encoded["row"])
    if copies is None:
        instance["fate"] = f"kept and encoded as {encoded['tokens']:,} tokens; {_waiting(record)}"
        return
    instance["drawn"] = copies
    if not copies and (lost := trails.quarantined_at_draw(record, full, unit, encoded["row"])) is not None:
        instance["events"].append(lost)
        _lost(instance, lost)
        return
    if not copies:
        instance |= {"outcome": "not_drawn", "fate": "kept, but the mixture did not draw it"}
        return
    placed = trails.pieces(record, full, copies)
    times = "once" if len(copies) == 1 else f"{len(copies)} times"
    if placed is None:
        instance["fate"] = f"kept and drawn {times}; {_waiting(record)}"
        return
    instance["pieces"] = placed
    shards = sorted({piece["shard"] for piece in placed})
    first = placed[0] if placed else None
    where = (
        f"{first['shard']}, row {first['row']}, offset {first['start']}"
        if first
        else "no piece: it has no tokens"
    )
    instance["outcome"] = "in_shards"
    instance["fate"] = f"drawn {times}, in {len(placed)} piece(s) of {len(shards)} shard(s): {where}"


def _waiting(record: RunRecord) -> str:
    waiting = [name for name, step in record.steps.items() if not step.complete]
    if waiting:
        return f"next is step {waiting[0]}, {STATES[record.steps[waiting[0]].state]}"
    return "the recipe ends there"


def _follow(record: RunRecord, full: str, instance: Json, known: dict[str, list[Json]]) -> None:
    """What became of the document's survivor, and of that one's own, to the end.

    `known`: the instances of ids, `full` among them, to which this adds those it looks up.
    """
    chain: list[Json] = []
    seen = {full}
    event = instance["events"][-1]
    while "survivor_id" in event and len(chain) < _LONGEST_CHAIN:
        identity = event["survivor_id"]
        if identity == full:
            others = [other for other in known[full] if other is not instance]
        elif identity in seen:
            break
        else:
            if identity not in known:
                known[identity] = _instances(record, identity, _find(record, identity).get(identity, []))
            others = known[identity]
        seen.add(identity)
        kept = [other for other in others if other["outcome"] not in ("removed", "quarantined")]
        if not others:
            break
        survivor = (kept or others)[0]
        link = {name: survivor[name] for name in ("source", "outcome", "fate")}
        chain.append({"id": identity, **link})
        event = survivor["events"][-1] if survivor["events"] else {}
        if identity == full:
            break
    if chain:
        instance["survivors"] = chain


def render_story(story: Json) -> str:
    """The story as text for a terminal."""
    lines = [f"document {story['id']}"]
    more = story.get("more_instances", 0)
    times = len(story["instances"]) + more
    if times > 1:
        lines.append(f"read {times} times")
    for number, instance in enumerate(story["instances"], 1):
        if times > 1:
            lines += ["", f"--- {number} of {times} ---"]
        lines += _render_instance(instance)
    if more:
        lines += ["", f"and {more} more times, from the same record"]
    lines += [
        f"  left out of {event['step']}: {text.printable(event['reason'], 100)}"
        for event in story["left_out_of"]
    ]
    return "\n".join(lines)


def _render_instance(instance: Json) -> list[str]:
    origin = instance["origin"]
    place = f"step {origin['step']}, unit {origin['unit']}"
    place += f", row {origin['row']}" if origin["row"] is not None else ""
    inputs = [
        f"{text.printable(held['file'], 120)} [{held['start']:,} to {held['end']:,}]"
        for held in origin.get("inputs", [])
    ]
    inputs += [f"and {origin['more_inputs']:,} more ranges"] if origin.get("more_inputs") else []
    named = [(name, instance.get(name)) for name in (*_FACTS, "position")]
    about = [(name, value) for name, value in named if value is not None]
    left = [("bytes left", instance["bytes_left"])] if "bytes_left" in instance else []
    lines = ["", text.facts([*about, ("bytes", instance["bytes"]), *left, ("read", place)], "  ")]
    lines += [f"  {'from' if k == 0 else '    '}  {line}" for k, line in enumerate(inputs)]
    if "meta" in instance:
        lines.append(f"  meta  {text.printable(json.dumps(instance['meta'], ensure_ascii=False), 300)}")
    if instance.get("excerpt"):
        lines += ["", f"  {text.printable(instance['excerpt'], 240)}"]
    rows = [
        (event["step"], event["stage"], event["verdict"], event.get("reason", "") or _cut_in_all(event))
        for event in instance["events"]
    ]
    table = text.table(("step", "stage", "verdict", "reason"), rows, "  ").splitlines()
    lines += ["", *table[:2]]
    for line, event in zip(table[2:], instance["events"], strict=True):
        lines += [
            line,
            *textwrap.wrap(_render_scores(event), _SCORES, initial_indent=_IN, subsequent_indent=_IN),
            *_render_cuts(event.get("cut", [])),
        ]
    if "encoded" in instance:
        held = instance["encoded"]
        framed = "framed for fill-in-the-middle" if held["fim"] else "not framed for fill-in-the-middle"
        lines += ["", f"  encoded as {held['tokens']:,} tokens of {held['bytes']:,} bytes, {framed}"]
        lines += [
            f"  the copy of epoch {copy['epoch']} is cut to {copy['cut_to']:,} tokens of its beginning, "
            "which make its source's share exact"
            for copy in instance.get("drawn", [])
            if copy["cut_to"] is not None
        ]
    if instance.get("pieces"):
        headers = ("epoch", "shard", "row", "start", "length", "offset")
        lines += ["", text.table(headers, [[p[h] for h in headers] for p in instance["pieces"][:20]], "  ")]
        if len(instance["pieces"]) > 20:
            lines.append(f"  and {len(instance['pieces']) - 20:,} more pieces")
    lines += ["", f"  {text.printable(instance['fate'], 400)}"]
    for survivor in instance.get("survivors", []):
        lines.append(f"  survivor {survivor['id']} ({survivor['source']}): {survivor['fate']}")
    return lines


def _cut_in_all(event: Json) -> str:
    """Bytes cut by reason."""
    sums: dict[str, int] = {}
    for span in event.get("cut", ()):
        sums[span["reason"]] = sums.get(span["reason"], 0) + span["end"] - span["start"]
    return ", ".join(f"cut {size:,} bytes: {reason}" for reason, size in sorted(sums.items()))


def _render_cuts(cut: list[Json]) -> list[str]:
    lines = []
    for span in cut[:_SPANS]:
        kept = f", kept in {span['survivor_id']}" if "survivor_id" in span else ""
        where = f"{span['start']:,} to {span['end']:,}{kept}"
        lines.append(f"{_IN}{where}: {text.printable(span['excerpt'], 60)}")
    return lines + ([f"{_IN}and {len(cut) - _SPANS:,} more spans"] if len(cut) > _SPANS else [])


def _render_scores(event: Json) -> str:
    shown = [
        f"{name}={_score(value)}" for name, value in event.get("scores", {}).items() if value is not None
    ]
    if "similarity" in event:
        shown.append(f"similarity={event['similarity']:.4g} to {event['survivor_id']}")
    if "detail" in event:
        shown.append(event["detail"])
    return text.printable(" ".join(shown), 600)


def _score(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
