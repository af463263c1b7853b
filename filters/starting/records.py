"""The first records of a file: which options its reader needs to find the text, and some of the texts."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.filters.starting.columns import Date, columns_of
from corpusmill.filters.starting.members import ArchiveFault, member_texts, members_told
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.sources.assembly.field_paths import at_path
from corpusmill.pipelines.sources.assembly.fields import FieldMap
from corpusmill.pipelines.sources.assembly.json_limits import load_json
from corpusmill.pipelines.sources.assembly.messages import MessageTemplate, NoMessagesError
from corpusmill.pipelines.sources.looking.fields_seen import LIKELY, likely_text, text_by_name
from corpusmill.pipelines.sources.looking.formats import format_of, head_of
from corpusmill.pipelines.sources.looking.look import NOTHING, Look
from corpusmill.pipelines.sources.reader import Label, Reader

if TYPE_CHECKING:
    import pyarrow as pa

READERS = "pipelines"
NO_RECORD = "no record is in it"  # of a file that is none the less of its format
RECORDS = ("jsonl", "csv", "parquet", "arrow", "hugging_face")
TEXTS = 40  # of a file that are looked at
FILE_BYTES = 2**16  # of a file that is one text
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_DELIMITERS = (",", "\t", ";", "|")
# Fields that make one text where no field holds it all.
_PARTS = (
    ("instruction", "input", "output"),
    ("instruction", "context", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("query", "response"),
)
_WHOLE_TEXTS = tuple(name for name in LIKELY if name not in ("completion", "output", "abstract"))
_ROLES, _CONTENTS = ("role", "from"), ("content", "value", "text")
Options = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """What one file shows: the options of its reader, or why no reader reads it, with a cure."""

    options: Options
    fault: str | None = None
    code: bool = False  # whether its texts are source code
    date: Date | None = None  # of its records
    notes: tuple[str, ...] = ()  # what else is told of it


def reader_of(kind: str, files: list[str], options: Mapping[str, Any]) -> Reader:
    """The reader of that name. Raises pydantic's ValidationError for options that it does not take."""
    made = find(READERS, kind).model_validate({"files": files, **options})
    assert isinstance(made, Reader)
    return made


def finding(kind: str, path: Path, given: Options | None = None) -> Finding:
    """The options with which the reader `kind` finds texts in a file, those `given` among them. Raises
    OSError."""
    given = given or {}
    first = _look(kind, path, given)
    if kind in ("tar", "zip"):
        return _of_archive(kind, path, first)
    if first.empty:
        return Finding({}, NO_RECORD)
    if first.fault is None and first.damage is None:
        return _with_columns(kind, path, given)
    for found in _candidates(kind, path):
        options = {**given, **found}
        look = _look(kind, path, options)
        if look.sound or look == NOTHING:
            return _with_columns(kind, path, options)
    return Finding({}, first.fault or first.damage)


def _with_columns(kind: str, path: Path, options: Options) -> Finding:
    """The options with those for the columns that the first records have."""
    found = columns_of(islice(_records(kind, path, options), TEXTS), options)
    more = {"fields": found.fields} if found.fields else {}
    return Finding({**options, **more}, code=found.code or kind == "tree", date=found.date)


def _look(kind: str, path: Path, options: Options) -> Look:
    return reader_of(kind, [path.name], options).look(path)


def _candidates(kind: str, path: Path) -> Iterator[Options]:
    """Options that may suit, likeliest first."""
    for outer in _delimiters(path) if kind == "csv" else [{}]:
        record = next(_records(kind, path, outer), None)
        if record is None:
            continue
        whole = text_by_name(record, _WHOLE_TEXTS)
        if whole is not None:
            yield {**outer, "text_field": whole}
        for names in _PARTS:
            if all(isinstance(record.get(name), str) for name in names):
                yield {**outer, "text_from": list(names)}
        named = text_by_name(record)
        if named is not None:
            yield {**outer, "text_field": named}
        messages = _messages(record)
        if messages is not None:
            yield {**outer, **messages}
        likely = likely_text(record)
        if likely is not None:
            yield {**outer, "text_field": likely}


def _delimiters(path: Path) -> list[Options]:
    """Delimiters that stand in the first line of a file, the most frequent first; a comma needs no option."""
    first = head_of(path)[0].split(b"\n", 1)[0].decode("utf-8", "replace")
    found = sorted((one for one in _DELIMITERS if one in first), key=first.count, reverse=True) or [","]
    return [{} if one == "," else {"delimiter": one} for one in found]


def _messages(record: Mapping[str, Any]) -> Options | None:
    """The options for a field that is a list of messages of a dialogue; None where there is none."""
    for name, listed in record.items():
        if isinstance(listed, list) and listed and isinstance(listed[0], dict):
            role = next((one for one in _ROLES if isinstance(listed[0].get(one), str)), None)
            content = next((one for one in _CONTENTS if isinstance(listed[0].get(one), str)), None)
            if role is not None and content is not None:
                return {"text_field": name, "template": f"{{{role}}}: {{{content}}}"}
    return None


