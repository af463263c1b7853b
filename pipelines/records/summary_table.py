"""Tables among what a stage says of its work: reports and `inspect` show them, whatever the stage is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.records.opaque import Cells, Summary

TABLES = "tables"


@dataclass(frozen=True)
class SummaryTable:
    """Rows under a title and names of columns; a cell is a number, a word, or null."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Cells, ...]

    @classmethod
    def of(cls, title: str, columns: Sequence[str], records: Iterable[object]) -> Self:
        """The attributes named like the columns, of each record a row."""
        return cls(
            title, tuple(columns), tuple(tuple(getattr(one, name) for name in columns) for one in records)
        )


def summary_of(*tables: SummaryTable) -> dict[str, Any]:
    """A summary that holds these tables, for a stage to give or to add to its own."""
    return {TABLES: [encode(table) for table in tables]}


def tables_of(summary: Summary, where: str) -> tuple[SummaryTable, ...]:
    """The tables of a summary, none where it has none. Raises IntegrityError, naming `where`, for others."""
    return tuple(decode(SummaryTable, table, where) for table in summary.get(TABLES, ()))


def without_tables(summary: Summary) -> Mapping[str, Any]:
    """The rest of a summary."""
    return {name: value for name, value in summary.items() if name != TABLES}
