"""Collects documents and losses into batches of about 4 MiB or 1,000 documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.documents import RAW_FIELDS, SCHEMA, Documents, document_id
from corpusmill.pipelines.sources.assembly.fields import FieldMap, is_exported
from corpusmill.pipelines.sources.reader import Batch, Label, Lost

BATCH_BYTES = 4 * 2**20
BATCH_ROWS = 1000
EXCERPT = 200
RAW_SCHEMA = pa.schema([*SCHEMA, *RAW_FIELDS])
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False)


def excerpt(data: bytes) -> str:
    """The first characters of a record, for people: undecodable bytes are shown as escapes."""
    return data[: 2 * EXCERPT].decode("utf-8", "backslashreplace")[:EXCERPT]


def canonical_json(value: Mapping[str, Any]) -> str:
    """One JSON object with sorted keys.

    Numbers JSON does not know become the strings "NaN", "Infinity" and "-Infinity". Lone surrogates,
    which no UTF-8 can hold, stay as escapes.
    """
    if not value:
        return "{}"
    try:
        text = _ENCODER.encode(value)
    except ValueError:
        text = _ENCODER.encode(_finite(value))
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(_finite(value), sort_keys=True)
    return text


def _finite(value: Any) -> Any:
    """A copy with strings for numbers JSON does not know; without recursion, however deep it is nested."""
    root = [value]
    todo: list[tuple[Any, Any]] = [(root, 0)]
    while todo:
        holder, key = todo.pop()
        item = holder[key]
        if isinstance(item, float) and item - item != 0:
            holder[key] = "NaN" if item != item else "Infinity" if item > 0 else "-Infinity"
        elif isinstance(item, (Mapping, list)):
            copy: Any = dict(item) if isinstance(item, Mapping) else list(item)
            holder[key] = copy
            todo += [(copy, inner) for inner in (copy if isinstance(copy, dict) else range(len(copy)))]
    return root[0]


def _joined(values: Sequence[bytes | memoryview | None]) -> pa.Array:
    """Values as one array; each is copied once, into memory that Arrow uses again and again."""
    there = [value for value in values if value is not None]
    if len(there) < len(values):
        return pa.array([None if value is None else bytes(value) for value in values], pa.large_binary())
    ends = np.cumsum([0, *map(len, there)], dtype=np.int64)
    data = pa.allocate_buffer(int(ends[-1]))
    room = memoryview(data).cast("B")
    for value, start, end in zip(there, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        room[start:end] = value
    return pa.Array.from_buffers(pa.large_binary(), len(there), [None, pa.py_buffer(ends), data])


class Collector:
    """Rows and losses on their way into a batch.

    With `raw` the tables have the columns `raw` and `content_type` and a null `text`.
    """

    def __init__(self, label: Label, *, raw: bool = False) -> None:
        self._label = label
        self._raw = raw
        self._schema = RAW_SCHEMA if raw else SCHEMA
        self._rows: list[tuple[Any, ...]] = []
        self._bytes = 0
        self.removed: list[Lost] = []
        self.quarantined: list[Lost] = []

    def add(
        self,
        locator: str,
        content: bytes | memoryview,
        *,
        text: str | bytes | memoryview | None = None,
        url: str | None = None,
        path: str | None = None,
        repo: str | None = None,
        license: str | None = None,
        lang: str | None = None,
        meta: Mapping[str, Any],
        content_type: str | None = None,
    ) -> None:
        """One document. `content` is its bytes as read (the raw page), `text` its text or the UTF-8 of it."""
        if isinstance(text, str):
            text = text.encode()
        row = (document_id(locator, content), text, url, path, repo, license, lang, canonical_json(meta))
        self._bytes += len(content)
        self._rows.append((*row, content, content_type) if self._raw else row)

    def restore(self, record: Mapping[str, Any], text: bytes | memoryview, fields: FieldMap) -> bool:
        """Add a record that an export of this project wrote, without its text, as the document that it was;
        false for any other record."""
        if not is_exported(record, fields):
            return False
        columns = (record[name] for name in ("url", "path", "repo", "license", "lang", "meta"))
        self._bytes += len(text)
        self._rows.append((record["id"], text, *columns))
        return True

    def remove(self, why: str, size: int, position: str, detail: str = "", data: bytes = b"") -> None:
        """A record left out on purpose."""
        self.removed.append(Lost(why, size, position, detail, excerpt(data)))

    def quarantine(self, why: str, size: int, position: str, detail: str = "", data: bytes = b"") -> None:
        """A record that cannot be read."""
        self.quarantined.append(Lost(why, size, position, detail, excerpt(data)))

    @property
    def full(self) -> bool:
        """Whether it is time to `take` a batch."""
        if self._bytes >= BATCH_BYTES or len(self._rows) >= BATCH_ROWS:
            return True
        return len(self.removed) + len(self.quarantined) >= BATCH_ROWS

    @property
    def empty(self) -> bool:
        """Whether nothing was collected since the last `take`."""
        return not (self._rows or self.removed or self.quarantined)

    def take(self) -> Batch:
        """What was collected, as a batch; the collector starts anew."""
        columns = list(zip(*self._rows, strict=True)) or [()] * (10 if self._raw else 8)
        n = len(self._rows)
        named = dict(
            zip(("id", "text", "url", "path", "repo", "license", "lang", "meta"), columns, strict=False)
        )
        arrays: dict[str, pa.Array] = {
            name: pa.array(values, SCHEMA.field(name).type)
            for name, values in named.items()
            if name != "text"
        }
        if self._raw:
            arrays["text"] = pa.nulls(n, pa.large_string())
        else:
            arrays["text"] = _joined(named["text"]).cast(pa.large_string())
        arrays["source"] = pa.repeat(self._label.source, n)
        arrays["domain"] = pa.repeat(self._label.domain, n)
        if self._raw:
            arrays["raw"] = _joined(columns[8])
            arrays["content_type"] = pa.array(columns[9], pa.string())
        table = pa.table([arrays[name] for name in self._schema.names], schema=self._schema)
        batch = Batch(Documents(table), self.removed, self.quarantined)
        self._rows, self._bytes, self.removed, self.quarantined = [], 0, [], []
        return batch
