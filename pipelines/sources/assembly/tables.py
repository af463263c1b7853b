"""From Arrow record batches of any schema to batches of documents, column by column where possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpusmill.pipelines.contract.documents import BESIDE, SCHEMA, Documents, buffers
from corpusmill.pipelines.sources.assembly.arrow_values import distinct_names, plain_values
from corpusmill.pipelines.sources.assembly.batches import BATCH_BYTES, BATCH_ROWS, canonical_json, excerpt
from corpusmill.pipelines.sources.assembly.fields import COLUMNS, FieldMap
from corpusmill.pipelines.sources.assembly.nested_text import (
    JSON_FIELD,
    can_be_filtered,
    json_values,
    with_text,
)
from corpusmill.pipelines.sources.assembly.row_sizes import bounded, row_sizes
from corpusmill.pipelines.sources.assembly.whole_columns import Mapped, mapped_by_column
from corpusmill.pipelines.sources.reader import Batch, Label, Lost

_HEX_ID = r"^[0-9a-f]{32}$"


class TableMapper:
    """Maps record batches of one file. `name` is the file's name in positions."""

    def __init__(self, fields: FieldMap, label: Label, name: str, limit: int, schema: pa.Schema) -> None:
        self._fields = fields
        self._label = label
        self._name = name
        self._limit = limit
        types = {field.name: field.type for field in schema}
        self._ours = (
            set(types) - set(BESIDE) == set(SCHEMA.names)
            and len(schema) == len(types)
            and all(is_text(types[name]) for name in SCHEMA.names)
            and fields == FieldMap()
        )

    def bounded_batches(
        self, part: pa.RecordBatch, group: str, decoded_bytes: int, row_bytes: int
    ) -> Iterator[Batch]:
        """As `batches`, with rows mapped so many at a time that they take `decoded_bytes` as Python values. A
        row that takes over `row_bytes` is quarantined."""
        words = [len(column.dictionary) for column in part.columns if isinstance(column, pa.DictionaryArray)]
        most = max(BATCH_ROWS, *words, 0)  # a dictionary is decoded once for each piece
        sizes = row_sizes(part)
        for first, rows in bounded(sizes, decoded_bytes):
            size = int(sizes[first : first + rows].sum())
            if size > row_bytes:
                yield self.too_large(size, f"{group}, row {first}", row_bytes)
                continue
            for start in range(first, first + rows, most):
                length = min(most, first + rows - start)
                yield from self.batches(part.slice(start, length), group, start)

    def too_large(self, size: int, place: str, limit: int) -> Batch:
        """The batch of one row alone whose values take `size` bytes."""
        detail = f"its columns take {size} bytes once decoded, over {limit}"
        return Batch(
            Documents(SCHEMA.empty_table()), [], [Lost("too_large", size, f"{self._name}, {place}", detail)]
        )

    def batches(self, part: pa.RecordBatch, group: str, first: int) -> Iterator[Batch]:
        """Batches of `part`, whose first row is row `first` of `group`: of 4 MiB, the last of up to 8."""
        part, known = with_text(part, self._fields)
        part = _without_views(_with_plain_text(part, self._fields.text))
        text, faults = self._texts(part)
        for row, (why, _) in known.items():
            faults[row] = why
        sizes = np.diff(buffers(text)[0])
        start = 0
        while start < part.num_rows:
            length = part.num_rows - start
            if sizes[start:].sum() > 2 * BATCH_BYTES:
                length = min(length, int(np.searchsorted(np.cumsum(sizes[start:]), BATCH_BYTES)) + 1)
            yield self._batch(
                part.slice(start, length),
                text.slice(start, length),
                faults[start : start + length],
                {row - start: detail for row, (_, detail) in known.items()},
                group,
                first + start,
            )
            start += length

    def _texts(self, part: pa.RecordBatch) -> tuple[pa.Array, npt.NDArray[np.object_]]:
        """Texts large_string[n], empty where faulty, and the fault of each row or None."""
        n = part.num_rows
        faults = np.full(n, None, object)
        index = part.schema.get_field_index(self._fields.text)
        column = part.column(index) if index >= 0 else None
        if column is None or not is_text(column.type):
            faults[:] = "no_text"
            return pa.array([""] * n, pa.large_string()), faults
        # Casting a string to binary and back is what makes Arrow check its UTF-8.
        binary = column.cast(pa.large_binary())
        missing = binary.is_null().to_numpy(zero_copy_only=False)
        faults[missing] = "no_text"
        offsets, data = buffers(binary)
        window = data[offsets[0] : offsets[-1]]
        faults[(np.diff(offsets) > self._limit) & ~missing] = "too_large"
        if window.size and not window.all():
            zeros = np.flatnonzero(window == 0) + offsets[0]
            rows = np.unique(np.searchsorted(offsets, zeros, side="right") - 1)
            faults[[row for row in rows.tolist() if faults[row] is None]] = "binary"
        try:
            whole = binary.cast(pa.large_string())
        except pa.ArrowInvalid:
            whole = None
            for row, value in enumerate(binary):
                if faults[row] in (None, "binary") and not _is_utf8(value.as_buffer()):
                    faults[row] = "bad_utf8"
        wrong = _wrong(faults)
        if whole is None or wrong.any():
            binary = pc.if_else(pa.array(wrong), pa.scalar(b"", pa.large_binary()), binary)
            whole = binary.cast(pa.large_string())
        return whole, faults

    def _batch(
        self,
        part: pa.RecordBatch,
        text: pa.Array,
        faults: npt.NDArray[np.object_],
        details: Mapping[int, str],
        group: str,
        first: int,
    ) -> Batch:
        wrong = _wrong(faults)
        lost: list[Lost] = []
        if wrong.any():
            lost = self._lost(part, faults, details, wrong, group, first)
            sound = pa.array(~wrong)
            part, text = _rows_of(part, ~wrong), text.filter(sound)
        if self._ours and self._keeps_ids(part):
            table = self._restored(part, text)
        else:
            table = self._mapped(part, text)
        return Batch(Documents(table), [], lost)

    def _lost(
        self,
        part: pa.RecordBatch,
        faults: npt.NDArray[np.object_],
        details: Mapping[int, str],
        wrong: npt.NDArray[np.bool_],
        group: str,
        first: int,
    ) -> list[Lost]:
        index = part.schema.get_field_index(self._fields.text)
        twice = len(part.schema.get_all_field_indices(self._fields.text)) > 1
        detail = f"two columns are called {self._fields.text!r}" if twice else ""
        there = index >= 0 and is_text(part.schema.types[index])
        missing = {
            "no_text": f"column {self._fields.text!r} is {'null' if there else 'not there, or no text'}"
        }
        lost = []
        for row in np.flatnonzero(wrong).tolist():
            value = b""
            if there:
                buffer = part.column(index).slice(row, 1).cast(pa.large_binary())[0].as_buffer()
                value = b"" if buffer is None else buffer.to_pybytes()
            position = f"{self._name}, {group}, row {first + row}"
            words = details.get(row, detail or missing.get(faults[row], ""))
            lost.append(Lost(faults[row], len(value), position, words, excerpt(value)))
        return lost

    def _keeps_ids(self, part: pa.RecordBatch) -> bool:
        ids = part.column("id").cast(pa.string())
        sound = pc.match_substring_regex(ids, _HEX_ID)
        whole = ids.null_count == 0 and part.column("meta").null_count == 0
        return bool(whole and pc.all(sound, min_count=0).as_py())

    def _restored(self, part: pa.RecordBatch, text: pa.Array) -> pa.Table:
        columns = {name: part.column(name) for name in SCHEMA.names}
        columns = {
            name: column.cast(SCHEMA.field(name).type) for name, column in columns.items() if name != "text"
        }
        return self._table({**columns, "text": text})

    def _mapped(self, part: pa.RecordBatch, text: pa.Array) -> pa.Table:
        chosen = [
            (i, field.name)
            for i, field in enumerate(part.schema)
            if field.name != self._fields.text and field.metadata != JSON_FIELD
        ]
        rests = [
            json_values(part.column(i)) for i, field in enumerate(part.schema) if field.metadata == JSON_FIELD
        ]
        others = distinct_names([name for _, name in chosen])
        found = None if rests else mapped_by_column(self._fields, others, [part.column(i) for i, _ in chosen])
        if found is None:
            found = self._mapped_by_row(part, others, [i for i, _ in chosen], rests)
        return self._table({**found.columns, "id": _ids(found.locators, text), "text": text})

    def _mapped_by_row(
        self, part: pa.RecordBatch, names: list[str], places: list[int], rests: list[list[dict[str, Any]]]
    ) -> Mapped:
        values = [plain_values(part.column(i)) for i in places]
        columns: dict[str, list[str | None]] = {name: [] for name in COLUMNS}
        locators: list[str] = []
        metas: list[str] = []
        for row in range(part.num_rows):
            record = {name: column[row] for name, column in zip(names, values, strict=True)}
            for rest in rests:
                record |= rest[row]
            mapped = self._fields.row(record)
            locators.append(mapped.locator)
            metas.append(canonical_json(mapped.meta))
            for name, column in columns.items():
                column.append(mapped.columns.get(name))
        arrays = {name: pa.array(column, pa.string()) for name, column in columns.items()}
        return Mapped(locators, {**arrays, "meta": pa.array(metas, pa.string())})

    def _table(self, columns: dict[str, pa.Array]) -> pa.Table:
        n = len(columns["text"])
        columns["source"] = pa.repeat(self._label.source, n)
        columns["domain"] = pa.repeat(self._label.domain, n)
        return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _wrong(faults: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """bool[n]: which rows have a fault."""
    return faults.astype(bool)


def _ids(locators: Sequence[str], text: pa.Array) -> pa.Array:
    """`documents.document_id` of each row, string[n], without copying the texts, large_string[n]."""
    offsets, data = buffers(text)
    content, ends = memoryview(data.data), offsets.tolist()
    ids = []
    for locator, start, end in zip(locators, ends[:-1], ends[1:], strict=True):
        head = locator.encode("utf-8", "surrogatepass")
        digest = xxhash.xxh3_128(len(head).to_bytes(8, "little") + head)
        digest.update(content[start:end])
        ids.append(digest.hexdigest())
    return pa.array(ids, pa.string())


def is_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(kind(type_) for kind in (*kinds, *binary))


def _rows_of(part: pa.RecordBatch, mask: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """The rows where `mask` is true, of any types."""
    chosen = pa.array(mask)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    spans = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    columns = []
    for column in part.columns:
        if can_be_filtered(column.type):
            columns.append(column.filter(chosen))
        else:
            pieces = [column.slice(start, end - start) for start, end in spans]
            columns.append(pa.concat_arrays(pieces) if pieces else column.slice(0, 0))
    return pa.RecordBatch.from_arrays(columns, schema=part.schema)


def _with_plain_text(part: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """`part` with a text in runs, or of a type of somebody's own, as the text that it stands for."""
    index = part.schema.get_field_index(name)
    if index < 0:
        return part
    column = part.column(index)
    while isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return part.set_column(index, name, column)


def _without_views(part: pa.RecordBatch) -> pa.RecordBatch:
    """`part` with view columns as large ones: Arrow cannot filter views."""
    for index, field in enumerate(part.schema):
        if pa.types.is_string_view(field.type) or pa.types.is_binary_view(field.type):
            large = pa.large_string() if pa.types.is_string_view(field.type) else pa.large_binary()
            part = part.set_column(index, field.with_type(large), part.column(index).cast(large))
    return part


def _is_utf8(buffer: pa.Buffer) -> bool:
    try:
        bytes(buffer).decode()
    except UnicodeDecodeError:
        return False
    return True
