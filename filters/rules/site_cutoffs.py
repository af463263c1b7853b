"""Which documents of a site are kept: those before a cutoff, in an order by score and draw.

Order: the higher score first, then the smaller draw of the id; without a score (null, or no column) after all
others. Documents of one score and draw, which are those of one id, are a group: all of it is kept or none. A
site keeps groups from the first on as long as their documents and bytes stay within the cap, and none after
the first that does not fit. So whatever is behind that group in a part of the corpus is behind it in the
whole, and may be left out of partial results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc

from corpusmill.filters.rules.sites import COUNTED
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.contract.rules import floats

COUNTS_FILE, CUTOFFS_FILE = "sites.arrow", "cutoffs.arrow"
PURPOSE = "documents of a site"
RANKED = pa.schema(
    [
        pa.field("place", pa.uint32(), nullable=False),  # of the site among those beyond the cap
        pa.field("score", pa.float64(), nullable=False),
        pa.field("draw", pa.uint64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
CUTOFFS = pa.schema(
    [
        *COUNTED,
        pa.field("score", pa.float64()),
        pa.field("draw", pa.uint64()),
        pa.field("kept_documents", pa.int64(), nullable=False),
        pa.field("kept_bytes", pa.int64(), nullable=False),
    ]
)
Floats = npt.NDArray[np.float64]
Draws = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cap:
    """Most documents and bytes of a site; None is any number."""

    documents: int | None
    bytes: int | None

    def exceeded(self, documents: Integers, size: Integers) -> npt.NDArray[np.bool_]:
        """bool[n]: which counts are beyond it."""
        found = np.zeros(len(documents), np.bool_)
        if self.documents is not None:
            found |= documents > self.documents
        if self.bytes is not None:
            found |= size > self.bytes
        return found


def scores_of(docs: Documents, column: str | None) -> Floats:
    """float64[n] by which documents are preferred; -inf for one without such a score."""
    if column is None:
        return np.zeros(len(docs))
    if column not in docs.table.column_names:
        return np.full(len(docs), -np.inf)
    found = floats(docs.column(column))
    return np.where(np.isnan(found), -np.inf, found)


def draws_of(docs: Documents, seed: int) -> Draws:
    """uint64[n]"""
    return draws(docs.column("id").cast(pa.string()), seed, PURPOSE)


@dataclass(frozen=True)
class _Groups:
    """Rows in order, and of each: documents and bytes of its site before its group, and up to its end."""

    rows: pa.Table
    before: tuple[Integers, Integers]
    until: tuple[Integers, Integers]


def _grouped(parts: Sequence[pa.Table]) -> _Groups:
    rows = pa.concat_tables([RANKED.empty_table(), *parts]).sort_by(
        [("place", "ascending"), ("score", "descending"), ("draw", "ascending"), ("bytes", "ascending")]
    )
    n = rows.num_rows
    sites, scores, drawn = (rows.column(name).to_numpy() for name in ("place", "score", "draw"))
    new_site = np.ones(n, np.bool_)
    new_site[1:] = sites[1:] != sites[:-1]
    new_group = new_site.copy()
    new_group[1:] |= (scores[1:] != scores[:-1]) | (drawn[1:] != drawn[:-1])
    site_begin = np.maximum.accumulate(np.where(new_site, np.arange(n), 0)) if n else np.zeros(0, np.int64)
    starts = np.flatnonzero(new_group)
    of_group = np.cumsum(new_group) - 1
    group_begin, group_end = starts[of_group], np.append(starts[1:], n)[of_group]
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(rows.column("bytes").to_numpy())])
    return _Groups(
        rows,
        (group_begin - site_begin, sums[group_begin] - sums[site_begin]),
        (group_end - site_begin, sums[group_end] - sums[site_begin]),
    )


def first_ranked(parts: Sequence[pa.Table], cap: Cap) -> pa.Table:
    """The rows of `RANKED` up to the first group of each site that does not fit, that group included."""
    found = _grouped(parts)
    return found.rows.filter(pa.array(~cap.exceeded(*found.before))).combine_chunks()


def cutoffs_of(ranked: pa.Table, beyond: pa.Table, cap: Cap) -> pa.Table:
    """`CUTOFFS`, a row for each site of `beyond` (`COUNTED`, those beyond the cap, in the order of their
    places): the last document that is kept, null where none is."""
    found = _grouped([ranked])
    fits = np.flatnonzero(~cap.exceeded(*found.until))
    places = found.rows.column("place").to_numpy()[fits]
    sites = np.arange(beyond.num_rows)
    ends = np.searchsorted(places, sites, "right")
    kept = ends - np.searchsorted(places, sites, "left")
    rows = np.append(fits, 0)[np.maximum(ends, 1) - 1]  # of each site its last that fits
    last = pa.array(rows, mask=kept == 0)
    sizes = np.zeros(beyond.num_rows, np.int64)
    np.add.at(sizes, places, found.rows.column("bytes").to_numpy()[fits])
    columns = [found.rows.column(name).take(last) for name in ("score", "draw")]
    return pa.table([*beyond.columns, *columns, kept, sizes], schema=CUTOFFS)


def over(cutoffs: pa.Table, sites: pa.Array, scores: Floats, drawn: Draws) -> npt.NDArray[np.bool_]:
    """bool[n]: documents behind the cutoff of their site."""
    at = pc.index_in(sites, cutoffs.column("site").combine_chunks())
    capped = np.asarray(at.is_valid().to_numpy(zero_copy_only=False))
    found = np.zeros(len(sites), np.bool_)
    if not capped.any():
        return found
    places = at.filter(pa.array(capped)).to_numpy()
    none = np.asarray(cutoffs.column("draw").is_null().to_numpy())[places]
    last_score = np.asarray(cutoffs.column("score").to_numpy(zero_copy_only=False), np.float64)[places]
    last_draw = np.asarray(pc.fill_null(cutoffs.column("draw"), 0).to_numpy(), np.uint64)[places]
    mine, own = scores[capped], drawn[capped]
    found[capped] = none | (mine < last_score) | ((mine == last_score) & (own > last_draw))
    return found


def write_sites(counts: pa.Table, folder: Path) -> None:
    """Write sites.arrow."""
    _write(counts, folder / COUNTS_FILE)


def write_cutoffs(cutoffs: pa.Table, folder: Path) -> None:
    """Write cutoffs.arrow."""
    _write(cutoffs, folder / CUTOFFS_FILE)


def _write(table: pa.Table, path: Path) -> None:
    with ipc.new_file(str(path), table.schema) as file:
        file.write_table(table)


def read_table(path: Path) -> pa.Table:
    """The table of sites.arrow or cutoffs.arrow."""
    with pa.memory_map(str(path)) as source:
        return ipc.open_file(source).read_all()
