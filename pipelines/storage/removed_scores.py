"""Score columns from the details of removed documents, which are JSON (`storage/removed.py`)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json


def from_details(
    details: pa.ChunkedArray | pa.Array, fields: Mapping[str, list[pa.Field] | None]
) -> dict[str, pa.ChunkedArray | pa.Array]:
    """Score columns from the details of removed documents, JSON objects by row; null is an empty one.

    `fields`: the columns of each stage; of a stage without any, whatever the details hold of it.
    """
    known = [field for found in fields.values() if found is not None for field in found]
    texts = pc.fill_null(details, "{}").to_pylist()
    if not texts:
        return {field.name: pa.nulls(0, field.type) for field in known}
    if all(found is not None for found in fields.values()):
        lines = "\n".join(texts).encode()
        try:
            table = pyarrow.json.read_json(
                io.BytesIO(lines),
                pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
                pyarrow.json.ParseOptions(
                    explicit_schema=pa.schema(known), unexpected_field_behavior="ignore"
                ),
            )
        except pa.ArrowInvalid:
            pass  # what Arrow's parser does not take, such as NaN, Python's does
        else:
            return {field.name: table.column(field.name) for field in known}
    rows = [json.loads(text) for text in texts]
    types = {field.name: field.type for field in known}
    names = dict.fromkeys(name for row in rows for name in row if name.partition(".")[0] in fields)
    return {name: pa.array([row.get(name) for row in rows], types.get(name)) for name in {**types, **names}}
