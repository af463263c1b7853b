"""What the mixture planned and what the shards hold, source by source, from plan.json and receipts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from corpusmill.pipelines.contract.given import DRAWN, MIXTURE, SHARDS
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.shard_files import ShardStatistics, statistics
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.records.mixture_plan import (
    FILE,
    CellPlan,
    HeldOutPlan,
    MixturePlan,
    PhasePlan,
    SourcePlan,
    read_plan,
)
from corpusmill.pipelines.records.shard_counts import PartitionCounts

_REASONS = 3  # for which documents were lost, that words name


@dataclass(frozen=True)
class CutDocument:
    """The document of which a copy is cut to its first `tokens` of `of`, so that a source's share is
    exact."""

    document: str
    tokens: int
    of: int


@dataclass(frozen=True)
class MixtureSource:
    """Requested against achieved of one source. Achieved figures count every copy of a document; `epochs` is
    achieved tokens / available tokens, None where there are none; `achieved_share` is None where nothing is
    drawn of any source; `cut`: the documents of which copies are cut."""

    available_tokens: int
    available_documents: int
    requested_share: float
    requested_tokens: int
    achieved_tokens: int
    achieved_share: float | None
    achieved_documents: int
    epochs: float | None
    shortfall: str | None
    cause: str | None
    cut: tuple[CutDocument, ...]


@dataclass(frozen=True)
class Shortfall:
    """A share that is missed: whose, why (`cause` of `GroupPlan`, or `nearest`, of what can be had instead),
    and words."""

    name: str
    cause: str
    text: str


@dataclass(frozen=True)
class MixtureFacts:
    """Requested against achieved, in all and by source, and what is drawn to be judged on. `phases`, with
    their groups: none where there is one phase and its groups are the sources."""

    step: str
    requested_tokens: int | None
    achieved_tokens: int
    documents: int
    max_epochs: float
    held_out: HeldOutPlan
    sources: Mapping[str, MixtureSource]
    phases: tuple[PhasePlan, ...]
    shortfalls: tuple[Shortfall, ...]


@dataclass(frozen=True)
class _Packed:
    step: str
    shards: int


@dataclass(frozen=True)
class PackingFacts(ShardStatistics, _Packed):
    """Statistics of all shards of a step together, its options, and where its files lie in the run."""

    sequence_length: int | None
    method: str | None
    folder: str
    files: tuple[str, ...]


def mixture_facts(record: RunRecord) -> MixtureFacts | None:
    """What the run's mixture planned; None before it is planned."""
    step = record.finished_giving(MIXTURE)
    if step is None:
        return None
    plan = read_plan(step.data.file(FILE))
    return MixtureFacts(
        step=step.name,
        requested_tokens=plan.requested_tokens,
        achieved_tokens=plan.tokens,
        documents=plan.documents,
        max_epochs=plan.max_epochs,
        held_out=plan.held_out,
        sources={
            source: _source(one, _cut(cell for cell in plan.cells if cell.values[0] == source))
            for source, one in sorted(plan.sources.items())
        },
        phases=plan.phases if _told(plan) else (),
        shortfalls=shortfalls(plan.phases, _lost_before(record)),
    )


def _told(plan: MixturePlan) -> bool:
    """Whether there is more to say of groups than of sources."""
    return len(plan.phases) > 1 or any(group.by != ("source",) for group in plan.phases[0].groups)


def shortfalls(phases: Sequence[PhasePlan], lost_before: Mapping[str, str]) -> tuple[Shortfall, ...]:
    """The shares that are missed, and, where there is something to write instead, that. `lost_before`: by
    source, words of what earlier steps took."""
    found = []
    for phase in phases:
        where = f"{phase.name}: " if len(phases) > 1 else ""
        found += [
            Shortfall(where + one.name, one.cause, one.text + lost_before.get(one.source or "", ""))
            for one in phase.missed()
        ]
        if phase.nearest is None:
            continue
        if phase.nearest.recipe:
            words = f"these can be had: `{'mixture' if not where else phase.name}: {phase.nearest.recipe}`"
            found.append(Shortfall(where + "nearest", "nearest", words))
        if phase.nearest.tokens_as_asked is not None:
            words = f"the shares as they are can be had of `tokens: {phase.nearest.tokens_as_asked}`"
            found.append(Shortfall(where + "as asked", "nearest", words))
    return tuple(found)


def _lost_before(record: RunRecord) -> dict[str, str]:
    """Words for each source of which steps before the mixture took documents: how many, and for what most."""
    lost: dict[str, Counter[str]] = {}
    read: Counter[str] = Counter()
    drawing = record.finished_giving(DRAWN)  # what is left out here is not lost
    for step in record.steps.values():
        if not step.complete or step is drawing or step.operator.leaves_in_place:
            continue
        for entry in step.ledger:
            read[entry.source] += entry.documents_in if entry.stage == "read" else 0
            mine = lost.setdefault(entry.source, Counter())
            for reason, (documents, _) in (*entry.removed.items(), *entry.quarantined.items()):
                mine[f"{entry.stage}.{reason}" if reason else entry.stage] += documents
    return {
        source: f"; of {read[source]:,} documents read {mine.total():,} were lost before: "
        + ", ".join(f"{name} {count:,}" for name, count in mine.most_common(_REASONS))
        for source, mine in lost.items()
        if mine.total()
    }


def _source(plan: SourcePlan, cut: tuple[CutDocument, ...]) -> MixtureSource:
    return MixtureSource(
        available_tokens=plan.available_tokens,
        available_documents=plan.available_documents,
        requested_share=plan.requested_share,
        requested_tokens=plan.requested_tokens,
        achieved_tokens=plan.tokens,
        achieved_share=plan.share,
        achieved_documents=plan.documents,
        epochs=plan.epochs,
        shortfall=plan.shortfall,
        cause=plan.cause,
        cut=cut,
    )


def _cut(cells: Iterable[CellPlan]) -> tuple[CutDocument, ...]:
    """The documents that the last phases of cells end in; where another phase ends, the next one goes on."""
    ends = [cell.phases[-1].end.last for cell in cells if cell.phases]
    return tuple(
        CutDocument(last.document, last.tokens, last.of) for last in ends if last is not None and last.tokens
    )


def missed(mixture: MixtureFacts) -> list[str]:
    """A line for each share that is missed: what was asked, what is drawn, and why; then what can be had."""
    return [
        f"{text.printable(one.name, 200)}: {text.printable(one.text, 4000)}" for one in mixture.shortfalls
    ]


def packing_facts(record: RunRecord) -> PackingFacts | None:
    """Counts of all shards together, and where they lie; None before there are shards."""
    step = record.finished_giving(SHARDS)
    if step is None:
        return None
    options = step.stages[-1].options
    where = str(step.data.path)
    counts = [decode(PartitionCounts, unit.summary, where) for unit in step.units]
    return PackingFacts(
        step=step.name,
        shards=len(counts),
        **vars(statistics(counts)),
        sequence_length=options.get("sequence_length"),
        method=options.get("method"),
        folder=str(step.data.data.relative_to(record.folder.path)),
        files=tuple(file.name for unit in step.units for file in unit.files if file.name.endswith(".arrow")),
    )
