"""CSV and TSV files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.assembly.record_reader import RecordReader
from corpusmill.pipelines.sources.reader import Batch, Label, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector
    from corpusmill.pipelines.sources.assembly.fields import FieldMap
    from corpusmill.pipelines.sources.framing.csv_records import Record
    from corpusmill.pipelines.sources.looking.look import Look

MAX_FIELDS = 2**16  # of one record
_LONE_CR = re.compile(rb"\r(?!\n)")
HEADER_BYTES = 2**20


class Csv(RecordReader):
    """Reads CSV files (plain, .gz, .zst, .bz2, .xz) in UTF-8, one record a document.

    As RFC 4180 has them: fields in `quote` may hold line ends, delimiters and doubled quotes; a quote
    counts only where a field begins. Lines end in LF or CR LF. A byte-order mark is passed over. Fields are
    mapped as by `jsonl`; all values are texts, and an empty field is no value, but for the text.

    Quarantined one by one, while the rest of the file goes on: `bad_csv` (a quote that opens a field and is
    not closed at its end, which costs its line alone; more or fewer fields than names; over 65,536 fields),
    `bad_utf8`, `no_text`, `binary` (NUL in any field), `too_large` (a record over `max_record_bytes`, never
    held). Blank lines are no records.

    Different from Python's csv: an unclosed quote does not take the rest of the file with it, and records
    with too many fields do not pass. Ranges begin at records: which line ends are inside of quotes is found
    in one pass over the file when it is indexed.
    """

    libraries: ClassVar[tuple[str, ...]] = ("zstandard",)

    delimiter: str = Field(
        ",", min_length=1, max_length=1, description='ASCII character between fields; "\\t" for TSV.'
    )
    quote: str = Field(
        '"',
        min_length=1,
        max_length=1,
        description="ASCII character around fields that hold delimiters or line ends.",
    )
    columns: list[str] | None = Field(
        None, min_length=1, description="Names of the fields, in order; null: the first record names them."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if not (self.delimiter + self.quote).isascii() or set(self.delimiter + self.quote) & set("\n\r\0"):
            raise ValueError("delimiter and quote must be ASCII characters other than line ends")
        if self.delimiter == self.quote:
            raise ValueError("delimiter and quote must be different characters")
        return self

    def index(self, path: Path) -> list[Split]:
        """Ranges of uncompressed bytes that begin at records. Reads the whole file."""
        from corpusmill.pipelines.sources.framing.csv_records import index_csv

        return index_csv(path, self.split_bytes, self.max_record_bytes, self.delimiter, self.quote)

    def look(self, path: Path) -> Look:
        """The names of the fields, and whether the first records have them."""
        from corpusmill.pipelines.sources.looking.look_at_csv import look_at_csv

        return look_at_csv(path, self)

    def header(self, path: Path) -> tuple[list[str], int]:
        """The names of the fields, all different, and where the records begin; no names of a blank file.

        Raises DataError.
        """
        from corpusmill.pipelines.sources.assembly.arrow_values import distinct_names
        from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
        from corpusmill.pipelines.sources.framing.csv_scan import BOM, BROKEN, CsvScanner

        head = ByteStream(path).take(HEADER_BYTES)
        mark = len(BOM) if head.startswith(BOM) else 0
        if self.columns is not None:
            return distinct_names(self.columns), mark
        lines = head if len(head) < HEADER_BYTES else head[: head.rfind(b"\n") + 1]
        scanner = CsvScanner(self.delimiter, self.quote, every=True, first=True)
        begin, end, broken = mark, len(lines), False
        for event, place in scanner.scan(lines):
            if lines[begin:place].strip(b"\r\n"):
                end, broken = place, event == BROKEN
                break
            begin = place
        else:
            broken = scanner.open
        if len(head) < HEADER_BYTES and not lines[begin:].strip(b"\r\n"):
            return [], len(lines)
        first = lines[begin:end]
        if self.quote.encode() not in first and _LONE_CR.search(first.removesuffix(b"\r")):
            raise DataError(
                f"{path.name}, byte {begin}: its lines end in carriage returns alone; end them in line "
                "feeds, such as with `tr '\\r' '\\n'`"
            )
        names = self.split_record(first)
        if names is None or broken or begin == end:
            raise DataError(
                f"{path.name}, byte 0: the first record, which names the fields, cannot be read; mend it, or "
                "name them with `columns`"
            )
        names = [name or str(place + 1) for place, name in enumerate(names)]
        return distinct_names(names), end

    def split_record(self, data: bytes) -> list[str] | None:
        """The fields of a record; None where it is none. Raises UnicodeDecodeError."""
        from corpusmill.pipelines.sources.framing.csv_scan import fields_of

        if data.count(self.delimiter.encode()) > MAX_FIELDS:
            return None
        return fields_of(data.removesuffix(b"\n").removesuffix(b"\r").decode(), self.delimiter, self.quote)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the records of `split`. Raises DataError where the names of the fields cannot be
        read."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.framing.csv_records import CsvRange

        collector, fields = Collector(label), self._field_map()
        try:
            names, begin = self.header(path)
        except UnicodeDecodeError as error:
            raise DataError(f"{name}, byte 0: the names of the fields are no UTF-8: {error}") from error
        read = CsvRange(path, split, self.max_record_bytes, self.delimiter, self.quote)
        for record in read.records():
            if record.start + record.size <= begin and record.broken is None:
                continue  # the names themselves
            self._add(record, names, name, collector, fields)
            if collector.full:
                yield collector.take()
        if not collector.empty:
            yield collector.take()

    def _add(
        self, record: Record, names: list[str], file: str, collector: Collector, fields: FieldMap
    ) -> None:
        from corpusmill.pipelines.sources.assembly.messages import NoMessagesError
        from corpusmill.pipelines.sources.framing.csv_scan import BOM

        position, data = f"{file}, byte {record.start}", record.data
        if record.start == 0:
            data = data.removeprefix(BOM)
        if not data.strip(b"\r\n"):
            return
        if record.size > self.max_record_bytes:
            detail = f"a record over {self.max_record_bytes} bytes"
            collector.quarantine("too_large", record.size, position, detail, data)
            return
        if b"\0" in data:
            collector.quarantine("binary", record.size, position, "NUL in the record", data)
            return
        try:
            row_values = self.split_record(data) if record.broken is None else None
        except UnicodeDecodeError as error:
            collector.quarantine("bad_utf8", record.size, position, str(error), data)
            return
        if row_values is None or len(row_values) != len(names):
            detail = record.broken or f"over {MAX_FIELDS} fields"
            if row_values is not None:
                detail = f"{len(row_values)} fields for {len(names)} names"
            collector.quarantine("bad_csv", record.size, position, detail, data)
            return
        values = {
            key: value for key, value in zip(names, row_values, strict=True) if value or key == fields.text
        }
        try:
            text, detail = fields.take_text(values), f"no field {fields.text!r}"
        except NoMessagesError as error:
            text, detail = None, f"{fields.text!r}: {error}"
        if not isinstance(text, str):
            collector.quarantine("no_text", record.size, position, detail, data)
            return
        row, content = fields.row(values), text.encode()
        collector.add(row.locator, content, text=content, meta=row.meta, **row.columns)
