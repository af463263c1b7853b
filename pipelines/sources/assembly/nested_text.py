"""The text of an Arrow record batch that lies inside of other columns, as a column of its own.

Of structs it is taken as a column; where lists lie on the way, or a template makes it of messages, row by row
by the same code as of JSON.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.sources.assembly.arrow_values import plain_values
from corpusmill.pipelines.sources.assembly.batches import canonical_json
from corpusmill.pipelines.sources.assembly.field_paths import cuts
from corpusmill.pipelines.sources.assembly.fields import NESTED, FieldMap
from corpusmill.pipelines.sources.assembly.messages import NoMessagesError

# Metadata of a field that holds JSON in place of the values it stands for.
JSON_FIELD = {b"corpusmill": b"json"}
BAD_UTF8 = "bad_utf8"
REST = "rest"  # the one key of such JSON


def with_text(part: pa.RecordBatch, fields: FieldMap) -> tuple[pa.RecordBatch, dict[int, tuple[str, str]]]:
    """`part` with the text as a column called `fields.text`, where it is to be found, and the faults of rows
    that are known by then: (reason, detail). What is left of a column that it was taken from row by row is
    JSON."""
    if fields.template is None:
        part = _of_structs(part, fields.text)
        if fields.text not in part.schema.names and fields.joined:
            return _joined(part, fields), {}
        if fields.text in part.schema.names or "." not in fields.text:
            return part, {}
    names = part.schema.names
    outer = next((one for one in (fields.text, *(cut for cut, _ in cuts(fields.text))) if one in names), None)
    if outer is None or names.count(outer) > 1:
        return part, {}
    return _by_rows(part, outer, fields)


def _joined(part: pa.RecordBatch, fields: FieldMap) -> pa.RecordBatch:
    """`part` with the text that `fields.joined` make as one more column."""
    outer = {name.split(".")[0] for name in fields.joined} | set(NESTED)
    names = [name for name in part.schema.names if name in outer]
    values = [plain_values(part.column(name)) for name in names]
    records = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    texts = [fields.joined_text(record) for record in records] or [None] * part.num_rows
    return part.append_column(fields.text, pa.array(texts, pa.large_string()))


def _by_rows(
    part: pa.RecordBatch, outer: str, fields: FieldMap
) -> tuple[pa.RecordBatch, dict[int, tuple[str, str]]]:
    index = part.schema.get_field_index(outer)
    column, faults = _sound(part.column(index))
    texts: list[str | None] = []
    rests: list[str | None] = []
    for row, value in enumerate(plain_values(column)):
        record: dict[str, Any] = {outer: value}
        text = None
        try:
            text = fields.take_text(record)
        except NoMessagesError as error:
            faults.setdefault(row, ("no_text", f"{fields.text!r}: {error}"))
        texts.append(text if isinstance(text, str) else None)
        rests.append(canonical_json({REST: record}) if record else None)
    part = part.remove_column(index)
    if any(rest is not None for rest in rests):
        rest_field = pa.field(
            outer if outer != fields.text else f"{outer}.", pa.large_string(), metadata=JSON_FIELD
        )
        part = part.append_column(rest_field, pa.array(rests, pa.large_string()))
    return part.append_column(fields.text, pa.array(texts, pa.large_string())), faults


def json_values(column: pa.Array) -> list[dict[str, Any]]:
    """The fields that a column of JSON stands for, of each row."""
    return [json.loads(text)[REST] if text is not None else {} for text in column.to_pylist()]


def _sound(column: pa.Array) -> tuple[pa.Array, dict[int, tuple[str, str]]]:
    """`column` with bytes in it as texts; rows that are no UTF-8 are null, and faults."""
    kind = _as_text(column.type)
    try:
        whole = column.cast(kind) if kind != column.type else column
        whole.validate(full=True)
    except pa.ArrowInvalid as error:
        if not can_be_filtered(column.type):  # which of them are sound cannot be told
            words = str(error).split("\n", 1)[0]
            return pa.nulls(len(column), pa.null()), dict.fromkeys(range(len(column)), (BAD_UTF8, words))
        rows, faults = [], {}
        for row in range(len(column)):
            one = column.take(pa.array([row]))
            try:
                one = one.cast(kind)
                one.validate(full=True)
            except pa.ArrowInvalid as error:
                faults[row] = (BAD_UTF8, str(error).split("\n", 1)[0])
                one = pa.nulls(1, kind)
            rows.append(one)
        return pa.concat_arrays(rows), faults
    return whole, {}


def can_be_filtered(kind: pa.DataType) -> bool:
    """Whether Arrow filters the type: of some it says that it does not, of unions in structs it crashes."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    views = (
        pa.types.is_string_view,
        pa.types.is_binary_view,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    if any(is_(kind) for is_ in (*views, pa.types.is_union, pa.types.is_run_end_encoded)):
        return False
    return all(can_be_filtered(kind.field(place).type) for place in range(kind.num_fields))


def _as_text(kind: pa.DataType) -> pa.DataType:
    """`kind` with texts in place of bytes, in lists and structs."""
    if pa.types.is_binary(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.large_string()
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_as_text(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_as_text(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_as_text(field.type)) for field in kind])
    return kind


def _of_structs(part: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """`part` with the text at a path into structs as a column of that name, and without it in the struct."""
    if name in part.schema.names:
        return part
    for outer, inner in cuts(name):
        index = part.schema.get_field_index(outer)
        if index < 0 or not pa.types.is_struct(part.schema.types[index]):
            continue
        struct = part.column(index)
        names = [field.name for field in struct.type]
        if len(set(names)) < len(names):
            continue
        flat = pa.RecordBatch.from_arrays([pc.struct_field(struct, [k]) for k in range(len(names))], names)
        flat = _of_structs(flat, inner)
        if inner not in flat.schema.names:
            continue
        text = flat.column(flat.schema.names.index(inner))
        rest = flat.drop_columns([inner])
        if rest.num_columns:
            left = pa.StructArray.from_arrays(rest.columns, fields=list(rest.schema), mask=struct.is_null())
            part = part.set_column(index, outer, left)
        else:
            part = part.remove_column(index)
        return part.append_column(name, text)
    return part
