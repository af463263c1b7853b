"""On how many pages of a site a piece stands, and on what share of them, without all of a site in one place.

Rows of the exchange are of four kinds, told by `kind`:

- `PIECE`: a piece at an edge of a page; keyed by piece and site, `other` and `other_check` are the site.
- `PAGES`: pages of a site, `count` of them; keyed by site.
- `REPEATED`: a piece that stands on `count` pages; keyed by site, `other` and `other_check` are the piece.
- `VERDICT`: a piece that stands on enough of the site's pages; keyed by piece and site.

The key of a row is the lower half of a hash and `check` the upper, so rows of two kinds or texts that share a
key stay apart. All have the address of a document: of the piece's own, else of the first one counted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.matching.repeats import group_starts

PIECE, PAGES, REPEATED, VERDICT = range(4)
ROW = pa.schema(
    {
        "key": pa.uint64(),
        "unit": pa.uint32(),
        "row": pa.uint32(),
        "check": pa.uint64(),
        "start": pa.uint64(),
        "end": pa.uint64(),
        "kind": pa.uint8(),
        "other": pa.uint64(),
        "other_check": pa.uint64(),
        "count": pa.uint64(),
    }
)
Index = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


def _rows(columns: dict[str, object], kind: int, size: int) -> pa.Table:
    """A table of `ROW` of these columns, the others 0."""
    filled = {**columns, "kind": np.full(size, kind, np.uint8)}
    zeros = np.zeros(size, np.uint64)
    return pa.table({name: filled.get(name, zeros) for name in ROW.names}).cast(ROW)


def with_sites(pieces: pa.Table, site: Hashes, site_check: Hashes) -> pa.Table:
    """`PIECE` rows."""
    columns = {name: pieces.column(name) for name in pieces.column_names}
    return _rows({**columns, "other": site, "other_check": site_check}, PIECE, len(pieces))


def pages(site: Hashes, check: Hashes, unit: int, rows: npt.NDArray[np.uint32]) -> pa.Table:
    """`PAGES` rows of the documents at `rows`, uint32[n], whose sites these are."""
    by = np.lexsort((rows, check, site))
    ordered = pa.table({"key": site[by], "check": check[by], "row": rows[by].astype(np.uint32)})
    begins = np.flatnonzero(group_starts(ordered))
    first = ordered.take(pa.array(begins))
    columns = {name: first.column(name) for name in ("key", "check", "row")}
    units = np.full(len(begins), unit, np.uint32)
    count = np.diff(np.append(begins, len(by))).astype(np.uint64)
    return _rows({**columns, "unit": units, "count": count}, PAGES, len(begins))


def _by_group(rows: pa.Table) -> pa.Table:
    return rows.sort_by([(name, "ascending") for name in ("key", "check", "unit", "row", "start")])


def _pages_of_groups(rows: pa.Table) -> tuple[Index, Index]:
    """Of pieces as `_by_group` sorts them: where each group begins, and the pages that it stands on."""
    new = group_starts(rows)
    unit, row = rows.column("unit").to_numpy(), rows.column("row").to_numpy()
    page = new.copy()
    page[1:] |= (unit[1:] != unit[:-1]) | (row[1:] != row[:-1])
    begins = np.flatnonzero(new)
    return begins, np.add.reduceat(page, begins, dtype=np.int64) if len(begins) else begins


def on_pages(rows: pa.Table, min_pages: int) -> pa.Table:
    """Of rows of pieces, those of pieces that stand on so many pages."""
    ordered = _by_group(rows)
    begins, count = _pages_of_groups(ordered)
    sizes = np.diff(np.append(begins, len(ordered)))
    return ordered.filter(pa.array(np.repeat(count >= min_pages, sizes)))


def _of_kind(rows: pa.Table, kind: int) -> pa.Table:
    return rows.filter(pa.array(rows.column("kind").to_numpy() == kind))


def counted(rows: pa.Table, min_pages: int) -> pa.Table:
    """`PIECE` and `PAGES` rows to those that go on: pieces on enough pages, and `REPEATED` rows of them."""
    pieces = on_pages(_of_kind(rows, PIECE), min_pages)
    begins, count = _pages_of_groups(pieces)
    first = pieces.take(pa.array(begins))
    columns = {name: first.column(name) for name in ("unit", "row")}
    columns |= {"key": first.column("other"), "check": first.column("other_check")}
    columns |= {"other": first.column("key"), "other_check": first.column("check")}
    repeated = _rows({**columns, "count": count.astype(np.uint64)}, REPEATED, len(begins))
    return pa.concat_tables([pieces, repeated, _of_kind(rows, PAGES)])


def judged(rows: pa.Table, min_share: float) -> pa.Table:
    """`PIECE`, `REPEATED` and `PAGES` rows to pieces, and verdicts on those on enough pages of their site."""
    sums: dict[tuple[int, int], int] = {}
    site_pages = _of_kind(rows, PAGES)
    columns = (site_pages.column(name).to_pylist() for name in ("key", "check", "count"))
    for key, check, count in zip(*columns, strict=True):
        sums[key, check] = sums.get((key, check), 0) + count
    repeated = _of_kind(rows, REPEATED)
    columns = (repeated.column(name).to_pylist() for name in ("key", "check"))
    of_site = np.array([sums.get(site, 0) for site in zip(*columns, strict=True)], np.float64)
    enough = repeated.filter(pa.array(repeated.column("count").to_numpy() >= min_share * of_site))
    named = {name: enough.column(name) for name in ("unit", "row")}
    named |= {"key": enough.column("other"), "check": enough.column("other_check")}
    return pa.concat_tables([_of_kind(rows, PIECE), _rows(named, VERDICT, len(enough))])


def with_verdict(rows: pa.Table) -> pa.Table:
    """`PIECE` and `VERDICT` rows to the pieces with a verdict, sorted by (key, unit, row)."""
    ordered = rows.sort_by([(name, "ascending") for name in ("key", "check", "unit", "row", "start")])
    begins = np.flatnonzero(group_starts(ordered))
    verdict = ordered.column("kind").to_numpy() == VERDICT
    has = np.logical_or.reduceat(verdict, begins) if len(begins) else verdict
    sizes = np.diff(np.append(begins, len(ordered)))
    return ordered.filter(pa.array(np.repeat(has, sizes) & ~verdict))
