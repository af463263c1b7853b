"""The end of a round: which sites join, what was found by that, and examples of the next round."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.filters.rules.examples import write_table
from corpusmill.filters.rules.recall_counts import HIT, NEAR, OTHER, counts_of, drawn_from, sample_of
from corpusmill.filters.rules.recall_rounds import NEGATIVES, POSITIVES, JoinedSite, RoundFigures
from corpusmill.filters.rules.recall_training import Trained


def round_of(
    partial: pa.Table, number: int, trained: Trained, share: float, hits: int
) -> tuple[RoundFigures, tuple[JoinedSite, ...]]:
    """The figures of a round, and the sites that join: those of at least so many `hits` that are at least a
    `share` of their pages, by name."""
    counts = counts_of(partial)
    many = counts.filter(pc.greater_equal(counts.column("hits"), hits))
    rows = [
        row
        for row in many.to_pylist()
        if row["host"] is not None and row["hits"] >= Fraction(share) * row["pages"]
    ]
    joined = tuple(
        JoinedSite(row["host"], row["pages"], row["hits"], row["near"])
        for row in sorted(rows, key=lambda row: str(row["host"]))
    )
    near, near_before = (sum(row[name] for row in rows) for name in ("near", "near_before"))
    found = _sum(counts, "hits") + near
    new = found - _sum(counts, "hits_before") - near_before
    figures = RoundFigures(
        round=number,
        positives=trained.positives,
        negatives=trained.negatives,
        precision=trained.precision,
        recall=trained.recall,
        seed_recall=trained.seed_recall,
        digest=trained.digest,
        pages=_sum(counts, "pages"),
        sites=pc.sum(pc.is_valid(counts.column("host"))).as_py() or 0,
        hits=_sum(counts, "hits"),
        joined=len(joined),
        in_sites=near,
        found=found,
        new=new,
        gain=round(new / found, 6) if found else 0.0,
    )
    return figures, joined


def _sum(counts: pa.Table, name: str) -> int:
    return pc.sum(counts.column(name)).as_py() or 0


def examples_of_next(partial: pa.Table, joined: Sequence[JoinedSite], most: int, folder: Path) -> None:
    """Write positives.arrow, of pages found, and negatives.arrow, of all others."""
    hits, near, others = (sample_of(partial, stratum) for stratum in (HIT, NEAR, OTHER))
    inside = pc.is_in(near.column("host"), pa.array([one.site for one in joined], pa.string()))
    write_table(drawn_from(hits, near, inside, most), folder / POSITIVES)
    write_table(drawn_from(others, near, pc.invert(inside), most), folder / NEGATIVES)
