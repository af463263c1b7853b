"""Small tables of a run's figures: `steps`, `ledger`, `mixture` and `groups`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.contract.given import MIXTURE
from corpusmill.pipelines.inspection.mixture_facts import mixture_facts
from corpusmill.pipelines.inspection.mixture_statistics import group_lines
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.tables.table import Column, Table
from corpusmill.pipelines.records.ledger import Entry
from corpusmill.pipelines.records.mixture_plan import FILE, read_plan

_STEPS = (
    Column("step", pa.string(), "name of the step"),
    Column("operator", pa.string(), "how it moves data"),
    Column("state", pa.string(), "complete, outdated, stale, unfinished or not_reached"),
    Column("units", pa.int64(), "units it wrote"),
    Column("rows", pa.int64(), "rows it wrote"),
    Column("bytes", pa.int64(), "bytes of its files"),
)
_LEDGER = (
    Column("step", pa.string(), "name of the step"),
    Column("stage", pa.string(), "name of the stage"),
    Column("source", pa.string(), "the recipe's source"),
    Column("outcome", pa.string(), "in, kept, removed, quarantined, cut (bytes) or out (bytes that left)"),
    Column("reason", pa.string(), "of what was removed, quarantined or cut"),
    Column("documents", pa.int64(), "documents"),
    Column("bytes", pa.int64(), "bytes of their texts"),
)
_MIXTURE = (
    Column("source", pa.string(), "the recipe's source"),
    Column("available_tokens", pa.int64(), "tokens there are, without those held out"),
    Column("available_documents", pa.int64(), "documents there are"),
    Column("requested_share", pa.float64(), "share asked"),
    Column("requested_tokens", pa.int64(), "tokens asked"),
    Column("tokens", pa.int64(), "tokens drawn, copies included"),
    Column("share", pa.float64(), "share drawn"),
    Column("documents", pa.int64(), "documents drawn, copies included"),
    Column("epochs", pa.float64(), "how often the source is taken"),
    Column("shortfall", pa.string(), "why less than asked is drawn"),
)
_GROUPS = (
    Column("phase", pa.string(), "phase of the mixture"),
    Column("column", pa.string(), "column that the group is a value of: source, lang, ..."),
    Column("value", pa.string(), "the value; * stands for all that no group beside it names"),
    Column("name", pa.string(), "the way to the group, such as web / en"),
    Column("depth", pa.int64(), "groups that it lies within; sum groups of one depth alone"),
    Column("requested_share", pa.float64(), "share of the phase's tokens asked"),
    Column("requested_tokens", pa.int64(), "tokens asked"),
    Column("available_tokens", pa.int64(), "tokens there are, without those held out"),
    Column("tokens", pa.int64(), "tokens drawn, copies included"),
    Column("share", pa.float64(), "share of the phase's tokens drawn"),
    Column("epochs", pa.float64(), "how often the group is taken"),
    Column("documents", pa.int64(), "documents drawn, copies included"),
    Column("bytes", pa.int64(), "bytes of their texts; of one that is cut in proportion to its tokens"),
    Column("unique_tokens", pa.int64(), "tokens of first copies"),
    Column("repeated_tokens", pa.int64(), "tokens of all other copies"),
    Column(
        "cause", pa.string(), "why less than asked is drawn: max_epochs, empty, absent, held_out, rounding"
    ),
    Column("shortfall", pa.string(), "the same in words"),
)
_AS_THEY_ARE = {column.name for column in _GROUPS} - {"column", "value", "depth"}


def steps_table(record: RunRecord) -> Table:
    """The steps of the run, in order."""

    def rows() -> Iterator[dict[str, Any]]:
        for step in record.steps.values():
            done = step.manifest is not None
            yield {
                "step": step.name,
                "operator": step.operator.name if done else None,
                "state": step.state,
                "units": len(step.units) if done else step.receipts,
                "rows": step.rows if done else None,
                "bytes": step.output_bytes if done else None,
            }

    return _of_rows("steps", "the steps of the run", _STEPS, rows)


def ledger_table(record: RunRecord) -> Table:
    """What came to each stage, and what became of it."""

    def rows() -> Iterator[dict[str, Any]]:
        for step in record.steps.values():
            if step.complete:
                for entry in step.ledger:
                    for outcome, reason, documents, size in _outcomes(entry):
                        yield {
                            "step": step.name,
                            "stage": entry.stage,
                            "source": entry.source,
                            "outcome": outcome,
                            "reason": reason,
                            "documents": documents,
                            "bytes": size,
                        }

    return _of_rows("ledger", "what came to each stage and what became of it", _LEDGER, rows)


def _outcomes(entry: Entry) -> Iterator[tuple[str, str | None, int | None, int]]:
    yield "in", None, entry.documents_in, entry.bytes_in
    yield "kept", None, entry.documents_kept, entry.bytes_kept
    yield "out", None, entry.documents_kept, entry.bytes_out
    for outcome, tallies in (("removed", entry.removed), ("quarantined", entry.quarantined)):
        for reason, (documents, size) in sorted(tallies.items()):
            yield outcome, reason, documents, size
    for reason, size in sorted(entry.cut.items()):
        yield "cut", reason, None, size


def mixture_table(record: RunRecord) -> Table | None:
    """The mixture by source; None before it is planned, and where its plan is stale."""
    facts = mixture_facts(record)
    if facts is None or record.complete(facts.step) is None:
        return None

    def rows() -> Iterator[dict[str, Any]]:
        for name, one in facts.sources.items():
            yield {
                "source": name,
                "available_tokens": one.available_tokens,
                "available_documents": one.available_documents,
                "requested_share": one.requested_share,
                "requested_tokens": one.requested_tokens,
                "tokens": one.achieved_tokens,
                "share": one.achieved_share,
                "documents": one.achieved_documents,
                "epochs": one.epochs,
                "shortfall": one.shortfall,
            }

    return _of_rows("mixture", "the mixture, asked and drawn, by source", _MIXTURE, rows)


def groups_table(record: RunRecord) -> Table | None:
    """The groups of the mixture by phase, each before those within it; None as of `mixture_table`."""
    step = record.finished_giving(MIXTURE)
    if step is None or not step.complete:
        return None

    def rows() -> Iterator[dict[str, Any]]:
        for line in group_lines(read_plan(step.data.file(FILE))):
            yield {
                **{name: getattr(line, name) for name in _AS_THEY_ARE},
                "column": line.by[-1],
                "value": line.values[-1],
                "depth": len(line.by) - 1,
            }

    return _of_rows("groups", "the groups of the mixture, asked and drawn, by phase", _GROUPS, rows)


def _of_rows(name: str, about: str, columns: tuple[Column, ...], rows: Any) -> Table:
    schema = pa.schema([pa.field(column.name, column.type) for column in columns])

    def read(names: frozenset[str]) -> Iterator[pa.Table]:
        yield pa.Table.from_pylist(list(rows()), schema=schema)

    return Table(name, about, columns, read)
