"""Look at the first records of a file, as the readers of records will read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from corpusmill.pipelines.sources.assembly.fields import take_text
from corpusmill.pipelines.sources.looking.fields_seen import cure, fields, likely_text, shown
from corpusmill.pipelines.sources.looking.formats import format_of, head_of, wrong_format

RECORDS = 10  # of one file


@dataclass(frozen=True)
class Look:
    """What the beginning of a file shows: that it can be read, that it is `empty` (holds no record), or a
    `fault` with its cure; else nothing."""

    sound: bool = False
    fault: str | None = None
    empty: bool = False


NOTHING = Look()
EMPTY = Look(empty=True)


def look_at_format(path: Path, wanted: str | None) -> Look:
    """Whether a file begins as files of a format do; `wanted` None: as text."""
    head, whole = head_of(path)
    if whole and not head.strip(b"\0" if wanted == "tar" else None):  # an empty tar is blocks of zeros
        return EMPTY
    fault = wrong_format(head, wanted)
    return Look(sound=wanted is None or format_of(head) == wanted) if fault is None else Look(fault=fault)


def look_at_lines(path: Path, text_field: str) -> Look:
    """At most `RECORDS` lines of the first MiB of JSON Lines. Lines that are no JSON tell nothing."""
    from corpusmill.pipelines.sources.assembly.json_limits import load_json

    head, whole = head_of(path)
    fault = wrong_format(head, "jsonl")
    if fault:
        return Look(fault=fault)
    head = head.removeprefix(b"\xef\xbb\xbf")
    lines = head.split(b"\n")
    if not whole:
        lines.pop()  # cut somewhere
    lines = [line for line in lines if line.strip()]
    if whole and not lines:
        return EMPTY
    records: list[Any] = []
    for line in lines[:RECORDS]:
        try:
            records.append(load_json(line))
        except ValueError:
            continue
    objects = [record for record in records if isinstance(record, dict)]
    if any(isinstance(take_text(dict(record), text_field), str) for record in objects):
        return Look(sound=True)
    start = head.lstrip()[:1]
    if start == b"[" and len(objects) < len(lines[:RECORDS]) - len(objects):
        if len(lines) > 1 and all(isinstance(record, list) for record in records) and records:
            return Look(
                fault=f"its lines are JSON lists, not objects; write {{{_quoted(text_field)}: ...}} a line"
            )
        return Look(fault=f"it is one JSON list, not one record a line; {_jq('.[]', path)}")
    if not objects:
        pretty = not records and lines and lines[0].strip() == b"{"
        message = f"its first record goes over several lines; {_jq('.', path)}"
        return Look(fault=message) if pretty else NOTHING
    first = objects[0]
    if whole and len(lines) == 1:
        wrapped = _wrapped(first)
        if wrapped is not None:
            return Look(fault=f"its records are a list inside one object; {_jq(f'.{wrapped}[]', path)}")
    return Look(fault=without_text(first, text_field))


def without_text(record: dict[str, Any], text_field: str) -> str:
    """What to say of a first record in which `text_field` is no text."""
    value = record.get(text_field)
    what = f"no field `{shown(text_field)}`" if value is None else f"no text in `{shown(text_field)}`"
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


def look_at_columns(path: Path, text_field: str) -> Look:
    """The columns of a Parquet file, from its footer alone."""
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return EMPTY
    fault = wrong_format(head, "parquet")
    if fault:
        return Look(fault=fault)
    try:
        footer = pq.read_metadata(path, memory_map=False)
        schema = footer.schema.to_arrow_schema()
    except Exception:  # noqa: BLE001  # whatever Arrow raises: the run's ledger decides about damage
        return NOTHING
    if footer.num_rows == 0:
        return EMPTY
    record = {field.name: _example(field.type) for field in schema}
    if isinstance(take_text(dict(record), text_field), str):
        return Look(sound=True)
    columns = ", ".join(f"{shown(field.name)} ({shown(str(field.type))})" for field in list(schema)[:12])
    return Look(
        fault=f"it has no column of text `{shown(text_field)}`, but {columns}; {cure(record, text_field)}"
    )


def _example(type_: Any) -> Any:
    """A value that stands for a column's type."""
    import pyarrow as pa

    from corpusmill.pipelines.sources.assembly.tables import is_text

    if is_text(type_):
        return "-"
    if pa.types.is_struct(type_):
        return {field.name: _example(field.type) for field in type_}
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return [_example(type_.value_type)]
    return 0
