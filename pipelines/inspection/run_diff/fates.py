"""What a run made of every document that it knows by id, a range of ids at a time.

Ids are hashes, so equal ranges hold about equally many documents, and a range bounds the memory. Documents
with one id, which are equal, are told apart by a number, kept ones first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.given import DRAWN, ENCODED, SHARDS
from corpusmill.pipelines.inspection.query import lazy
from corpusmill.pipelines.inspection.run_diff.difference import Fate, State
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.tables.documents import documents_table
from corpusmill.pipelines.inspection.tables.lists import removed_table
from corpusmill.pipelines.inspection.tables.tokens import tokens_table

if TYPE_CHECKING:
    import polars as pl

KEPT = ""
ID = ["high", "low"]
_HALF = 16  # digits of half an id
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
    """`high` and `low` of the id, `number`, `source`, `bytes`, `fate` (`KEPT`, or see `fate_of`), and of kept
    documents `tokens` (null where the run has not encoded), `unit` and `row`; in no order."""
    import polars as pl

    here = (pl.col("id") >= within[0]) & (pl.col("id") < within[1])
    source = pl.col("source").cast(pl.Categorical)
    place = pl.col("unit", "row").cast(pl.UInt32)
    kept = (
        lazy(documents_table(record))
        .filter(here)
        .select(*_numbers(), source, "bytes", place, pl.lit(KEPT, pl.Categorical).alias("fate"))
        .collect()
    )
    told = ["step", "stage", "kind", "reason"]
    # What these lose is a document of the run all the same.
    later = [step.name for what in (ENCODED, DRAWN, SHARDS) for step in record.giving(what)]
    removed = (
        lazy(removed_table(record))
        .filter(here & pl.col("source").is_in(list(record.recipe["sources"])) & ~pl.col("step").is_in(later))
        .select(*_numbers(), source, "bytes", pl.concat_str(told, separator=_BETWEEN).alias("fate"))
        .with_columns(pl.col("fate").cast(pl.Categorical))
        .collect()
    )
    both = pl.concat([_with_tokens(record, kept, here), removed], how="diagonal")
    number = pl.lit(0, pl.UInt32)
    if both.select(ID).n_unique() < both.height:
        number = pl.int_range(pl.len(), dtype=pl.UInt32).over(ID)
    return both.with_columns(number.alias("number"))


def _numbers() -> list[pl.Expr]:
    """The halves of an id as numbers: a third of the memory that its digits take."""
    import polars as pl

    half = pl.col("id").str
    return [
        half.head(_HALF).str.to_integer(base=16, dtype=pl.UInt64).alias("high"),
        half.tail(_HALF).str.to_integer(base=16, dtype=pl.UInt64).alias("low"),
    ]


def id_of(high: int, low: int) -> str:
    """The id of two halves."""
    return f"{high:0{_HALF}x}{low:0{_HALF}x}"


def _with_tokens(record: RunRecord, kept: pl.DataFrame, here: pl.Expr) -> pl.DataFrame:
    import polars as pl

    table = tokens_table(record)
    if table is None:
        return kept.with_columns(pl.lit(None, pl.Int64).alias("tokens"))
    tokens = lazy(table).filter(here).select(*_numbers(), "tokens").collect().unique(ID)
    return kept.join(tokens, on=ID, how="left")


def fate_of(told: str | None) -> Fate:
    """The fate that a value of the column `fate` tells; None: not read."""
    if told is None:
        return Fate("not_read")
    if told == KEPT:
        return Fate("kept")
    step, stage, kind, reason = told.split(_BETWEEN)
    state: State = "quarantined" if kind == "quarantined" else "removed"
    return Fate(state, step, stage, reason)
