"""Rows that left the run: removed or quarantined documents, in one schema for every step.

`unit` and `row` address the document in the dataset it was removed from (null where it never was written; a
mask's file of one unit leaves `unit` out, and a file of an exchange's first half counts from its first unit).
`excerpt` is kept for a small sample only, chosen by id, never by order. `detail` is JSON: scores for
filters, the fault's words for quarantine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.storage.checked_ipc import write_batches

REMOVED = pa.schema(
    [
        pa.field("unit", pa.uint32()),
        pa.field("row", pa.uint32()),
        pa.field("id", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # removed | quarantined
        pa.field("reason", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("position", pa.string()),
        pa.field("survivor_id", pa.string()),
        pa.field("survivor_source", pa.string()),
        pa.field("similarity", pa.float64()),
        pa.field("lang", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("excerpt", pa.string()),
    ]
)

EXCERPTS = 3  # samples kept per unit, stage and reason
EXCERPT_CHARACTERS = 400


def removed_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows given as dictionaries (absent keys are null) as a `REMOVED` table."""
    return pa.Table.from_pylist(list(rows), schema=REMOVED)


def removal_rows(
    docs: Documents,
    *,
    stage: str,
    kind: str,
    reasons: pa.Array,
) -> pa.Table:
    """`REMOVED` rows for all of `docs`, with `reasons` string[n] (no nulls) and their scores.

    A column `_row` of `docs`, where there is one, holds their row addresses. Scores of every stage so far
    travel in `detail`; excerpts are those of the `EXCERPTS` smallest draws of each reason among these rows,
    to be thinned again by `thin` over a whole unit.
    """
    n = len(docs)
    names = docs.table.column_names
    scores = [name for name in names if "." in name]
    details = [
        json.dumps(row, ensure_ascii=False, sort_keys=True, default=str)
        for row in docs.table.select(scores).to_pylist()
    ]
    excerpts: list[str | None] = [None] * n
    order = np.argsort(draws(docs.column("id"), 0, "excerpt"), kind="stable")
    taken: dict[str, int] = {}
    words = reasons.to_pylist()
    text = docs.column("text" if "text" in names else "id")
    for index in order.tolist():
        if taken.get(words[index], 0) < EXCERPTS:
            taken[words[index]] = taken.get(words[index], 0) + 1
            excerpts[index] = _beginning(text[index])
    columns: dict[str, Any] = {
        "unit": pa.nulls(n, pa.uint32()),
        "row": docs.column("_row") if "_row" in names else pa.nulls(n, pa.uint32()),
        "id": docs.column("id"),
        "source": docs.column("source"),
        "stage": pa.array([stage] * n, pa.string()),
        "kind": pa.array([kind] * n, pa.string()),
        "reason": reasons,
        "bytes": pa.array(docs.sizes(), pa.int64()),
        "position": docs.column("url") if "url" in names else pa.nulls(n, pa.string()),
        "survivor_id": pa.nulls(n, pa.string()),
        "survivor_source": pa.nulls(n, pa.string()),
        "similarity": pa.nulls(n, pa.float64()),
        "lang": docs.column("lang") if "lang" in names else pa.nulls(n, pa.string()),
        "detail": pa.array(details, pa.string()),
        "excerpt": pa.array(excerpts, pa.string()),
    }
    if "path" in names:
        columns["position"] = pc.coalesce(columns["position"], docs.column("path"))
    return pa.table(columns, schema=REMOVED)


def _beginning(text: pa.Scalar) -> str:
    """Up to `EXCERPT_CHARACTERS` characters; however long the text is, no more of it is decoded."""
    data = text.as_buffer()
    if data is None:
        return ""
    first: bytes = data.slice(0, min(data.size, 4 * EXCERPT_CHARACTERS)).to_pybytes()
    return first.decode("utf-8", "ignore")[:EXCERPT_CHARACTERS]


def quarantined_table(docs: Documents, stage: str, causes: Sequence[str]) -> pa.Table:
    """`REMOVED` rows for documents that a stage found faulty, raised on, or was never shown.

    `causes` str[n] ("ValueError: ...") become details, and what stands before their colon the reasons.
    """
    reasons = pa.array([cause.split(":", 1)[0] for cause in causes], pa.string())
    rows = removal_rows(docs, stage=stage, kind="quarantined", reasons=reasons)
    place = rows.column_names.index("detail")
    return rows.set_column(place, rows.field("detail"), pa.array(list(causes), pa.string()))


def thin(table: pa.Table) -> pa.Table:
    """`table` with excerpts for only the `EXCERPTS` smallest draws of each stage and reason."""
    if table.num_rows == 0:
        return table
    shown = np.flatnonzero(table.column("excerpt").is_valid().to_numpy())
    some = table.select(["stage", "reason", "id", "excerpt"]).take(pa.array(shown))
    stages, reasons, known, texts = (column.to_pylist() for column in some.columns)
    ids = [identity or "" for identity in known]
    excerpts: list[str | None] = [None] * table.num_rows
    taken: dict[tuple[str, str], int] = {}
    for index in np.argsort(draws(ids, 0, "excerpt"), kind="stable").tolist():
        key = (stages[index], reasons[index])
        taken[key] = taken.get(key, 0) + 1
        if taken[key] <= EXCERPTS:
            excerpts[shown[index]] = texts[index]
    position = table.column_names.index("excerpt")
    return table.set_column(position, REMOVED.field("excerpt"), pa.array(excerpts, pa.string()))


def write_removed(path: Path, batches: Iterable[pa.Table]) -> None:
    """One Arrow IPC file with one checked record batch per table, empty ones included.

    A unit of its own file writes none where nothing was removed; readers ask its receipt.
    """
    empty = pa.RecordBatch.from_pylist([], schema=REMOVED)
    parts = (table.combine_chunks().to_batches() for table in batches)
    write_batches(path, REMOVED, (part[0] if part else empty for part in parts), compression="zstd")
