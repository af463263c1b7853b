"""The first records of a file: which options its reader needs to find the text, and some of the texts."""

from __future__ import annotations

import csv
import io
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.recipe.registry import find
from corpusmill.pipelines.sources.assembly.code_languages import code_language
from corpusmill.pipelines.sources.assembly.field_paths import at_path
from corpusmill.pipelines.sources.assembly.json_limits import load_json
from corpusmill.pipelines.sources.assembly.messages import MessageTemplate, NoMessagesError
from corpusmill.pipelines.sources.looking.fields_seen import likely_text
from corpusmill.pipelines.sources.looking.formats import head_of
from corpusmill.pipelines.sources.looking.look import NOTHING, Look
from corpusmill.pipelines.sources.reader import Label, Reader

READERS = "pipelines"
TEXTS = 40  # of a file that are looked at
FILE_BYTES = 2**16  # of a file that is one text
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_DELIMITERS = (",", "\t", ";", "|")
_ROLES, _CONTENTS = ("role", "from"), ("content", "value", "text")
Options = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """What one file shows: the options of its reader, or why no reader reads it, with a cure."""

    options: Options
    fault: str | None = None


def reader_of(kind: str, files: list[str], options: Mapping[str, Any]) -> Reader:
    """The reader of that name. Raises pydantic's ValidationError for options that it does not take."""
    made = find(READERS, kind).model_validate({"files": files, **options})
    assert isinstance(made, Reader)
    return made


def finding(kind: str, path: Path) -> Finding:
    """The options with which the reader `kind` finds texts in a file. Raises OSError."""
    if kind in ("tar", "zip"):
        return _of_archive(kind, path)
    first = _look(kind, path, {})
    if first.fault is None and first.damage is None:
        return Finding({})
    for options in _candidates(kind, path):
        look = _look(kind, path, options)
        if look.sound or look == NOTHING:
            return Finding(options)
    return Finding({}, first.fault or first.damage)


def _look(kind: str, path: Path, options: Options) -> Look:
    return reader_of(kind, [path.name], options).look(path)


def _candidates(kind: str, path: Path) -> Iterator[Options]:
    """Options that may suit, likeliest first."""
    for outer in _delimiters(path) if kind == "csv" else [{}]:
        record = next(_records(kind, path, outer), None)
        if record is None:
            continue
        messages = _messages(record)
        likely = likely_text(record)
        if messages is not None and likely is None:
            yield {**outer, **messages}
        if likely is not None:
            yield {**outer, "text_field": likely}
        if messages is not None:
            yield {**outer, **messages}


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
    if kind == "jsonl":
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
    elif kind == "parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=TEXTS):
                yield from batch.to_pylist()
    elif kind == "arrow":
        yield from _arrow_rows(path)


def _arrow_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of the first batch of an Arrow file or stream; none where it is damaged, which its look tells."""
    import pyarrow as pa
    import pyarrow.ipc as ipc

    with path.open("rb") as file:
        try:
            batch = ipc.open_file(file).get_batch(0)
        except (pa.ArrowInvalid, IndexError):
            file.seek(0)
            try:
                batch = ipc.open_stream(file).read_next_batch()
            except (pa.ArrowInvalid, StopIteration):
                return []
    rows: list[dict[str, Any]] = batch.slice(0, TEXTS).to_pylist()
    return rows


def texts_of(kind: str, path: Path, options: Options) -> list[str]:
    """Some texts of a file, without tags of pages; none where they cannot be had quickly. Raises OSError."""
    if kind in ("jsonl", "csv", "parquet", "arrow"):
        records = islice(_records(kind, path, options), TEXTS)
        return [text for record in records if (text := _text(record, options))]
    if kind in ("warc", "arc"):
        return [_TAGS.sub(" ", text) for text in _pages(kind, path, options)]
    if kind in ("text", "html"):
        head, _ = head_of(path)
        text = head[:FILE_BYTES].decode("utf-8", "replace")
        return [_TAGS.sub(" ", text) if kind == "html" else text]
    return []


def _text(record: Mapping[str, Any], options: Options) -> str | None:
    value = at_path(dict(record), options.get("text_field", "text"))
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


def _of_archive(kind: str, path: Path) -> Finding:
    """An archive of source code, or of texts, by the names of its first members."""
    look = _look(kind, path, {})
    if look.fault is not None or look.damage is not None:
        return Finding({}, look.fault or look.damage)
    try:
        names = list(islice(_members(kind, path), 1000))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, DataError) as error:
        return Finding({}, f"its members cannot be listed ({error}); fetch or copy the file again")
    if any(code_language(name.rsplit("/", 1)[-1]) is not None for name in names):
        return Finding({})
    suffixes = sorted({Path(name).suffix for name in names if Path(name).suffix in (".txt", ".text", ".tex")})
    if suffixes:
        return Finding({"include": suffixes})
    return Finding({}, "it holds no source code and no text; unpack it, and look at the folder again")


def _members(kind: str, path: Path) -> Iterator[str]:
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            yield from (name for name in archive.namelist() if not name.endswith("/"))
        return
    head, _ = head_of(path)
    with tarfile.open(fileobj=io.BytesIO(head), mode="r:") as archive:
        try:
            for member in archive:
                if member.isfile():
                    yield member.name
        except (tarfile.ReadError, EOFError):  # the head was cut within a member
            return
