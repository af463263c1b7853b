"""Look at the first records of a file, as the readers of records will read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from corpusmill.pipelines.sources.assembly.fields import FieldMap
from corpusmill.pipelines.sources.assembly.messages import NoMessagesError
from corpusmill.pipelines.sources.looking.fields_seen import cure, fields, likely_text, shown
from corpusmill.pipelines.sources.looking.formats import format_of, head_of, wrong_format
from corpusmill.pipelines.sources.looking.unreadable import unreadable
from corpusmill.pipelines.storage.objects.lazy import for_library

RECORDS = 10  # of one file: those that a fault is told by
_FIRST_BYTES = 2**17  # of JSON Lines, looked at before the rest of the first MiB
_BOM = b"\xef\xbb\xbf"
_EXPECTED = "one JSON object a line, in UTF-8"
_BEGUN = re.compile(rb'\s*\{\s*"')  # a record that may go on beyond what is looked at
_LIST = re.compile(rb'\s*\[\s*[\[{"]')


@dataclass(frozen=True)
class Look:
    """What the beginning of a file shows: that a record of it can be read (`sound`), that it is `empty`
    (holds no record), a `fault` of the recipe with its cure, or `damage` to a file of the right format, for
    which no record can be read; else nothing, as where a record goes on beyond what is looked at."""

    sound: bool = False
    fault: str | None = None
    empty: bool = False
    damage: str | None = None


NOTHING = Look()
EMPTY = Look(empty=True)


def look_at_pages(path: Path) -> Look:
    """Whether a file may be a page of any charset: it begins as no file of another kind."""
    head, whole = head_of(path)
    if whole and not head:
        return EMPTY
    fault = wrong_format(head, None)
    return Look(sound=bool(head)) if fault is None else Look(fault=fault)


def look_at_lines(path: Path, map_: FieldMap) -> Look:
    """The first MiB of JSON Lines, or `_FIRST_BYTES` where these have a record that can be read: sound where
    one can, else told by the first `RECORDS`."""
    from corpusmill.pipelines.sources.assembly.json_limits import load_json

    head, _ = head_of(path, _FIRST_BYTES)
    if any(_readable(line, map_) for line in head.removeprefix(_BOM).split(b"\n")[:-1]):
        return Look(sound=True)
    text_field = map_.text
    head, whole = head_of(path)
    fault = wrong_format(head, "jsonl")
    if fault:
        return Look(fault=fault)
    head = head.removeprefix(_BOM)
    lines = head.split(b"\n")
    cut = b"" if whole else lines.pop()
    lines = [line for line in lines if line.strip()]
    if whole and not lines:
        return EMPTY
    if not head:
        return NOTHING  # nothing can be unpacked
    records: list[Any] = []
    odd = None
    for number, line in enumerate(lines):
        try:
            record = load_json(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(text := _text_of(record, map_), str):
            wrong = _wrong_characters(text)
            if wrong is None:
                return Look(sound=True)
            odd = odd or wrong
        elif number < RECORDS:
            records.append(record)
    if odd is not None:
        return Look(
            fault=f"the first text in `{shown(text_field)}` holds {odd}; write texts of characters alone"
        )
    objects = [record for record in records if isinstance(record, dict)]
    if len(lines) > 1 and records and all(isinstance(record, list) for record in records):
        return Look(
            fault=f"its lines are JSON lists, not objects; write {{{_quoted(text_field)}: ...}} a line"
        )
    if len(objects) * 2 < len(lines[:RECORDS]) and _LIST.match(head):
        return Look(fault=f"it is one JSON list, not one record a line; {_jq('.[]', path)}")
    if not objects:
        if not records and lines and lines[0].strip() == b"{":
            return Look(fault=f"its first record goes over several lines; {_jq('.', path)}")
        return NOTHING if _BEGUN.match(cut) else Look(fault=unreadable(head, _EXPECTED))
    first = objects[0]
    if whole and len(lines) == 1:
        wrapped = _wrapped(first)
        if wrapped is not None:
            return Look(fault=f"its records are a list inside one object; {_jq(f'.{wrapped}[]', path)}")
    return Look(fault=without_text(first, map_))


def _readable(line: bytes, map_: FieldMap) -> bool:
    """Whether a line is a record that can be read."""
    from corpusmill.pipelines.sources.assembly.json_limits import load_json

    try:
        record = load_json(line)
    except ValueError:
        return False
    text = _text_of(record, map_) if isinstance(record, dict) else None
    return isinstance(text, str) and _wrong_characters(text) is None


def _text_of(record: dict[str, Any], map_: FieldMap) -> Any:
    try:
        return map_.take_text(dict(record))
    except NoMessagesError:
        return None


def _wrong_characters(text: str) -> str | None:
    """What of a text is no character that a document may hold."""
    if "\0" in text:
        return "NUL"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair"
    return None


def without_text(record: dict[str, Any], map_: FieldMap) -> str:
    """What to say of a first record in which neither `text_field` nor `text_from` has a text."""
    text_field = map_.text
    value = record.get(text_field)
    what = f"no field `{shown(text_field)}`" if value is None else f"no text in `{shown(text_field)}`"
    if value is None and map_.joined:
        what += f" and no text in those of `text_from` ({', '.join(map(shown, map_.joined))})"
    return f"its first record has {what}, but {fields(record)}; {cure(record, text_field)}"


def _wrapped(record: dict[str, Any]) -> str | None:
    """The field of an object that holds the file's records, if that is what it is."""
    for name, value in record.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            chat = "role" in value[0] or "from" in value[0]
            if name.isascii() and name.isidentifier() and likely_text(value[0]) is not None and not chat:
                return name
    return None