def _records(kind: str, path: Path, options: Options) -> Iterator[dict[str, Any]]:
    """The first records of a file of records, as mappings; none of other kinds."""
    if kind == "hugging_face":
        inner = _kind_of_data(path)
        yield from _records(inner, path, {**(_delimiters(path)[0] if inner == "csv" else {}), **options})
    elif kind == "jsonl":
        head, whole = head_of(path)
        lines = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        for line in lines if whole else lines[:-1]:
            try:
                record = load_json(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record
    elif kind == "csv":
        head, whole = head_of(path)
        text = io.StringIO(head.decode("utf-8-sig", "replace"), newline="")
        try:
            for row in csv.DictReader(text, delimiter=options.get("delimiter", ",")):
                yield {str(name): value for name, value in row.items() if name is not None}
        except csv.Error:  # whatever is odd there, the reader's own look tells it
            return
    elif kind in ("parquet", "arrow"):
        yield from _rows_of(_first_batch(kind, path))


def _kind_of_data(path: Path) -> str:
    """The reader of a file of a data set, as `hugging_face` chooses it."""
    head, _ = head_of(path)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return format_of(head) or ("jsonl" if not text or text[:1] in (b"{", b"[") else "csv")


def _first_batch(kind: str, path: Path) -> pa.RecordBatch | None:
    """Rows of the first batch of a file; None where it is damaged, which its look or a run tells."""
    import pyarrow as pa
    import pyarrow.ipc as ipc
    import pyarrow.parquet as pq

    try:
        if kind == "parquet":
            with pq.ParquetFile(path) as table:
                return next(table.iter_batches(batch_size=TEXTS), None)
        with path.open("rb") as file:
            try:
                return ipc.open_file(file).get_batch(0).slice(0, TEXTS)
            except (pa.ArrowInvalid, IndexError):
                file.seek(0)
                return ipc.open_stream(file).read_next_batch().slice(0, TEXTS)
    except (pa.ArrowException, StopIteration, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return None


def _rows_of(batch: pa.RecordBatch | None) -> Iterator[dict[str, Any]]:
    """Rows as mappings, with values as readers give them; columns of bytes that are text as text."""
    from corpusmill.pipelines.sources.assembly.arrow_values import plain_values
    from corpusmill.pipelines.sources.assembly.tables import is_text

    if batch is None:
        return
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        values = column.to_pylist() if is_text(column.type) else plain_values(column)
        columns[name] = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
    for row in range(batch.num_rows):
        yield {name: values[row] for name, values in columns.items()}


def texts_of(kind: str, path: Path, options: Options) -> list[str]:
    """Some texts of a file, without tags of pages; none where they cannot be had quickly. Raises OSError."""
    if kind in RECORDS:
        records = islice(_records(kind, path, options), TEXTS)
        return [text for record in records if (text := _text(record, options))]
    if kind in ("warc", "arc"):
        return [_TAGS.sub(" ", text) for text in _pages(kind, path, options)]
    if kind in ("text", "html"):
        head, _ = head_of(path)
        text = head[:FILE_BYTES].decode("utf-8", "replace")
        return [_TAGS.sub(" ", text) if kind == "html" else text]
    if kind in ("tar", "zip") and options.get("include"):
        return member_texts(kind, path, options["include"], TEXTS, FILE_BYTES)
    return []


def _text(record: Mapping[str, Any], options: Options) -> str | None:
    value = at_path(dict(record), options.get("text_field", "text"))
    if value is None and "text_from" in options:
        return FieldMap(joined=tuple(options["text_from"])).joined_text(record)
    if "template" in options:
        try:
            return MessageTemplate(options["template"], "\n").join(value)[0]
        except NoMessagesError:
            return None
    return value if isinstance(value, str) else None


def _pages(kind: str, path: Path, options: Options) -> Iterator[str]:
    """Pages of the first MiB of a file of records."""
    head, _ = head_of(path)
    with tempfile.TemporaryDirectory(prefix="corpusmill-init-") as folder:
        cut = Path(folder) / f"head.{kind}"
        cut.write_bytes(head)
        reader = reader_of(kind, [cut.name], options)
        count = 0
        for split in reader.index(cut):
            if split.fault is not None:
                continue
            for batch in reader.read(cut, cut.name, split, Label("s", "s")):
                docs = batch.documents
                column = "raw" if "raw" in docs.table.column_names else "text"
                for page in docs.column(column).to_pylist():
                    if count == TEXTS:
                        return
                    count += 1
                    yield page.decode("utf-8", "replace") if isinstance(page, bytes) else page or ""


def _of_archive(kind: str, path: Path, look: Look) -> Finding:
    """An archive of source code, or of texts."""
    if look.fault is not None or look.damage is not None:
        return Finding({}, look.fault or look.damage)
    try:
        options, code = members_told(kind, path)
    except ArchiveFault as fault:
        return Finding({}, str(fault))
    return Finding(options, code=code)
