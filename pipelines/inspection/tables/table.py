"""A table of a run: its columns, what they mean, and its rows a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.errors import UserError

Batches = Callable[[frozenset[str]], Iterator[pa.Table]]


@dataclass(frozen=True)
class Column:
    """A column: its type, and what its values mean."""

    name: str
    type: pa.DataType
    about: str


@dataclass(frozen=True)
class Table:
    """`read(names)` gives batches with at least the columns named, in the order of the run; what is not named
    need not be read from the disk. Memory: a batch, of at most one row group or record batch."""

    name: str
    about: str
    columns: tuple[Column, ...]
    read: Batches

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        return pa.schema([pa.field(column.name, column.type) for column in self.columns])

    def batches(self, names: frozenset[str] | None = None) -> Iterator[pa.Table]:
        """Batches with exactly these columns, in the order of the schema; None: all of them.

        Raises UserError for a name that is no column.
        """
        known = [column.name for column in self.columns]
        wanted = frozenset(known) if names is None else names
        for name in sorted(wanted - set(known)):
            raise UserError(f"table {self.name} has no column {name!r}; {nearest(name, known)}")
        schema = pa.schema([field for field in self.schema if field.name in wanted])
        for batch in self.read(wanted):
            yield batch.select(schema.names).cast(schema)


def columns_of(schema: pa.Schema, about: dict[str, str]) -> tuple[Column, ...]:
    """Columns with the types of a schema, for the names that `about` tells of."""
    return tuple(Column(name, schema.field(name).type, words) for name, words in about.items())
