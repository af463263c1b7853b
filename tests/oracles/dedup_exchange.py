"""A tiny exchange in memory: what a runner does with a `Deduplicate` stage, for any layout of the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.addresses import DUPLICATES, EDITS
from corpusmill.pipelines.contract.documents import SCHEMA, Documents, document_id
from corpusmill.pipelines.contract.stage import Deduplicate, Exchange, Found, WithSides
from corpusmill.pipelines.run.operators.row_order import in_order, sorted_rows
from corpusmill.pipelines.run.operators.sides import keyed_by_address, pieces
from corpusmill.pipelines.run.resolution.at_once import resolve_at_once


def documents(
    texts: Sequence[str],
    sources: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    urls: Sequence[str | None] | None = None,
) -> Documents:
    """Documents of these texts; ids follow from position and text, sources default to `web`."""
    n = len(texts)
    columns = {
        "id": list(ids) if ids else [document_id(str(i), t.encode()) for i, t in enumerate(texts)],
        "text": list(texts),
        "source": list(sources) if sources else ["web"] * n,
        "domain": ["web"] * n,
        "meta": ["{}"] * n,
        "url": list(urls) if urls else [None] * n,
    }
    arrays = [pa.array(columns.get(field.name, [None] * n), field.type) for field in SCHEMA]
    return Documents(pa.table(arrays, schema=SCHEMA))


def played(stage: Exchange, docs: Documents, unit_rows: int, batch_rows: int, partitions: int) -> list[Found]:
    """What the last round finds, partition by partition: units of `unit_rows` documents, emitted `batch_rows`
    at a time, in rounds over so many partitions; those with side tables see a unit at a time, or three rows
    where they may be shown apart."""
    sent: list[pa.Table] = []
    tables: dict[int, list[pa.Table]] = {}
    for unit, start in enumerate(range(0, len(docs), unit_rows)):
        here = docs.slice(start, min(unit_rows, len(docs) - start))
        for first in range(0, len(here), batch_rows):
            batch = here.slice(first, min(batch_rows, len(here) - first))
            emitted = stage.emit(batch, unit, np.arange(first, first + len(batch), dtype=np.uint32))
            sent.append(emitted.rows)
            if emitted.side is not None:
                assert emitted.side.num_rows == len(batch)
                tables.setdefault(unit, []).append(emitted.side)
    sides = {unit: pa.concat_tables(parts) for unit, parts in tables.items()}
    made: list[Any] = []
    for number, this in enumerate(stage.rounds(), 1):
        rows = pa.concat_tables(sent, promote_options="permissive") if sent else None
        made = []
        if rows is not None and rows.num_rows and isinstance(this, WithSides):
            some = 3 if this.at_once else None
            shown = (piece for here, side in _units(rows, sides) for piece in pieces(here, side, some))
            made = [this.work(part, side) for _, part, side in shown]
        elif rows is not None and rows.num_rows:
            assert not isinstance(this, WithSides)
            made = [this(here) for here in _partitions(rows, partitions, number)]
        sent = made
    return made


def pairs_and_removals(
    stage: Deduplicate, docs: Documents, unit_rows: int, batch_rows: int, partitions: int
) -> tuple[pa.Table, pa.Table]:
    """`(found, removed)`, played as above."""
    found = [one.removals for one in played(stage, docs, unit_rows, batch_rows, partitions)]
    table = pa.concat_tables([DUPLICATES.empty_table(), *(one for one in found if one is not None)])
    table = table.combine_chunks()
    resolution = stage.resolution()
    return table, stage.resolve(table) if resolution is None else resolve_at_once(table, resolution)


def removals(
    stage: Deduplicate, docs: Documents, unit_rows: int = 1000, batch_rows: int = 1000, partitions: int = 1
) -> dict[str, tuple[str, float]]:
    """Removed id -> (survivor id, similarity)."""
    _, removed = pairs_and_removals(stage, docs, unit_rows, batch_rows, partitions)
    assert removed.schema.equals(DUPLICATES)
    ids = removed.column("id").to_pylist()
    assert len(set(ids)) == len(ids), "a document is removed once"
    survivors = removed.column("survivor_id").to_pylist()
    return dict(zip(ids, zip(survivors, removed.column("similarity").to_pylist(), strict=True), strict=True))


def edits_of(
    stage: Exchange, docs: Documents, unit_rows: int, batch_rows: int, partitions: int
) -> list[dict[str, Any]]:
    """The edits that any exchange finds, as `EDITS` rows in order: rounds over so many partitions, in units
    of `unit_rows` documents, emitted `batch_rows` at a time."""
    found = played(stage, docs, unit_rows, batch_rows, partitions)
    edits = [one.edits for one in found if one.edits is not None]
    rows = pa.concat_tables([EDITS.empty_table(), *edits], promote_options="permissive").to_pylist()
    return sorted(rows, key=lambda row: tuple(str(value).zfill(12) for value in row.values()))


def _partitions(rows: pa.Table, partitions: int, number: int) -> Iterator[pa.Table]:
    """The rows of each partition that has any, as a round is shown them."""
    key = rows.column("key").to_pylist()
    partition = np.array([(k * partitions) >> 64 for k in key], np.int64)
    for p in range(partitions):
        here = rows.filter(pa.array(partition == p)).combine_chunks()
        if here.num_rows:
            yield sorted_rows(here) if number > 1 else in_order(here)


def _units(rows: pa.Table, sides: dict[int, pa.Table]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Rows of each unit that has any, by document, and the side rows of their documents."""
    by = [(name, "ascending") for name in ("unit", "row")]
    rows = keyed_by_address(rows, len(sides), "oracle")
    for unit in sorted(set(rows.column("unit").to_pylist())):
        here = rows.filter(pc.equal(rows.column("unit"), unit)).sort_by(by).combine_chunks()
        yield here, sides[unit].take(sorted(set(here.column("row").to_pylist()))).combine_chunks()
