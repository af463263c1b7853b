"""The head of the report, the totals of a run, and the table of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from corpusmill.pipelines.inspection.mixture_facts import MixtureFacts, PackingFacts
from corpusmill.pipelines.inspection.run_log import StepLog
from corpusmill.pipelines.inspection.run_record import STATES, RunRecord, State, StepRecord
from corpusmill.pipelines.report.accounts import LedgerStatement
from corpusmill.pipelines.report.training import TrainingFigures


@dataclass(frozen=True)
class Times:
    """When the last execution began and how long it took, by its log; None where it does not tell."""

    started: str | None
    wall_seconds: float | None
    work_seconds: float


@dataclass(frozen=True)
class Head:
    """What run it is. `until`: what the last run was asked for; empty: everything; `waiting`: steps that are
    not complete."""

    name: str
    seed: int
    engine: str | None
    executions: int
    complete: bool
    waiting: tuple[str, ...]
    until: tuple[str, ...]
    versions: Mapping[str, str]
    times: Times


@dataclass(frozen=True)
class StepRow:
    """A step: its state and what this means, units, units done in the last execution, seconds of work, rows
    and bytes; None where there is no output, or no line of it in the log."""

    name: str
    state: State
    meaning: str
    operator: str | None
    stages: tuple[str, ...]
    fingerprint: str | None
    units: int
    units_done: int
    reused: bool
    seconds: float | None
    repeated_units: int
    peak_rss_bytes: int | None
    rows: int | None
    bytes: int | None


@dataclass(frozen=True)
class Totals:
    """Documents and bytes over all sources, and tokens as far as the run has come."""

    documents_read: int
    bytes_read: int
    documents_removed: int
    documents_quarantined: int
    documents_left: int
    bytes_left: int
    tokens_available: int | None
    tokens_requested: int | None
    tokens_planned: int | None
    tokens_packed: int | None
    tokens_trained: int | None


def head(record: RunRecord, corpusmill: str) -> Head:
    """The head of a run's report, made by this version of corpusmill."""
    versions: dict[str, str] = {}
    for step in record.steps.values():
        versions.update(step.manifest.versions if step.manifest is not None else {})
    waiting = [step.name for step in record.steps.values() if step.state not in ("complete", "stale")]
    return Head(
        name=record.name,
        seed=record.seed,
        engine=record.log.engine,
        executions=record.log.executions,
        complete=not waiting,
        waiting=tuple(waiting),
        until=record.until,
        versions={"corpusmill": corpusmill, **dict(sorted(versions.items()))},
        times=Times(_day(record.log.started), record.log.seconds, round(record.log.work_seconds, 3)),
    )


def _day(started: float | None) -> str | None:
    return datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if started else None


def steps(record: RunRecord) -> tuple[StepRow, ...]:
    """Every step in order."""
    return tuple(_step(step, record.log.steps.get(step.name)) for step in record.steps.values())


def _step(step: StepRecord, log: StepLog | None) -> StepRow:
    done = log or StepLog()
    has_output = step.manifest is not None
    return StepRow(
        name=step.name,
        state=step.state,
        meaning=STATES[step.state],
        operator=step.operator.name or None,
        stages=tuple(stage.name for stage in step.stages),
        fingerprint=step.manifest.fingerprint if step.manifest is not None else None,
        units=len(step.units) if has_output else step.receipts,
        units_done=done.units,
        reused=step.complete and done.units == 0,
        seconds=round(done.seconds, 3) if log is not None else None,
        repeated_units=done.retries,
        peak_rss_bytes=done.peak_rss or None,
        rows=step.rows if has_output else None,
        bytes=step.output_bytes if has_output else None,
    )


def totals(
    ledger: LedgerStatement,
    mixture: MixtureFacts | None,
    packing: PackingFacts | None,
    training: TrainingFigures | None,
) -> Totals:
    """Sums over all sources."""
    sources = ledger.sources.values()
    available = None
    if mixture is not None:
        available = sum(source.available_tokens for source in mixture.sources.values())
    return Totals(
        documents_read=sum(source.documents_read for source in sources),
        bytes_read=sum(source.bytes_read for source in sources),
        documents_removed=sum(source.documents_removed for source in sources),
        documents_quarantined=sum(source.documents_quarantined for source in sources),
        documents_left=sum(source.documents_left for source in sources),
        bytes_left=sum(source.bytes_left for source in sources),
        tokens_available=available,
        tokens_requested=mixture.requested_tokens if mixture is not None else None,
        tokens_planned=mixture.achieved_tokens if mixture is not None else None,
        tokens_packed=packing.tokens if packing is not None else None,
        tokens_trained=training.summary.tokens if training is not None else None,
    )
