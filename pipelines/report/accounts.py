"""Where documents went: the funnel of each source by step, stage and reason, and the ledger's statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpusmill.pipelines.contract.errors import LedgerError
from corpusmill.pipelines.contract.given import DRAWN, ENCODED, SEPARATION
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord
from corpusmill.pipelines.records.ledger import Entry, Tally


@dataclass(frozen=True)
class ReasonCount:
    """Documents and bytes lost for a reason."""

    reason: str
    documents: int
    bytes: int


@dataclass(frozen=True)
class CutCount:
    """Bytes cut for a reason, of documents that are kept."""

    reason: str
    bytes: int


@dataclass(frozen=True)
class FunnelRow:
    """One stage on one source: documents and bytes in, kept, cut and out, and lost or cut by reason, the most
    first.

    `drawing`: whether it draws the mixture, which leaves documents out and loses none; `judges`: whether it
    is there to remove documents, and not to separate those that are held out, which may find none. Bytes are
    of the text (before extraction, of the raw page) as it entered the stage; `bytes_out` as it left.
    """

    step: str
    stage: str
    judges: bool
    drawing: bool
    documents_in: int
    documents_kept: int
    bytes_in: int
    bytes_kept: int
    bytes_cut: int
    bytes_out: int
    cut: tuple[CutCount, ...]
    removed: tuple[ReasonCount, ...]
    quarantined: tuple[ReasonCount, ...]

    @property
    def documents_removed(self) -> int:
        return sum(reason.documents for reason in self.removed)

    @property
    def documents_quarantined(self) -> int:
        return sum(reason.documents for reason in self.quarantined)


Funnel = Mapping[str, tuple[FunnelRow, ...]]  # by source, stages in order


@dataclass(frozen=True)
class SourceAccount:
    """Documents and bytes of one source: read = removed + quarantined + left."""

    domain: str
    documents_read: int
    bytes_read: int
    documents_removed: int
    bytes_removed: int
    documents_quarantined: int
    bytes_quarantined: int
    documents_left: int
    bytes_left: int


@dataclass(frozen=True)
class LedgerStatement:
    """Whether everything balances, how many entries do, words of what does not, and accounts by source."""

    balanced: bool
    entries: int
    faults: tuple[str, ...]
    sources: Mapping[str, SourceAccount]


def funnel(record: RunRecord) -> Funnel:
    """By source, every stage in order. What sections read beside the sources has rows of its own."""
    found: dict[str, list[FunnelRow]] = {}
    drawing, separation = record.finished_giving(DRAWN), record.finished_giving(SEPARATION)
    for step in record.steps.values():
        if not step.complete:
            continue
        for entry in step.ledger:
            judges = step.operator.judges and step is not separation
            found.setdefault(entry.source, []).append(_row(step.name, entry, judges, step is drawing))
    return {source: tuple(rows) for source, rows in sorted(found.items())}


def _row(step: str, entry: Entry, judges: bool, drawing: bool) -> FunnelRow:
    return FunnelRow(
        step=step,
        stage=entry.stage,
        judges=judges,
        drawing=drawing,
        documents_in=entry.documents_in,
        documents_kept=entry.documents_kept,
        bytes_in=entry.bytes_in,
        bytes_kept=entry.bytes_kept,
        bytes_cut=entry.bytes_cut,
        bytes_out=entry.bytes_out,
        cut=tuple(
            CutCount(reason, size)
            for reason, size in sorted(entry.cut.items(), key=lambda item: (-item[1], item[0]))
        ),
        removed=_reasons(entry.removed),
        quarantined=_reasons(entry.quarantined),
    )


def _reasons(tallies: Mapping[str, Tally]) -> tuple[ReasonCount, ...]:
    ordered = sorted(tallies.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple(ReasonCount(reason, documents, size) for reason, (documents, size) in ordered)


def ledger_statement(record: RunRecord) -> LedgerStatement:
    """Does every document read have an end? Per source: read = removed + quarantined + left.

    `left` is counted from what was written (datasets less the rows their masks remove, or the encoded
    dataset once there is one), not from the ledger, so the two check each other. A run that completed has no
    faults.
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
        source.name: _account(record, source, entries_of.get(source.name, [])) for source in record.sources
    }
    for name, account in sources.items():
        lost = account.documents_removed + account.documents_quarantined
        if account.documents_read != lost + account.documents_left:
            faults.append(
                f"source {name}: {account.documents_read} documents read, "
                f"{lost} removed or quarantined, {account.documents_left} are left"
            )
    return LedgerStatement(not faults, entries, tuple(faults), sources)


def _account(record: RunRecord, source: SourceRecord, entries: Sequence[Entry]) -> SourceAccount:
    read = next((entry for entry in entries if entry.stage == "read"), Entry("read", source.name))
    left = [0, 0]
    encode = record.complete_giving(ENCODED)
    for unit in (encode if encode is not None and source.whole else source.last).units:
        documents, size = unit.sources.get(source.name, (0, 0))
        left = [left[0] + documents, left[1] + size]
    if encode is None and source.whole:
        documents, size = record.taken_by_masks.get(source.name, (0, 0))
        left = [left[0] - documents, left[1] - size]
    removed = [tally for entry in entries for tally in entry.removed.values()]
    quarantined = [tally for entry in entries for tally in entry.quarantined.values()]
    return SourceAccount(
        domain=source.domain,
        documents_read=read.documents_in,
        bytes_read=read.bytes_in,
        documents_removed=sum(documents for documents, _ in removed),
        bytes_removed=sum(size for _, size in removed),
        documents_quarantined=sum(documents for documents, _ in quarantined),
        bytes_quarantined=sum(size for _, size in quarantined),
        documents_left=left[0],
        bytes_left=left[1],
    )


def _entries(record: RunRecord) -> dict[str, list[Entry]]:
    """Entries up to encoding, in order, by source."""
    found: dict[str, list[Entry]] = {}
    drawing = record.finished_giving(DRAWN)  # the mixture leaves documents out here; they are not lost
    for step in record.steps.values():
        if step.complete and step is not drawing and not step.operator.leaves_in_place:
            for entry in step.ledger:
                found.setdefault(entry.source, []).append(entry)
    return found