def _jq(expression: str, path: Path) -> str:
    name, out = quote(shown(path.name)), quote(shown(f"{path.name.split('.')[0]}.lines.jsonl"))
    return f"write one record a line, such as with `jq -c '{expression}' {name} > {out}`"


def _quoted(name: str) -> str:
    return f'"{shown(name)}"'


def look_at_columns(path: Path, map_: FieldMap) -> Look:
    """The columns of a Parquet file, from its footer alone."""
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return EMPTY
    fault = wrong_format(head, "parquet")
    if fault:
        return Look(fault=fault)
    if format_of(head) != "parquet":
        return Look(fault=unreadable(head, "a Parquet file, which begins and ends with PAR1"))
    try:
        footer = pq.read_metadata(for_library(path), memory_map=False)
        schema = footer.schema.to_arrow_schema()
    except Exception as error:  # noqa: BLE001  # whatever Arrow raises, no row can be read
        first = str(error).split("\n", 1)[0]
        return Look(damage=f"its footer cannot be read ({first}); fetch or copy the file again")
    if footer.num_rows == 0:
        return EMPTY
    return _of_schema(schema, map_)


def look_at_arrow(path: Path, map_: FieldMap) -> Look:
    """The columns of an Arrow file or stream, from its schema."""
    from corpusmill.pipelines.sources.assembly.arrow_batches import schema_of

    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return EMPTY
    fault = wrong_format(head, "arrow")
    if fault:
        return Look(fault=fault)
    try:
        schema = schema_of(path)
    except Exception as error:  # noqa: BLE001  # whatever Arrow raises, no row can be read
        if format_of(head) != "arrow":
            return Look(fault=unreadable(head, "an Arrow file or stream"))
        first = str(error).split("\n", 1)[0]
        return Look(damage=f"its schema cannot be read ({first}); fetch or copy the file again")
    return _of_schema(schema, map_)


def _of_schema(schema: Any, map_: FieldMap) -> Look:
    """Whether one of the columns of an Arrow schema is the text."""
    record = {field.name: _example(field.type) for field in schema}
    text_field = map_.text
    if not record:
        return Look(fault="it has no columns at all; leave it out of `files`")
    if isinstance(_text_of(record, map_), str):
        return Look(sound=True)
    columns = ", ".join(f"{shown(field.name)} ({shown(str(field.type))})" for field in list(schema)[:12])
    return Look(
        fault=f"it has no column of text `{shown(text_field)}`, but {columns}; {cure(record, text_field)}"
    )


def _example(type_: Any) -> Any:
    """A value that stands for a column's type."""
    import pyarrow as pa

    from corpusmill.pipelines.sources.assembly.tables import is_text

    if isinstance(type_, pa.BaseExtensionType):
        return _example(type_.storage_type)
    if pa.types.is_run_end_encoded(type_):
        return _example(type_.value_type)
    if is_text(type_):
        return "-"
    if pa.types.is_struct(type_):
        return {field.name: _example(field.type) for field in type_}
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return [_example(type_.value_type)]
    return 0
