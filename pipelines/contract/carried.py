"""Columns that documents keep when they are encoded, since a mixture tells them apart by these.

A column that a document's source does not give is null. `site` is the host of the document's URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.held_out import host_of

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents

SITE = "site"


def carried_column(docs: Documents, name: str, kind: Literal["text", "number"]) -> pa.Array:
    """A column of n documents as string[n], or float64[n] of numbers. Raises UserError where it holds what is
    neither."""
    import pyarrow as pa

    wanted = pa.float64() if kind == "number" else pa.string()
    if name == SITE and "url" in docs.table.column_names:
        urls = docs.column("url").to_pylist()
        return pa.array([None if url is None else host_of(url) for url in urls], pa.string())
    if name not in docs.table.column_names:
        return pa.nulls(len(docs), wanted)
    column = docs.column(name)
    held = column.type
    is_text = pa.types.is_string(held) or pa.types.is_large_string(held)
    is_number = pa.types.is_integer(held) or pa.types.is_floating(held)
    plain = is_text or is_number or pa.types.is_boolean(held) or pa.types.is_null(held)
    if kind == "number" and (is_text or not plain):
        raise UserError(
            f"the column {name} holds {held}, no numbers; take its edges out of `mixture.at`, or name another"
        )
    if kind == "text" and (pa.types.is_floating(held) or not plain):
        raise UserError(
            f"the column {name} holds {held}, which has too many values; divide it into buckets by edges "
            f"under `mixture`, such as `at: {{{name}: [0.5]}}`"
        )
    return column.cast(wanted)
