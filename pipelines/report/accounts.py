"""Where documents went: the funnel of each source by step, stage and reason, and the ledger's statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from corpusmill.pipelines.contract.errors import LedgerError
from corpusmill.pipelines.contract.given import DRAWN, ENCODED, SEPARATION
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.records.ledger import Entry


def funnel(record: RunRecord) -> dict[str, list[Json]]:
    """By source, every stage in order: documents and bytes in, kept, cut and out, and lost or cut by reason.

    `drawing`: whether it draws the mixture, which leaves documents out and loses none; `judges`: whether it
    is there to remove documents, and not to separate those that are held out, which may find none.

    Bytes are of the text (before extraction, of the raw page) as it entered the stage; `bytes_out` as it
    left. What sections read beside the sources has rows of its own.
    """
    found: dict[str, list[Json]] = {}
    drawing, separation = record.finished_giving(DRAWN), record.finished_giving(SEPARATION)
    for step in record.steps.values():
        if not step.complete:
            continue
        for entry in step.ledger:
            found.setdefault(entry.source, []).append(
                {
                    "step": step.name,
                    "stage": entry.stage,
                    "judges": step.operator.judges and step is not separation,
                    "drawing": step is drawing,
                    "documents_in": entry.documents_in,
                    "documents_kept": entry.documents_kept,
                    "bytes_in": entry.bytes_in,
                    "bytes_kept": entry.bytes_kept,
                    "bytes_cut": entry.bytes_cut,
                    "bytes_out": entry.bytes_out,
                    "cut": [
                        {"reason": reason, "bytes": size}
                        for reason, size in sorted(entry.cut.items(), key=lambda item: (-item[1], item[0]))
                    ],
                    "removed": _reasons(entry.removed),
                    "quarantined": _reasons(entry.quarantined),
                }
            )
    return dict(sorted(found.items()))


def _reasons(tallies: Mapping[str, tuple[int, int]]) -> list[Json]:
    ordered = sorted(tallies.items(), key=lambda item: (-item[1][0], item[0]))
    return [
        {"reason": reason, "documents": documents, "bytes": size} for reason, (documents, size) in ordered
    ]


def ledger_statement(record: RunRecord) -> Json:
    """Does every document read have an end? Per source: read = removed + quarantined + left.

    `left` is counted from what was written (datasets less the rows their masks remove, or the encoded
    dataset once there is one), not from the ledger, so the two check each other. `faults` are words of
    what does not balance; a run that completed has none.
    """
    entries = 0
    faults: list[str] = []
    for step in record.steps.values():
        for entry in step.ledger if step.complete else ():
            entries += 1
            try:
                entry.check(f"step {step.name}")
            except LedgerError as error:
                faults.append(str(error))
    entries_of = _entries(record)
    sources = {
        source.name: _source(record, source, entries_of.get(source.name, [])) for source in record.sources
    }
    for name, held in sources.items():
        taken_out = held["documents_removed"] + held["documents_quarantined"]
        if held["documents_read"] != taken_out + held["documents_left"]:
            faults.append(
                f"source {name}: {held['documents_read']} documents read, "
                f"{taken_out} removed or quarantined, {held['documents_left']} are left"
            )
    return {"balanced": not faults, "entries": entries, "faults": faults, "sources": sources}


def _source(record: RunRecord, source: SourceRecord, entries: Sequence[Entry]) -> Json:
    read = next((entry for entry in entries if entry.stage == "read"), Entry("read", source.name))
    left = [0, 0]
    encode = record.complete_giving(ENCODED)
    for unit in (encode if encode is not None and source.whole else source.last).units:
        documents, size = unit.sources.get(source.name, (0, 0))
        left = [left[0] + documents, left[1] + size]
    if encode is None and source.whole:
        documents, size = record.taken_by_masks.get(source.name, (0, 0))
        left = [left[0] - documents, left[1] - size]
    return {
        "domain": source.domain,
        "documents_read": read.documents_in,
        "bytes_read": read.bytes_in,
        "documents_removed": sum(d for entry in entries for d, _ in entry.removed.values()),
        "bytes_removed": sum(b for entry in entries for _, b in entry.removed.values()),
        "documents_quarantined": sum(d for entry in entries for d, _ in entry.quarantined.values()),
        "bytes_quarantined": sum(b for entry in entries for _, b in entry.quarantined.values()),
        "documents_left": left[0],
        "bytes_left": left[1],
    }


def _entries(record: RunRecord) -> dict[str, list[Entry]]:
    """Entries up to encoding, in order, by source."""
    found: dict[str, list[Entry]] = {}
    drawing = record.finished_giving(DRAWN)  # the mixture leaves documents out here; they are not lost
    for step in record.steps.values():
        if step.complete and step is not drawing and not step.operator.leaves_in_place:
            for entry in step.ledger:
                found.setdefault(entry.source, []).append(entry)
    return found
