"""Tables that stages give with what they say of their work, such as the rounds of a recall loop."""

from __future__ import annotations

from dataclasses import dataclass

from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.records.receipt import SummaryPart
from corpusmill.pipelines.records.summary_table import SummaryTable, tables_of


@dataclass(frozen=True)
class StepTables:
    """The tables of a step, of all its units in order."""

    step: str
    tables: tuple[SummaryTable, ...]


def step_tables(record: RunRecord) -> tuple[StepTables, ...]:
    """The steps that have tables, in order. Raises IntegrityError for one that is damaged."""
    found = [
        StepTables(
            step.name,
            tuple(
                table
                for unit in step.units
                if isinstance(unit.part, SummaryPart)
                for table in tables_of(unit.part.summary, f"step {step.name}")
            ),
        )
        for step in record.steps.values()
        if step.complete and step.operator.writes == "artefact"
    ]
    return tuple(one for one in found if one.tables)
