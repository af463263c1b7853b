"""JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from corpusmill.pipelines.sources.assembly.record_reader import RecordReader
from corpusmill.pipelines.sources.reader import Batch, Label, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector
    from corpusmill.pipelines.sources.assembly.fields import FieldMap
    from corpusmill.pipelines.sources.framing.line_ranges import Block
    from corpusmill.pipelines.sources.looking.look import Look

LARGE = 4 * 2**20  # bytes of a text that is copied once only


class Jsonl(RecordReader):
    """Reads JSON Lines (plain, .gz, .zst, .bz2, .xz): one object a line, one document an object.

    `text_field` and `id_field` name the fields of the text and of the record's own id, by a path where they
    are inside of others (`messages.0.content`); `template` makes a text of messages. The fields `url`,
    `path`, `repo`, `license` and `lang` become columns of that name; `fields: {path: file_name}` takes a
    column from another field, `fields: {lang: null}` leaves it empty. A `lang` that is no language code
    ("Python") stays in `meta`, as do all other fields and the record's own id; nested `meta` and `metadata`
    objects are flattened in. Ids: from the record's id (else its URL, else repository and path) and the text.
    `meta.code_language` is added where the path's suffix tells it. A line as exports of this project
    write it (every field of the document schema, no others but `site`, `bytes`, `held_out` and `scores`,
    `meta` the text of a JSON object) keeps its id and `meta` as they are.

    Quarantined, line by line, while the rest of the file goes on: `bad_json` (not one JSON object, or one of
    over 512 nested levels, 1,048,576 values, 65,536 names of fields or 4,300 digits of a number), `no_text`
    (no such field, not a string, or not the messages that `template` expects), `bad_utf8` (bytes or escapes
    that are no text), `binary` (NUL in the text), `too_large` (a line over `max_record_bytes`, never held).
    Blank lines are no records. Empty texts are documents. As in Python's json, the last of two equal names
    wins and NaN is read (it becomes the string "NaN" in `meta`).

    datatrove 0.10 abandons the rest of a file at a decoding error and drops documents with empty text.
    """

    libraries: ClassVar[tuple[str, ...]] = ("isal", "numba", "zstandard")

    def warm(self) -> None:
        """Compile the line scanner."""
        import numpy as np

        from corpusmill.pipelines.sources.kernels.json_lines import find_text

        none = np.zeros(0, np.int64)
        find_text(np.frombuffer(b"{}", np.uint8), none, none, np.frombuffer(b"text", np.uint8))

    def index(self, path: Path) -> list[Split]:
        """Ranges of uncompressed bytes snapped to line starts."""
        from corpusmill.pipelines.sources.framing.line_ranges import index_lines

        return index_lines(path, self.split_bytes)

    def look(self, path: Path) -> Look:
        """The first records of a file."""
        from corpusmill.pipelines.sources.looking.look import look_at_lines

        return look_at_lines(path, self._field_map())

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the lines of `split`. Raises DataError if the file changed since it was indexed."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.framing.line_ranges import line_blocks

        collector = Collector(label)
        fields = self._field_map()
        for block in line_blocks(path, split, self.max_record_bytes):
            if block.skipped:
                position = f"{name}, byte {block.start}"
                detail = f"a line over {self.max_record_bytes} bytes"
                collector.quarantine("too_large", block.skipped, position, detail, block.data)
                continue
            lines = self._lines(block, name, collector, fields)
            del block  # once its lines are read, a block of one large line has no use
            for _ in lines:
                yield collector.take()
            if collector.full:
                yield collector.take()
        if not collector.empty:
            yield collector.take()

    def _lines(self, block: Block, name: str, collector: Collector, fields: FieldMap) -> Iterator[None]:
        """Add the lines of one block; yields when a batch is full and the block goes on."""
        import numpy as np

        from corpusmill.pipelines.sources.kernels.json_lines import FOUND, find_text

        data, start = block.data, block.start
        array = np.frombuffer(data, np.uint8)
        newlines = np.flatnonzero(array == 10)
        stops_n = newlines if data.endswith(b"\n") else np.append(newlines, len(data))
        starts_n = np.concatenate((np.zeros(1, np.int64), stops_n[:-1] + 1))
        not_empty = stops_n > starts_n  # empty lines, of which a block can hold millions, are no records
        starts_n, stops_n = starts_n[not_empty], stops_n[not_empty]
        # A name that JSON would have to escape is not looked for by its bytes.
        key = json.dumps(self.text_field, ensure_ascii=False)[1:-1]
        fast = self.template is None and key == self.text_field and "\x7f" not in key
        scanned = find_text(
            array, starts_n, stops_n if fast else starts_n, np.frombuffer(key.encode(), np.uint8)
        )
        state, begins, ends, offsets = (column.tolist() for column in scanned[:4])
        text = scanned[4].data
        for row, (first, stop) in enumerate(zip(starts_n.tolist(), stops_n.tolist(), strict=True)):
            added = False
            if state[row] == FOUND and stop - first <= self.max_record_bytes:
                content: bytes | memoryview = text[offsets[row] : offsets[row + 1]]
                if len(content) < LARGE:
                    content = bytes(content)
                rest = data[first : begins[row]] + b"null" + data[ends[row] : stop]
                added = self._add_scanned(content, rest, collector, fields)
            if not added:
                position = f"{name}, byte {start + first}"
                self._add_line(data[first:stop], start + first == 0, position, collector, fields)
            if collector.full and row + 1 < len(starts_n):
                yield

    def _add_scanned(
        self, content: bytes | memoryview, rest: bytes, collector: Collector, fields: FieldMap
    ) -> bool:
        """Add a line whose text was found; false if anything about it needs the full parser's judgement."""
        from corpusmill.pipelines.sources.assembly.json_limits import load_json
        from corpusmill.pipelines.sources.assembly.plain_text import check_utf8

        try:
            if isinstance(content, memoryview):
                check_utf8(content)
            elif not content.isascii():
                content.decode()
            record = load_json(rest)
            del record[self.text_field]
            if collector.restore(record, content, fields):
                return True
            row = fields.row(record)
            collector.add(row.locator, content, text=content, meta=row.meta, **row.columns)
        except ValueError:
            return False  # the full parser finds the same fault again and names it
        return True

    def _add_line(
        self, line: bytes, first: bool, position: str, collector: Collector, fields: FieldMap
    ) -> None:
        from corpusmill.pipelines.sources.assembly.json_limits import load_json
        from corpusmill.pipelines.sources.assembly.messages import NoMessagesError

        if len(line) > self.max_record_bytes:
            detail = f"a line over {self.max_record_bytes} bytes"
            collector.quarantine("too_large", len(line), position, detail, line[:256])
            return
        if first:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            return
        try:
            record: Any = load_json(line)
        except UnicodeDecodeError as error:
            collector.quarantine("bad_utf8", len(line), position, str(error), line)
            return
        except ValueError as error:
            collector.quarantine("bad_json", len(line), position, str(error), line)
            return
        if not isinstance(record, dict):
            collector.quarantine("bad_json", len(line), position, "not an object", line)
            return
        detail = f"no string in field {self.text_field!r}"
        try:
            text = fields.take_text(record)
        except NoMessagesError as error:
            text, detail = None, f"{self.text_field!r}: {error}"
        if not isinstance(text, str):
            collector.quarantine("no_text", len(line), position, detail, line)
            return
        if "\0" in text:
            collector.quarantine("binary", len(line), position, "NUL in the text", line)
            return
        try:
            content = text.encode()
        except UnicodeEncodeError as error:
            collector.quarantine("bad_utf8", len(line), position, str(error), line)
            return
        if collector.restore(record, content, fields):
            return
        row = fields.row(record)
        collector.add(row.locator, content, text=content, meta=row.meta, **row.columns)
