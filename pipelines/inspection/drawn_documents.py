"""What shards hold of each language, licence and domain, and how long documents are in tokens.

Documents are matched by id and source. Memory: about 300 bytes a document, and a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.query import lazy
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.tables.documents import documents_table
from corpusmill.pipelines.inspection.tables.tokens import pieces_table, tokens_table

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("lang", "license", "domain")
QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
UNKNOWN, OTHERS = "(unknown)", "(others)"
ALL = "(all)"
_KEY = ["id", "source"]


@dataclass(frozen=True)
class ValueLine:
    """A value of a column, `(unknown)` of documents without one, or `(others)`, so many `values` together.

    `available_*`: before the mixture, without what is held out; `documents`, `bytes` and `tokens`: drawn,
    with copies, bytes in proportion to tokens; `share` is of all tokens drawn, `available_share` of all there
    are, `epochs` = tokens / available tokens; None of nothing."""

    value: str
    values: int
    available_documents: int
    available_tokens: int
    available_share: float | None
    documents: int
    bytes: int
    tokens: int
    unique_tokens: int
    share: float | None
    epochs: float | None


@dataclass(frozen=True)
class DocumentLengths:
    """Tokens of the documents of a source, `(all)` of all: before the mixture (`available`), or of the copies
    that shards hold (`drawn`), as far as they are drawn. `quantiles`: by rank, such as 0.5."""

    source: str
    of: str
    documents: int
    mean: float
    least: int
    most: int
    quantiles: Mapping[str, int]


def drawn_values(
    record: RunRecord, top: int
) -> tuple[dict[str, tuple[ValueLine, ...]], tuple[DocumentLengths, ...]]:
    """By column the lines of its values, most tokens first, and the lengths of documents by source.

    Raises UserError where the run has no shards that hold, NotKeptError where documents were not kept.
    """
    import polars as pl

    encoded, pieces = tokens_table(record), pieces_table(record)
    if encoded is None or pieces is None:
        what = "encoded documents" if encoded is None else "shards"
        raise UserError(
            f"languages, licences, domains and lengths: the run has no {what} of its present recipe; "
            "run it to the end"
        )
    there = (
        lazy(encoded)
        .filter(~pl.col("held_out"))
        .select("id", "source", "lang", "domain", "bytes", "tokens")
        .collect()
    )
    copies = (
        lazy(pieces)
        .filter(pl.col("split") == "train")
        .group_by("id", "source", "epoch")
        .agg(pl.col("tokens").sum(), (pl.col("offset") == 0).sum().alias("copies"))
        .collect()
    )
    licences = lazy(documents_table(record)).select("id", "source", "license").unique(_KEY).collect()
    told = _by_values(there, copies, licences)
    return {column: _lines(told, column, top) for column in COLUMNS}, (
        *_lengths(there, "available"),
        *_lengths(copies, "drawn"),
    )


def _by_values(there: pl.DataFrame, copies: pl.DataFrame, licences: pl.DataFrame) -> pl.DataFrame:
    """Sums of documents that are alike in all columns."""
    import polars as pl

    alike = there.group_by(_KEY).agg(
        pl.col("lang", "domain").first(),
        pl.col("bytes", "tokens").sum(),
        pl.len().cast(pl.Int64).alias("available_documents"),
    )
    drawn = copies.group_by(_KEY).agg(
        pl.col("copies").sum().cast(pl.Int64).alias("documents"),
        pl.col("tokens").sum().alias("drawn"),
        pl.col("tokens").filter(pl.col("epoch") == 0).sum().alias("unique_tokens"),
    )
    whole = alike.join(drawn, on=_KEY, how="left").join(licences, on=_KEY, how="left")
    size = pl.col("bytes") * pl.col("drawn") // pl.max_horizontal("tokens", pl.lit(1))
    return (
        whole.with_columns(pl.col("documents", "drawn", "unique_tokens").fill_null(0))
        .with_columns(size.alias("drawn_bytes"))
        .group_by(COLUMNS)
        .agg(
            pl.col("available_documents").sum(),
            pl.col("tokens").sum().alias("available_tokens"),
            pl.col("documents").sum(),
            pl.col("drawn_bytes").sum().alias("bytes"),
            pl.col("drawn").sum().alias("tokens"),
            pl.col("unique_tokens").sum(),
        )
    )


def _lines(told: pl.DataFrame, column: str, top: int) -> tuple[ValueLine, ...]:
    import polars as pl

    sums = (
        told.with_columns(pl.col(column).fill_null(UNKNOWN).alias("value"))
        .group_by("value")
        .agg(pl.exclude(*COLUMNS).sum())
        .sort(["tokens", "available_tokens", "value"], descending=[True, True, False])
    )
    available, tokens = int(sums["available_tokens"].sum()), int(sums["tokens"].sum())
    rest = sums.tail(-top).select(pl.lit(OTHERS).alias("value"), pl.exclude("value").sum())
    rows = [{**row, "values": 1} for row in sums.head(top).iter_rows(named=True)]
    if sums.height > top:
        rows.append({**rest.row(0, named=True), "values": sums.height - top})
    return tuple(
        ValueLine(
            **row,
            available_share=row["available_tokens"] / available if available else None,
            share=row["tokens"] / tokens if tokens else None,
            epochs=row["tokens"] / row["available_tokens"] if row["available_tokens"] else None,
        )
        for row in rows
    )


def _lengths(frame: pl.DataFrame, of: str) -> list[DocumentLengths]:
    import polars as pl

    length = pl.col("tokens")
    told = [
        pl.len().alias("documents"),
        length.mean().alias("mean"),
        length.min().alias("least"),
        length.max().alias("most"),
        *(length.quantile(rank, "nearest").cast(pl.Int64).alias(str(rank)) for rank in QUANTILES),
    ]
    by_source = frame.group_by("source").agg(told).sort("source")
    whole = frame.select(pl.lit(ALL).alias("source"), *told)
    rows = [*by_source.iter_rows(named=True), *(whole.iter_rows(named=True) if frame.height else ())]
    return [
        DocumentLengths(
            **{name: row[name] for name in ("source", "documents", "mean", "least", "most")},
            of=of,
            quantiles={str(rank): row[str(rank)] for rank in QUANTILES},
        )
        for row in rows
    ]
