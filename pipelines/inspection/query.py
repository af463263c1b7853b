"""SQL over the tables of a run, by polars: read-only, and of nothing but the run.

Columns that a query does not use are not read, a condition on rows is applied batch by batch, and a limit
without a condition stops reading. polars' SQL has functions that read files by name (`read_csv` and others):
a query that may call one is refused before polars sees it, as is every statement that is no SELECT. Where
literals end is for polars to say, and comments can hide it (nested ones, and `/*! ... */`, whose content it
runs): a query that names such a function in a literal is taken only if it has nothing of that kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.live_reads import EVERYWHERE, LiveReads
from corpusmill.pipelines.inspection.tables.table import Table

if TYPE_CHECKING:
    import polars as pl

_QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`"
_LITERALS = re.compile(_QUOTED)
_NO_WORDS = re.compile(_QUOTED + r"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_UNCERTAIN = re.compile(r"--|/\*|\$|[\w&]''")  # comments, dollar quotes, letters before a quote: E'\''
# A name is a call if a parenthesis follows, or a comment, which may end before one.
_READS_FILES = re.compile(r"\b((?:read|scan)_\w+)[\"`\]]?\s*(?:\(|--|/\*|\*/)", re.IGNORECASE)
_PLAN = re.compile(
    r"\n\n(?:Resolved plan until failure|This error occurred in)"
)  # of no use to a reader of SQL
_SELECTS = re.compile(r"\(*\s*(?:select|with|from)\b", re.IGNORECASE)


def query(
    tables: Mapping[str, Table], sql: str, most: int | None = None, absent: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """The answer to a SELECT, or its first `most` rows. Raises UserError for anything else, and for what
    polars refuses, with its words, the tables there are, and why one that is named is `absent`."""
    import polars as pl

    _allow(sql)
    reads = LiveReads()
    with pl.SQLContext({name: lazy(table, reads) for name, table in tables.items()}) as context:
        try:
            answer = context.execute(sql)
            return (answer if most is None else answer.head(most)).collect()
        except pl.exceptions.PolarsError as error:
            words = " ".join(_PLAN.split(str(error))[0].split())
            named = {name: why for name, why in (absent or {}).items() if re.search(rf"\b{name}\b", words)}
            lacking = "".join(f"; the run has no table {name}: {why}" for name, why in named.items())
            raise UserError(
                f"the query is refused: {words}{lacking}; tables: {', '.join(tables)} "
                "(`corpusmill query RUN --tables` shows their columns)"
            ) from error
        finally:
            reads.end()


def lazy(table: Table, reads: LiveReads = EVERYWHERE) -> pl.LazyFrame:
    """A table as a polars LazyFrame, of which only the columns that are used are read. `reads`: who ends what
    is still read when there is an answer."""
    import polars as pl
    from polars.io.plugins import register_io_source

    empty = pl.from_arrow(table.schema.empty_table())
    assert isinstance(empty, pl.DataFrame)

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        return reads.read(batches(columns, predicate, rows, size))

    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        asked = [column.name for column in table.columns] if columns is None else columns
        wanted = set(asked) if predicate is None else set(asked) | set(predicate.meta.root_names())
        left = rows
        # A query that only counts rows asks for no column.
        for batch in table.batches(frozenset(wanted or {table.columns[0].name})):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            if left is not None:  # polars counts the rows before the condition
                frame = frame.head(left)
                left -= frame.height
            if predicate is not None:
                frame = frame.filter(predicate)
            yield frame.select(asked) if columns is None or columns else frame
            if left == 0:
                return

    return register_io_source(read, schema=empty.schema)


def _allow(sql: str) -> None:
    bare = _NO_WORDS.sub(lambda found: "''" if found[0][0] in "'\"`" else " ", sql).strip()
    if not _SELECTS.match(bare):
        raise UserError("a query only reads: begin it with SELECT or WITH")
    if ";" in bare.rstrip("; \n"):
        raise UserError("give one query at a time; only its end may have a semicolon")
    if (found := _READS_FILES.search(sql)) is None:
        return
    outside = _LITERALS.sub(lambda quoted: "''" if quoted[0][0] == "'" else quoted[0], sql)
    if _UNCERTAIN.search(outside) is not None or _READS_FILES.search(outside) is not None:
        raise UserError(
            f"{found[1]} reads a file; a query asks the tables of the run alone (such a name may stand in a "
            "literal of a query without comments, `$`, and letters before a quote)"
        )
