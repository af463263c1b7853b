"""What is held out: how much was asked and reached, what was removed for it, and the overlap that is left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from corpusmill.pipelines.contract.given import OVERLAP, SEPARATION
from corpusmill.pipelines.contract.held_out import USES, For
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.records.overlap import HeldOutCount, Overlap, RemovedForHolding
from corpusmill.pipelines.storage.sealed import read_json

_INDENT = " " * len("held out  ")


@dataclass(frozen=True)
class HeldOutRate:
    """Documents held out from one use, their bytes, and their share of all; None of no documents."""

    documents: int
    bytes: int
    rate: float | None


@dataclass(frozen=True)
class HeldOutFrom:
    """The same of all sources together, with the share that was asked."""

    asked: float
    documents: int
    bytes: int
    rate: float | None


@dataclass(frozen=True)
class HeldOutSource:
    """Of one source: its documents, those in families too large to be held out whole, and those held out."""

    documents: int
    in_large_families: int
    model: HeldOutRate
    tokenizer: HeldOutRate

    def of(self, use: For) -> HeldOutRate:
        """What is held out from a use."""
        found: HeldOutRate = getattr(self, use)
        return found


@dataclass(frozen=True)
class HeldOutFacts:
    """Documents held out, of all sources and by source.

    `compared`: those compared with the others; `removed`: documents removed by why (`dedup.hold_out`).
    `highest_overlap`, `highest_jaccard`: the most that any held-out document shares with a document that is
    learnt from; `overlap`: the share that is not reached.
    """

    overlap: float
    compared: int
    removed: RemovedForHolding
    highest_overlap: float
    highest_jaccard: float
    sources: Mapping[str, HeldOutSource]
    documents: int
    tokenizer: HeldOutFrom
    model: HeldOutFrom

    def of(self, use: For) -> HeldOutFrom:
        """What is held out from a use."""
        found: HeldOutFrom = getattr(self, use)
        return found


def held_out_facts(record: RunRecord) -> HeldOutFacts | None:
    """Figures of the documents held out; None where none are, or before they are compared."""
    step = record.complete_giving(OVERLAP)
    if step is None or record.complete_giving(SEPARATION) is None:
        return None
    path = step.data.file("overlap.json")
    found = decode(Overlap, read_json(path), str(path))
    total = sum(one.documents for one in found.sources.values())
    return HeldOutFacts(
        overlap=found.overlap,
        compared=found.compared,
        removed=found.removed,
        highest_overlap=found.highest_overlap,
        highest_jaccard=found.highest_jaccard,
        sources={
            name: HeldOutSource(
                documents=one.documents,
                in_large_families=one.in_large_families,
                model=_rate(one.model, one.documents),
                tokenizer=_rate(one.tokenizer, one.documents),
            )
            for name, one in found.sources.items()
        },
        documents=total,
        tokenizer=_whole(found.shares.tokenizer, (one.tokenizer for one in found.sources.values()), total),
        model=_whole(found.shares.model, (one.model for one in found.sources.values()), total),
    )


def _rate(count: HeldOutCount, of: int) -> HeldOutRate:
    return HeldOutRate(count.documents, count.bytes, count.documents / of if of else None)


def _whole(asked: float, counts: Iterable[HeldOutCount], of: int) -> HeldOutFrom:
    each = list(counts)
    documents = sum(count.documents for count in each)
    size = sum(count.bytes for count in each)
    return HeldOutFrom(asked, documents, size, documents / of if of else None)


def _reached(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.2%}"


def in_brief(facts: HeldOutFacts) -> str:
    """The facts in brief, for a terminal: what is held out from each use, what was removed for it, and the
    overlap that is left, a line each."""
    lines = [
        f"held out  from the {use}: {whole.documents:,} of {facts.documents:,} documents, "
        f"{_reached(whole.rate)} ({whole.asked:.2%} asked)"
        for use in USES
        if (whole := facts.of(use)).asked
    ]
    removed = facts.removed
    if removed.held_out or removed.learnt or removed.common:
        lines.append(
            f"{_INDENT}removed: {removed.held_out:,} that stand in documents learnt from, "
            f"{removed.learnt:,} learnt from that stand in them, {removed.common:,} of text common to many"
        )
    lines.append(
        f"{_INDENT}most that one shares with a document learnt from: overlap {facts.highest_overlap:.2f}, "
        f"Jaccard {facts.highest_jaccard:.2f}"
    )
    return "\n".join(lines)


def render_held_out(facts: HeldOutFacts) -> str:
    """A table by source, and the facts in brief."""
    rows = [(name, one.documents, one.in_large_families, *_cells(one)) for name, one in facts.sources.items()]
    from_uses = (header for use in USES for header in (f"from {use}", "rate"))
    headers = ("held out", "documents", "in large families", *from_uses)
    return text.table(headers, rows) + "\n" + in_brief(facts)


def _cells(source: HeldOutSource) -> Iterator[int | str]:
    for use in USES:
        yield source.of(use).documents
        yield text.percent(source.of(use).rate, 1)
