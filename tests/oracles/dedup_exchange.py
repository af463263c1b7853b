"""A tiny exchange in memory: what a runner does with a `Deduplicate` stage, for any layout of the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.addresses import DUPLICATES, EDITS
from corpusmill.pipelines.contract.documents import SCHEMA, Documents, document_id
from corpusmill.pipelines.contract.stage import Deduplicate, Exchange, Sides
from corpusmill.pipelines.run.operators.layout import in_order
from corpusmill.pipelines.run.operators.partitions import sorted_rows
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


class MemorySides(Sides):
    """Side tables of all units, kept whole."""

    def __init__(self, tables: dict[int, pa.Table]) -> None:
        self.tables = tables

    def take(self, unit: npt.NDArray[np.uint32], row: npt.NDArray[np.uint32]) -> pa.Table:
        parts = [self.tables[int(u)].slice(int(r), 1) for u, r in zip(unit, row, strict=True)]
        parts = parts or [next(iter(self.tables.values())).slice(0, 0)]
        return pa.concat_tables(parts).combine_chunks()


class NoSides(Sides):
    """For stages that send everything in their rows."""

    def take(self, unit: npt.NDArray[np.uint32], row: npt.NDArray[np.uint32]) -> pa.Table:
        raise AssertionError("this stage has no side tables")


def pairs_and_removals(
    stage: Deduplicate, docs: Documents, unit_rows: int, batch_rows: int, partitions: int
) -> tuple[pa.Table, pa.Table]:
    """`(found, removed)` with units of `unit_rows` documents emitted `batch_rows` at a time."""
    rows: list[pa.Table] = []
    tables: dict[int, list[pa.Table]] = {}
    for unit, start in enumerate(range(0, len(docs), unit_rows)):
        here = docs.slice(start, min(unit_rows, len(docs) - start))
        for first in range(0, len(here), batch_rows):
            batch = here.slice(first, min(batch_rows, len(here) - first))
            address = np.arange(first, first + len(batch), dtype=np.uint32)
            emitted = stage.emit(batch, unit, address)
            rows.append(emitted.rows)
            if emitted.side is not None:
                assert emitted.side.num_rows == len(batch)
                tables.setdefault(unit, []).append(emitted.side)
    sides: Sides = NoSides()
    if tables:
        sides = MemorySides({unit: pa.concat_tables(parts) for unit, parts in tables.items()})
    if not rows:
        return DUPLICATES.empty_table(), DUPLICATES.empty_table()
    everything = pa.concat_tables(rows).combine_chunks()
    order = [("key", "ascending"), ("unit", "ascending"), ("row", "ascending")]
    key = everything.column("key").to_numpy()
    partition = np.array([(int(k) * partitions) >> 64 for k in key], np.int64)
    found = [DUPLICATES.empty_table()]
    for p in range(partitions):
        found.append(stage.reduce(everything.filter(pa.array(partition == p)).sort_by(order), sides))
    table = pa.concat_tables(found).combine_chunks()
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
    sent: list[pa.Table] = []
    tables: dict[int, list[pa.Table]] = {}
    for unit, start in enumerate(range(0, len(docs), unit_rows)):
        here = docs.slice(start, min(unit_rows, len(docs) - start))
        for first in range(0, len(here), batch_rows):
            batch = here.slice(first, min(batch_rows, len(here) - first))
            emitted = stage.emit(batch, unit, np.arange(first, first + len(batch), dtype=np.uint32))
            sent.append(emitted.rows)
            assert emitted.side is not None
            assert emitted.side.num_rows == len(batch)
            tables.setdefault(unit, []).append(emitted.side)
    sides = MemorySides({unit: pa.concat_tables(parts) for unit, parts in tables.items()})
    rounds = stage.rounds()
    for number, one in enumerate(rounds, 1):
        made: list[Any] = []
        for rows in _partitions(pa.concat_tables(sent, promote_options="permissive"), partitions, number):
            made.append(one(rows, sides))
        if number < len(rounds):
            sent = made
            if not sent:
                return []
    edits = [found.edits for found in made if found.edits is not None]
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
