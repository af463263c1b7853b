"""All tables of a run, by name."""

from __future__ import annotations

from collections.abc import Callable

from corpusmill.pipelines.contract.given import ENCODED, MIXTURE, SHARDS
from corpusmill.pipelines.inspection.run_record import STATES, RunRecord
from corpusmill.pipelines.inspection.tables.documents import documents_table
from corpusmill.pipelines.inspection.tables.figures import (
    groups_table,
    ledger_table,
    mixture_table,
    steps_table,
)
from corpusmill.pipelines.inspection.tables.lists import cuts_table, duplicates_table, removed_table
from corpusmill.pipelines.inspection.tables.scores import scores_table
from corpusmill.pipelines.inspection.tables.table import Table
from corpusmill.pipelines.inspection.tables.tokens import pieces_table, tokens_table

_MADE: tuple[Callable[[RunRecord], Table | None], ...] = (
    documents_table,
    removed_table,
    duplicates_table,
    cuts_table,
    scores_table,
    tokens_table,
    pieces_table,
    mixture_table,
    groups_table,
    ledger_table,
    steps_table,
)

_GIVEN = {
    "tokens": ENCODED,
    "pieces": SHARDS,
    "mixture": MIXTURE,
    "groups": MIXTURE,
}  # what tables are made of


def tables_of(record: RunRecord) -> dict[str, Table]:
    """The tables that the run has something for, in the order in which people are told of them."""
    found = (make(record) for make in _MADE)
    return {table.name: table for table in found if table is not None}


def absent_tables(record: RunRecord) -> dict[str, str]:
    """Why the run has not a table that other runs have, by the table's name."""
    found = {}
    for name, what in _GIVEN.items():
        step = record.finished_giving(what)
        if all(one.gives != what for one in record.graph.steps):
            found[name] = "no step of its recipe makes it"
        elif step is None:
            found[name] = "the run has not come to it"
        elif not step.complete:
            found[name] = f"step {step.name}: {STATES[step.state]}"
    return found
