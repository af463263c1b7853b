"""The table `documents`: what a run keeps, after every mask, with its bytes and without what was cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.given import HELD_OUT
from corpusmill.pipelines.contract.held_out import COLUMNS as DECIDE_HELD_OUT
from corpusmill.pipelines.contract.held_out import FILE, MODEL, TRAINED, HeldOut, host_of, read_held_out
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.inspection.tables.table import Column, Table, columns_of
from corpusmill.pipelines.storage.datasets import DatasetView, unit_file
from corpusmill.pipelines.storage.text_sizes import text_sizes

_STORED = columns_of(
    SCHEMA,
    {
        "id": "the document's id, 32 hex digits",
        "source": "the recipe's source",
        "domain": "web, code, math or what the source says",
        "lang": "language, null where no step told it",
        "url": "where a page was",
        "path": "path of a file in its archive or repository",
        "repo": "repository of a file",
        "license": "SPDX expression, where known",
        "text": "the text as it is trained on, parts cut out",
        "meta": "JSON: other fields of the record",
    },
)
_MADE = (
    Column("site", pa.string(), "host of `url`"),
    Column("bytes", pa.int64(), "UTF-8 bytes of the text, parts cut out"),
    Column("held_out", pa.string(), "`model`, `tokenizer` or null: what may not learn from it"),
    Column("unit", pa.int64(), "unit of the run's documents"),
    Column("row", pa.int64(), "row of its unit"),
)


def documents_table(record: RunRecord) -> Table:
    """Documents that are kept by all steps done so far."""
    view = record.view()
    families = families_of(record)

    def read(names: frozenset[str]) -> Iterator[pa.Table]:
        for unit in range(len(view)):
            yield from unit_rows(view, families, unit, names)

    return Table("documents", "documents that the run keeps", (*_STORED, *_MADE), read)


def families_of(record: RunRecord) -> HeldOut | None:
    """What the run holds out; None where it holds out nothing."""
    step = record.complete_giving(HELD_OUT)
    return None if step is None else read_held_out(step.data.file(FILE))


def unit_rows(
    view: DatasetView, families: HeldOut | None, unit: int, names: frozenset[str]
) -> Iterator[pa.Table]:
    """Rows of one unit of the view with at least the columns `names` of the table, a row group at a time."""
    stored = {column.name for column in _STORED} & names | {"id"}
    stored |= {"url"} if "site" in names else set()
    stored |= set(DECIDE_HELD_OUT) if "held_out" in names and families is not None else set()
    sizes = _sizes(view, unit) if "bytes" in names else np.zeros(0, np.int64)
    for docs, rows in view.batches(unit, [name for name in SCHEMA.names if name in stored]):
        table = docs.table
        made: dict[str, pa.Array] = {
            "unit": pa.array(np.full(len(rows), unit, np.int64)),
            "row": pa.array(rows.astype(np.int64)),
        }
        if "bytes" in names:
            made["bytes"] = pa.array(sizes[rows])
        if "site" in names:
            urls = table.column("url").to_pylist()
            made["site"] = pa.array([None if url is None else host_of(url) for url in urls], pa.string())
        if "held_out" in names:
            made["held_out"] = _held_out(docs, families)
        for name, values in made.items():
            table = table.append_column(name, values)
        yield table


def _sizes(view: DatasetView, unit: int) -> npt.NDArray[np.int64]:
    """Bytes of the texts of a unit's rows as written, less what was cut, int64[rows]."""
    folder, number = view.place(unit)
    sizes = text_sizes(unit_file(folder, number))
    return np.asarray(sizes - view.cuts(unit).lengths(len(sizes)), np.int64)


def _held_out(docs: Documents, families: HeldOut | None) -> pa.Array:
    if families is None:
        return pa.nulls(len(docs), pa.string())
    levels = families.levels(docs)
    words = [None if level == TRAINED else "model" if level == MODEL else "tokenizer" for level in levels]
    return pa.array(words, pa.string())
