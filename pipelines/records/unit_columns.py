"""Receipts of many units as columns: what a segment of a manifest holds.

One row a unit, in order; its number follows from its place. Columns:

    rows         int64
    text_bytes   int64        bytes of the documents written, 0 where none are
    files        list of      name (utf8, `%` for the unit's number), bytes (int64), sha256 (16 bytes),
                              rest (16 bytes or null: the second half of a whole SHA-256), batches (16
                              bytes or null)
    part         utf8         JSON of what is particular to the operator, or null; of one source's documents
                              without their number and bytes, which are `rows` and `text_bytes`
    ledger       utf8         JSON of the ledger's entries, without figures that follow from the others
    key          16 bytes     what the unit's output follows from, or null

As JSON a million receipts are gigabytes, and every reader parses them all; as columns they are about a
hundred bytes each, and whoever looks at sizes reads sizes. Cost: about 20 us a receipt each way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.records.codec import Json, decode, encode
from corpusmill.pipelines.records.receipt import DatasetPart, FileEntry, Receipt

if TYPE_CHECKING:
    import pyarrow as pa

FILES, FACTS, KEYS = ("files",), ("rows", "text_bytes", "part"), ("key",)
_NUMBER = re.compile(r"(?<!\d)\d{5,}(?!\d)")


def schema() -> pa.Schema:
    """The columns of a segment."""
    import pyarrow as pa

    file = pa.struct(
        [
            pa.field("name", pa.string(), nullable=False),
            pa.field("bytes", pa.int64(), nullable=False),
            pa.field("sha256", pa.binary(16), nullable=False),
            pa.field("rest", pa.binary(16)),
            pa.field("batches", pa.binary(16)),
        ]
    )
    return pa.schema(
        [
            pa.field("rows", pa.int64(), nullable=False),
            pa.field("text_bytes", pa.int64(), nullable=False),
            pa.field("files", pa.list_(file), nullable=False),
            pa.field("part", pa.string()),
            pa.field("ledger", pa.string(), nullable=False),
            pa.field("key", pa.binary(16)),
        ]
    )


def pattern_of(name: str, unit: int) -> str:
    """A file's name with `%` for its unit's number; with `=` before it where that cannot be told back."""
    number = f"{unit:05d}"
    if "%" in name or name.startswith("="):
        return f"={name}"
    at = next((found.start() for found in _NUMBER.finditer(name) if found.group() == number), None)
    return name if at is None else f"{name[:at]}%{name[at + len(number) :]}"


def unit_of(name: str) -> int | None:
    """The first number of five or more digits in a file's name: that of its unit, if it has one."""
    found = _NUMBER.search(name)
    return None if found is None else int(found.group())


def _name(pattern: str, unit: int) -> str:
    return pattern[1:] if pattern.startswith("=") else pattern.replace("%", f"{unit:05d}", 1)


def renamed(name: str, unit: int, number: int) -> str:
    """The name that a file of `unit` has as a file of the unit `number`."""
    return _name(pattern_of(name, unit), number)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def columns_of(receipts: Sequence[Receipt]) -> pa.RecordBatch:
    """Receipts of units with numbers that follow one another."""
    import pyarrow as pa

    form = schema()
    entries = [(unit.unit, file) for unit in receipts for file in unit.files]
    ends = [0]
    for unit in receipts:
        ends.append(ends[-1] + len(unit.files))
    kinds = {field.name: field.type for field in form.field("files").type.value_type}
    digests = [bytes.fromhex(file.sha256) for _, file in entries]
    stored = {
        "name": [pattern_of(file.name, number) for number, file in entries],
        "bytes": [file.bytes for _, file in entries],
        "sha256": [digest[:16] for digest in digests],
        "rest": [digest[16:] or None for digest in digests],
        "batches": [None if file.batches is None else bytes.fromhex(file.batches) for _, file in entries],
    }
    files = pa.StructArray.from_arrays(
        [pa.array(stored[name], kind) for name, kind in kinds.items()],
        fields=list(form.field("files").type.value_type),
    )
    coded = [encode(unit) for unit in receipts]
    columns = [
        pa.array([unit.rows for unit in receipts], pa.int64()),
        pa.array([_text_bytes(unit) for unit in receipts], pa.int64()),
        pa.ListArray.from_arrays(pa.array(ends, pa.int32()), files, type=form.field("files").type),
        pa.array([_json(_short_part(unit)) if "part" in unit else None for unit in coded], pa.string()),
        pa.array([_json([_short(entry) for entry in unit.get("ledger", [])]) for unit in coded], pa.string()),
        pa.array([None if unit.key is None else bytes.fromhex(unit.key) for unit in receipts], pa.binary(16)),
    ]
    return pa.record_batch(columns, schema=form)


