"""Fates of two runs joined by id: sums by source and change, and the first documents of every change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.errors import NotKeptError
from corpusmill.pipelines.inspection.kept_text import kept_document
from corpusmill.pipelines.inspection.run_diff.difference import (
    Amount,
    ChangedDocument,
    Direction,
    FateChange,
    SourceChange,
)
from corpusmill.pipelines.inspection.run_diff.fates import (
    ID,
    KEPT,
    Range,
    fate_of,
    fates,
    id_of,
    known,
    ranges,
)
from corpusmill.pipelines.inspection.run_record import RunRecord

if TYPE_CHECKING:
    import polars as pl

SHOWN = 400  # characters of a text
AT_ONCE = 2_000_000  # documents of a range of ids, of the larger run
_CHANGE = ["source", "fate", "fate_after"]
_SUMS = ["documents", "bytes", "tokens", "bytes_after", "tokens_after", "edited", "counted", "counted_after"]


@dataclass
class Changes:
    """The changes from one run to another, range by range. `most`: examples in each direction."""

    before: RunRecord
    after: RunRecord
    most: int
    sums: list[pl.DataFrame] = field(default_factory=list)
    firsts: list[pl.DataFrame] = field(default_factory=list)

    def read(self, at_once: int = AT_ONCE) -> None:
        """Read both runs."""
        documents = max(known(self.before), known(self.after))
        for within in ranges(documents, at_once):
            self._read(within)

    def _read(self, within: Range) -> None:
        import polars as pl

        joined = fates(self.before, within).join(
            fates(self.after, within), on=[*ID, "number"], how="full", coalesce=True, suffix="_after"
        )
        joined = joined.with_columns(pl.coalesce("source_after", "source").alias("source"))
        kept = (pl.col("fate") == KEPT).fill_null(False), (pl.col("fate_after") == KEPT).fill_null(False)
        self.sums.append(
            joined.group_by(_CHANGE).agg(
                pl.len().cast(pl.Int64).alias("documents"),
                pl.col("bytes", "bytes_after", "tokens", "tokens_after").sum(),
                (kept[0] & kept[1] & (pl.col("bytes") != pl.col("bytes_after"))).sum().alias("edited"),
                pl.col("tokens").count().alias("counted"),
                pl.col("tokens_after").count().alias("counted_after"),
            )
        )
        if self.most:
            self.firsts.append(_first(joined.filter(kept[0] != kept[1]), self.most))

    def summed(self) -> pl.DataFrame:
        """Sums of all ranges, a row for each source and pair of fates."""
        import polars as pl

        return pl.concat(self.sums).group_by(_CHANGE).agg(pl.col(_SUMS).sum())

    def examples(self, summed: pl.DataFrame) -> tuple[ChangedDocument, ...]:
        """Of every change the first documents by id, changes of most documents first, in each direction."""
        import polars as pl

        if not self.firsts:
            return ()
        found = _first(pl.concat(self.firsts), self.most)
        found = found.join(
            summed.select(*_CHANGE, "documents"), on=_CHANGE, how="left", nulls_equal=True
        ).sort(["documents", "fate", "fate_after", *ID], descending=[True, False, False, False, False])
        turn = pl.int_range(pl.len()).over(_CHANGE)
        found = found.with_columns(turn.alias("turn")).sort("turn", maintain_order=True)
        made = []
        for direction in ("came", "went"):
            mine = found.filter((pl.col("fate_after") == KEPT).fill_null(False) == (direction == "came"))
            made += [self._example(row) for row in mine.head(self.most).iter_rows(named=True)]
        return tuple(made)

    def _example(self, row: dict[str, Any]) -> ChangedDocument:
        identity = id_of(row["high"], row["low"])
        came = row["fate_after"] == KEPT
        record, ending = (self.after, "_after") if came else (self.before, "")
        place = text = why_not = None
        try:
            found = kept_document(record, record.view(), row[f"unit{ending}"], row[f"row{ending}"], identity)
            place, text = found["url"] or found["path"], (found["text"] or "")[:SHOWN]
        except NotKeptError as error:
            why_not = str(error)
        return ChangedDocument(
            direction="came" if came else "went",
            source=row["source"],
            id=identity,
            bytes=row[f"bytes{ending}"],
            before=fate_of(row["fate"]),
            after=fate_of(row["fate_after"]),
            place=place,
            text=text,
            why_not=why_not,
        )


def _first(changed: pl.DataFrame, most: int) -> pl.DataFrame:
    return changed.sort(*ID, "number").group_by(_CHANGE, maintain_order=True).head(most)


def fate_changes(summed: pl.DataFrame) -> tuple[FateChange, ...]:
    """Changes of fates, those of most documents first."""
    found = []
    for row in summed.iter_rows(named=True):
        before, after = row["fate"], row["fate_after"]
        if before == after:
            continue
        direction: Direction = "came" if after == KEPT else "went" if before == KEPT else "otherwise"
        ending = "_after" if after == KEPT or before is None else ""
        amount = _amount([row], ending)
        found.append(
            FateChange(**vars(amount), direction=direction, source=row["source"], before=fate_of(before),
                       after=fate_of(after))
        )  # fmt: skip
    return tuple(
        sorted(found, key=lambda one: (-one.documents, one.source, one.before.words, one.after.words))
    )


def source_changes(summed: pl.DataFrame) -> tuple[SourceChange, ...]:
    """What is kept of each source before and after."""
    rows = list(summed.iter_rows(named=True))
    found = []
    for source in sorted({row["source"] for row in rows}):
        mine = [row for row in rows if row["source"] == source]
        before = [row for row in mine if row["fate"] == KEPT]
        after = [row for row in mine if row["fate_after"] == KEPT]
        found.append(
            SourceChange(
                source=source,
                before=_amount(before, ""),
                after=_amount(after, "_after"),
                came=_amount([row for row in after if row["fate"] != KEPT], "_after"),
                went=_amount([row for row in before if row["fate_after"] != KEPT], ""),
                edited=sum(row["edited"] for row in mine),
            )
        )
    return tuple(found)


def _amount(rows: list[dict[str, Any]], ending: str) -> Amount:
    """Sums of one side; tokens are None unless every document has them."""
    documents = sum(row["documents"] for row in rows)
    counted = sum(row[f"counted{ending}"] for row in rows)
    return Amount(
        documents=documents,
        bytes=sum(row[f"bytes{ending}"] for row in rows),
        tokens=sum(row[f"tokens{ending}"] for row in rows) if counted == documents else None,
    )


def read_by(summed: pl.DataFrame, fate: str) -> int:
    """Documents that a run knows by id; `fate`: its column."""
    return int(summed.filter(summed[fate].is_not_null())["documents"].sum())


def kept_by_both(summed: pl.DataFrame) -> int:
    """Documents that both runs keep."""
    both = (summed["fate"] == KEPT).fill_null(False) & (summed["fate_after"] == KEPT).fill_null(False)
    return int(summed.filter(both)["documents"].sum())
