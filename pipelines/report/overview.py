"""The head of the report, the totals of a run, and the table of its steps."""

from __future__ import annotations

from datetime import UTC, datetime

from corpusmill.pipelines.inspection.run_log import StepLog
from corpusmill.pipelines.inspection.run_record import STATES, RunRecord, StepRecord
from corpusmill.pipelines.records.codec import Json


def head(record: RunRecord, corpusmill: str) -> Json:
    """Name, seed, what the last run was asked for (`until`; empty: everything), versions, and (in `times`)
    when and how long the last execution ran, by its log."""
    versions: dict[str, str] = {}
    for step in record.steps.values():
        versions.update(step.manifest.versions if step.manifest is not None else {})
    started = record.log.started
    waiting = [step.name for step in record.steps.values() if step.state not in ("complete", "stale")]
    return {
        "name": record.name,
        "seed": record.recipe.get("seed", 0),
        "engine": record.log.engine,
        "executions": record.log.executions,
        "complete": not waiting,
        "waiting": waiting,
        "until": list(record.until),
        "versions": {"corpusmill": corpusmill, **dict(sorted(versions.items()))},
        "times": {
            "started": datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            if started
            else None,
            "wall_seconds": record.log.seconds,
            "work_seconds": round(record.log.work_seconds, 3),
        },
    }


def steps(record: RunRecord) -> list[Json]:
    """Every step in order: state, units, units done in the last execution, seconds of work, rows, bytes."""
    return [_step(step, record.log.steps.get(step.name)) for step in record.steps.values()]


def _step(step: StepRecord, log: StepLog | None) -> Json:
    done = log or StepLog()
    return {
        "name": step.name,
        "state": step.state,
        "meaning": STATES[step.state],
        "operator": step.operator.name or None,
        "stages": [stage.name for stage in step.stages],
        "fingerprint": step.manifest.fingerprint if step.manifest is not None else None,
        "units": len(step.units) if step.manifest is not None else step.receipts,
        "units_done": done.units,
        "reused": step.complete and done.units == 0,
        "seconds": round(done.seconds, 3) if log is not None else None,
        "repeated_units": done.retries,
        "peak_rss_bytes": done.peak_rss or None,
        "rows": step.rows if step.manifest is not None else None,
        "bytes": step.output_bytes if step.manifest is not None else None,
    }


def totals(figures: Json) -> Json:
    """Documents and bytes over all sources, and tokens as far as the run has come."""
    sources = figures["ledger"]["sources"].values()
    mixture, packing, training = figures["mixture"], figures["packing"], figures["training"]
    return {
        "documents_read": sum(s["documents_read"] for s in sources),
        "bytes_read": sum(s["bytes_read"] for s in sources),
        "documents_removed": sum(s["documents_removed"] for s in sources),
        "documents_quarantined": sum(s["documents_quarantined"] for s in sources),
        "documents_left": sum(s["documents_left"] for s in sources),
        "bytes_left": sum(s["bytes_left"] for s in sources),
        "tokens_available": (
            sum(s["available_tokens"] for s in mixture["sources"].values()) if mixture else None
        ),
        "tokens_requested": mixture["requested_tokens"] if mixture else None,
        "tokens_planned": mixture["achieved_tokens"] if mixture else None,
        "tokens_packed": packing["tokens"] if packing else None,
        "tokens_trained": training["summary"]["tokens"] if training else None,
    }