def _short_part(unit: Json) -> Json:
    """The part of a receipt; the figures of a unit with documents of one source are those of the unit."""
    part: Json = unit["part"]
    if part["kind"] != DatasetPart.KIND or len(part["sources"]) != 1:
        return part
    ((source, (documents, _)),) = part["sources"].items()
    return {**part, "sources": {source: None}} if documents == unit["rows"] else part


def _whole_part(part: Json, rows: int, text_bytes: int) -> Json:
    """The part that `_short_part` shortened."""
    sources = part.get("sources")
    if not isinstance(sources, dict) or list(sources.values()) != [None]:
        return part
    return {**part, "sources": {source: [rows, text_bytes] for source in sources}}


def _following(entry: Json) -> Json:
    """Figures of an entry of a ledger that balances, of a stage that changes no text: from its others."""
    lost = [*entry["removed"].values(), *entry["quarantined"].values()]
    kept = entry["bytes_in"] - sum(size for _, size in lost) - sum(entry.get("cut", {}).values())
    documents = entry["documents_in"] - sum(count for count, _ in lost)
    return {"documents_kept": documents, "bytes_kept": kept, "bytes_out": entry.get("bytes_kept", kept)}


def _short(entry: Json) -> Json:
    """An entry of a ledger without what follows from it."""
    following = {**_following(entry), "removed": {}, "quarantined": {}}
    return {name: value for name, value in entry.items() if following.get(name) != value}


def _whole(entry: Json) -> Json:
    """The entry that `_short` shortened."""
    entry = {"removed": {}, "quarantined": {}} | entry
    return _following(entry) | entry


def _text_bytes(unit: Receipt) -> int:
    part = unit.part
    return sum(size for _, size in part.sources.values()) if isinstance(part, DatasetPart) else 0


def files_of(batch: pa.RecordBatch, place: int, unit: int) -> tuple[FileEntry, ...]:
    """The files of the unit with this number, from the row at `place`."""
    return tuple(
        FileEntry(
            _name(file["name"], unit),
            file["bytes"],
            (file["sha256"] + (file["rest"] or b"")).hex(),
            None if file["batches"] is None else file["batches"].hex(),
        )
        for file in batch.column("files")[place].as_py()
    )


def receipts_of(batch: pa.RecordBatch, first: int, where: str) -> list[Receipt]:
    """All receipts of a segment whose first unit has the number `first`; `where` names its file for errors.

    Raises IntegrityError where a column holds what no receipt does.
    """
    every = range(batch.num_rows)
    return [_receipt(batch, place, first + place, where) for place in every]


def receipt_of(batch: pa.RecordBatch, place: int, unit: int, where: str) -> Receipt:
    """The receipt of the unit with this number, from the row at `place`. Raises as `receipts_of`."""
    return _receipt(batch, place, unit, where)


def _receipt(batch: pa.RecordBatch, place: int, unit: int, where: str) -> Receipt:
    facts = facts_of(batch, place, unit, where, ("part", "ledger"))
    key = batch.column("key")[place].as_py()
    files = files_of(batch, place, unit)
    return Receipt(unit, facts.rows, files, facts.ledger, facts.part, None if key is None else key.hex())


def facts_of(
    batch: pa.RecordBatch, place: int, unit: int, where: str, names: Sequence[str] = ("part",)
) -> Receipt:
    """The receipt without its files, and with what is in the columns of these names. Raises as
    `receipts_of`."""
    value: Json = {"unit": unit, "rows": batch.column("rows")[place].as_py(), "files": []}
    try:
        for name in names:
            text = batch.column(name)[place].as_py()
            if text is not None:
                value[name] = json.loads(text)
        if "ledger" in value:
            value["ledger"] = [_whole(entry) for entry in value["ledger"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(f"{where}: unit {unit}: {error}") from error
    if "part" in value:
        text_bytes = batch.column("text_bytes")[place].as_py()
        value["part"] = _whole_part(value["part"], value["rows"], text_bytes)
    return decode(Receipt, value, f"{where}: unit {unit}")
