"""What a run made of every document that it knows by id, a range of ids at a time.

Ids are hashes, so equal ranges hold about equally many documents, and a range bounds the memory: about 150
bytes a document. Documents with one id, which are equal, are told apart by a number, kept ones first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from corpusmill.pipelines.inspection.query import lazy
from corpusmill.pipelines.inspection.run_diff.difference import Fate, State
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.tables.documents import documents_table
from corpusmill.pipelines.inspection.tables.lists import removed_table
from corpusmill.pipelines.inspection.tables.tokens import tokens_table

if TYPE_CHECKING:
    import polars as pl

KEPT = ""
_BETWEEN = "\x1f"
_DIGITS = 8  # of an id that bounds of ranges have
Range = tuple[str, str]


def ranges(documents: int, most: int) -> Iterator[Range]:
    """Ranges of ids (from, before) that hold about `most` of so many documents, or fewer."""
    count = max(1, -(-documents // most))
    ends = [f"{number * 16**_DIGITS // count:0{_DIGITS}x}" for number in range(count)] + ["g"]
    yield from pairwise(ends)


def known(record: RunRecord) -> int:
    """About how many documents the run knows by id."""
    kept = sum(source.last.rows for source in record.sources if source.whole)
    lost = sum(entry.lost[0] for step in record.removing() for entry in step.ledger)
    return kept + lost


def fates(record: RunRecord, within: Range) -> pl.DataFrame:
    """`id`, `number`, `source`, `bytes`, `fate` (`KEPT`, or see `fate_of`), and of those kept `tokens` (null
    where the run has not encoded), `unit` and `row`; in no order."""
    import polars as pl

    here = (pl.col("id") >= within[0]) & (pl.col("id") < within[1])
    kept = lazy(documents_table(record)).select("id", "source", "bytes", "unit", "row").filter(here).collect()
    told = ["step", "stage", "kind", "reason"]
    removed = (
        lazy(removed_table(record))
        .select("id", "source", "bytes", *told)
        .filter(here & pl.col("source").is_in(list(record.recipe["sources"])))
        .select("id", "source", "bytes", pl.concat_str(told, separator=_BETWEEN).alias("fate"))
        .collect()
    )
    kept = _with_tokens(record, kept.with_columns(pl.lit(KEPT).alias("fate")), here)
    both = pl.concat([kept, removed], how="diagonal")
    number = pl.lit(0, pl.UInt32)
    if both["id"].n_unique() < both.height:
        number = pl.int_range(pl.len(), dtype=pl.UInt32).over("id")
    return both.with_columns(number.alias("number"))


def _with_tokens(record: RunRecord, kept: pl.DataFrame, here: pl.Expr) -> pl.DataFrame:
    import polars as pl

    table = tokens_table(record)
    if table is None:
        return kept.with_columns(pl.lit(None, pl.Int64).alias("tokens"))
    tokens = lazy(table).select("id", "tokens").filter(here).collect().unique("id")
    return kept.join(tokens, on="id", how="left")


def fate_of(told: str | None) -> Fate:
    """The fate that a value of the column `fate` tells; None: not read."""
    if told is None:
        return Fate("not_read")
    if told == KEPT:
        return Fate("kept")
    step, stage, kind, reason = told.split(_BETWEEN)
    state: State = "quarantined" if kind == "quarantined" else "removed"
    return Fate(state, step, stage, reason)
