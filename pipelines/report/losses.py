"""What was lost and why, as the pages show it: reasons over all sources, and samples by stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.pipelines.report.accounts import FunnelRow
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.report.kept_samples import KeptSample
from corpusmill.pipelines.report.samples import SAMPLES, RemovedSample

_MAIN_REASONS = 3


@dataclass(frozen=True)
class Reason:
    """What a stage removed or quarantined for a reason, of all sources, and of how many."""

    stage: str
    kind: str
    reason: str
    documents: int
    bytes: int
    sources: int


@dataclass(frozen=True)
class SampledReason:
    """Samples of what a stage lost for a reason: documents, or of what it cut (`kind`) bytes."""

    kind: str
    reason: str
    count: int
    samples: tuple[RemovedSample, ...]


@dataclass(frozen=True)
class SampledStage:
    """Samples of what a stage removed, quarantined and cut, by reason, the commonest first, and of documents
    of the same `sources` that were kept, with the stage's own scores."""

    step: str
    stage: str
    documents: int
    bytes_cut: int
    reasons: tuple[SampledReason, ...]
    sources: int
    kept: tuple[KeptSample, ...]


def reasons(report: Report) -> list[Reason]:
    """Every reason of the funnel, the most documents first."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for rows in report.funnel.values():
        for row in rows:
            for kind, lost in (("removed", row.removed), ("quarantined", row.quarantined)):
                for one in lost if not row.drawing else ():
                    sums = found.setdefault((row.stage, kind, one.reason), [0, 0, 0])
                    for k, value in enumerate((one.documents, one.bytes, 1)):
                        sums[k] += value
    made = [Reason(*key, *sums) for key, sums in found.items()]
    return sorted(made, key=lambda one: (-one.documents, one.stage, one.kind, one.reason))


def main_reasons(rows: Sequence[FunnelRow]) -> list[tuple[str, str, int]]:
    """(stage, reason, documents) of what took most of a source's documents."""
    found = [
        (row.stage, reason.reason, reason.documents)
        for row in rows
        if not row.drawing
        for reason in (*row.removed, *row.quarantined)
    ]
    return sorted(found, key=lambda each: -each[2])[:_MAIN_REASONS]


def sample_stages(report: Report) -> list[SampledStage]:
    """Samples by step and stage, in the order of the funnel."""
    counts: Counter[tuple[str, str, str, str]] = Counter()  # documents, or of what was cut bytes
    order: dict[tuple[str, str], int] = {}
    for rows in report.funnel.values():
        for row in rows:
            order.setdefault((row.step, row.stage), len(order))
            for kind, lost_for in (("removed", row.removed), ("quarantined", row.quarantined)):
                for lost in lost_for:
                    counts[row.step, row.stage, kind, lost.reason] += lost.documents
            for part in row.cut:
                counts[row.step, row.stage, "cut", part.reason] += part.bytes
    samples: dict[tuple[str, str, str, str], list[RemovedSample]] = {}
    for sample in report.removed_samples:
        samples.setdefault((sample.step, sample.stage, sample.kind, sample.reason), []).append(sample)
    stages: dict[tuple[str, str], list[SampledReason]] = {}
    for key in sorted(samples, key=lambda key: (-counts[key], key)):
        step, stage, kind, reason = key
        one = SampledReason(kind, reason, counts[key], tuple(samples[key]))
        stages.setdefault((step, stage), []).append(one)
    return [
        _sampled(report, step, stage, found)
        for (step, stage), found in sorted(stages.items(), key=lambda item: order.get(item[0], len(order)))
    ]


def _sampled(report: Report, step: str, stage: str, found: Sequence[SampledReason]) -> SampledStage:
    sources = {sample.source for one in found for sample in one.samples}
    return SampledStage(
        step=step,
        stage=stage,
        documents=sum(one.count for one in found if one.kind != "cut"),
        bytes_cut=sum(one.count for one in found if one.kind == "cut"),
        reasons=tuple(found),
        sources=len(sources),
        kept=tuple(_kept(report, stage, sources)),
    )


def _kept(report: Report, stage: str, sources: set[str]) -> list[KeptSample]:
    """A few samples, as many of each source as can be, with the scores of the stage alone."""
    by_source: dict[str, list[KeptSample]] = {}
    for sample in report.kept_samples:
        if sample.source in sources:
            by_source.setdefault(sample.source, []).append(sample)
    turns = [(k, sample) for few in by_source.values() for k, sample in enumerate(few)]
    chosen = [sample for _, sample in sorted(turns, key=lambda turn: turn[0])][:SAMPLES]
    return [sample.of_stage(stage) for sample in chosen]
