"""Pairs and removals as files hold them: ids as 16 bytes, sources and reasons as numbers of names.

Of a row of `DUPLICATES` on disk most is the two ids, which are hashes and do not compress: 16 bytes each of
about 37. As strings of any length, ids, sources and reasons would take 8 bytes more for where each ends, and
each reader's memory for 64 digits. The names stand in the metadata of the schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.storage.hex_ids import as_bytes, as_digits

_NAMES = b"names"
_IDS = ("id", "survivor_id")
_NAMED = ("source", "reason", "survivor_source")
_KINDS = dict.fromkeys(_IDS, pa.binary(16)) | dict.fromkeys(_NAMED, pa.uint32())
_PACKED = pa.schema(
    [pa.field(field.name, _KINDS.get(field.name, field.type), nullable=False) for field in DUPLICATES]
)


def names_of(found: pa.Table) -> list[str]:
    """All sources and reasons of `DUPLICATES` rows, sorted."""
    parts = [pc.unique(found.column(name)).to_pylist() for name in _NAMED]
    return sorted({name for part in parts for name in part})


def packed_schema(names: Iterable[str]) -> pa.Schema:
    """The schema of a file whose sources and reasons are among `names`, in this order."""
    return _PACKED.with_metadata({_NAMES: json.dumps(list(names))})


def names_in(schema: pa.Schema) -> list[str] | None:
    """The names in the schema of such a file; None of another."""
    metadata = schema.metadata or {}
    return list(json.loads(metadata[_NAMES])) if _NAMES in metadata else None


def packed(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """`DUPLICATES` rows for a file of this `packed_schema`."""
    names = pa.array(names_in(schema) or [], pa.string())
    columns = {name: found.column(name) for name in found.column_names}
    columns |= {name: as_bytes(contiguous(found.column(name))) for name in _IDS}
    columns |= {name: pc.index_in(found.column(name), names).cast(pa.uint32()) for name in _NAMED}
    return pa.table([columns[field.name] for field in schema], schema=schema)


def unpacked(rows: pa.Table) -> pa.Table:
    """Rows of a file of pairs as `DUPLICATES`; of another file as they are."""
    names = names_in(rows.schema)
    if names is None:
        return rows
    texts = pa.array(names, pa.string())
    columns = {name: rows.column(name) for name in rows.column_names}
    columns |= {name: as_digits(contiguous(rows.column(name))) for name in _IDS if name in columns}
    columns |= {name: texts.take(contiguous(rows.column(name))) for name in _NAMED if name in columns}
    kept = [field for field in DUPLICATES if field.name in columns]
    return pa.table([columns[field.name] for field in kept], schema=pa.schema(kept))
