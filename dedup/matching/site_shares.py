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


def marked_once(pieces: pa.Table) -> pa.Table:
    """Rows of pieces with a column `once`, true of one of those that a page has several times."""
    names = ("start", "row", "unit", "check", "key")
    columns = [pieces.column(name).to_numpy() for name in names]
    by = np.lexsort(columns)
    new = np.ones(len(by), bool)
    new[1:] = np.logical_or.reduce([values[by][1:] != values[by][:-1] for values in columns[1:]])
    once = np.empty(len(by), bool)
    once[by] = new
    return pieces.append_column("once", pa.array(once))


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


def _of_kind(rows: pa.Table, kind: int) -> pa.Table:
    return rows.filter(pa.array(rows.column("kind").to_numpy() == kind))


def learn_pages(known: pa.Table | None, pieces: pa.Table) -> pa.Table:
    """Of each piece its first row and, in `pages`, how many pages it stands on, of all rows seen; sorted by
    (`key`, `check`). Memory: a row a piece that differs."""
    once = pieces.column("once").to_numpy(zero_copy_only=False)
    new = pieces.append_column("pages", pa.array(once.astype(np.int64)))
    every = new if known is None else pa.concat_tables([known, new])
    ordered = every.sort_by([(name, "ascending") for name in ("key", "check", "unit", "row", "start")])
    begins = np.flatnonzero(group_starts(ordered))
    pages = ordered.column("pages").to_numpy()
    sums = np.add.reduceat(pages, begins) if len(begins) else pages
    found = ordered.take(pa.array(begins))
    return found.set_column(found.column_names.index("pages"), "pages", pa.array(sums)).combine_chunks()


def _group_of(known: pa.Table, rows: pa.Table) -> Index:
    """The place in `known`, which is sorted by both, of the (`key`, `check`) of each row; -1 where it is not
    there."""
    both = [np.concatenate([table.column(name).to_numpy() for table in (known, rows)])
            for name in ("check", "key")]  # fmt: skip
    of_rows = np.arange(len(known) + len(rows)) >= len(known)
    by = np.lexsort((of_rows, *both))
    check, key = both[0][by], both[1][by]
    new = np.append(np.full(min(1, len(by)), True), (key[1:] != key[:-1]) | (check[1:] != check[:-1]))
    first = by[np.maximum.accumulate(np.where(new, np.arange(len(by)), 0))]  # a known one, if there is any
    found = np.empty(len(by), np.int64)
    found[by] = np.where(first < len(known), first, -1)
    return found[len(known) :]


def on_pages(known: pa.Table, pieces: pa.Table, min_pages: int) -> pa.Table:
    """Of some rows of pieces, those of pieces that stand on so many pages of all."""
    pages = known.column("pages").to_numpy()[_group_of(known, pieces)]
    return pieces.filter(pa.array(pages >= min_pages)).drop_columns(["once"])


def learn_counts(known: pa.Table | None, rows: pa.Table) -> pa.Table:
    """`learn_pages` of the pieces among these rows."""
    return learn_pages(known, _of_kind(rows, PIECE))


def counted(known: pa.Table, rows: pa.Table, min_pages: int) -> pa.Table:
    """`PIECE` and `PAGES` rows to those that go on: pieces on enough pages, and `REPEATED` rows of those
    whose first row is among them."""
    pieces = _of_kind(rows, PIECE)
    kept = on_pages(known, pieces, min_pages)
    first = known.take(pa.array(_group_of(known, pieces)))
    mine = np.logical_and.reduce(
        [first.column(name).to_numpy() == pieces.column(name).to_numpy() for name in ("unit", "row", "start")]
    )
    first = first.filter(pa.array(mine & (first.column("pages").to_numpy() >= min_pages)))
    columns = {name: first.column(name) for name in ("unit", "row")}
    columns |= {"key": first.column("other"), "check": first.column("other_check")}
    columns |= {"other": first.column("key"), "other_check": first.column("check")}
    repeated = _rows({**columns, "count": first.column("pages")}, REPEATED, len(first))
    return pa.concat_tables([kept, repeated, _of_kind(rows, PAGES).drop_columns(["once"])])


def learn_sites(known: pa.Table | None, rows: pa.Table) -> pa.Table:
    """The pages of each site so far, in `count`."""
    pages = _of_kind(rows, PAGES)
    every = pages if known is None else pa.concat_tables([known, pages])
    ordered = every.sort_by([(name, "ascending") for name in ("key", "check")])
    begins = np.flatnonzero(group_starts(ordered))
    count = ordered.column("count").to_numpy()
    sums = np.add.reduceat(count, begins) if len(begins) else count
    found = ordered.take(pa.array(begins))
    return found.set_column(found.column_names.index("count"), "count", pa.array(sums)).combine_chunks()


def judged(known: pa.Table, rows: pa.Table, min_share: float) -> pa.Table:
    """`PIECE` and `REPEATED` rows to pieces, and verdicts on those on enough pages of their site."""
    repeated = _of_kind(rows, REPEATED)
    site = _group_of(known, repeated)
    count = np.append(known.column("count").to_numpy(), 0).astype(np.float64)  # -1: of no page
    enough = repeated.filter(pa.array(repeated.column("count").to_numpy() >= min_share * count[site]))
    named = {name: enough.column(name) for name in ("unit", "row")}
    named |= {"key": enough.column("other"), "check": enough.column("other_check")}
    return pa.concat_tables([_of_kind(rows, PIECE), _rows(named, VERDICT, len(enough))])


def learn_verdicts(known: pa.Table | None, rows: pa.Table) -> pa.Table:
    """The `VERDICT` rows so far."""
    verdicts = _of_kind(rows, VERDICT)
    every = verdicts if known is None else pa.concat_tables([known, verdicts])
    return every.sort_by([("key", "ascending"), ("check", "ascending")]).combine_chunks()


def with_verdict(known: pa.Table, rows: pa.Table) -> pa.Table:
    """Of some rows the pieces with a verdict."""
    pieces = _of_kind(rows, PIECE)
    return pieces.filter(pa.array(_group_of(known, pieces) >= 0))
