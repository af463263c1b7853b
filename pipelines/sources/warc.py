"""WARC and WET files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from corpusmill.pipelines.sources.reader import Batch, Label, Reader, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.looking.look import Look


class _ByKind:
    """`Warc.produces`: which columns are filled depends on the option `kind`."""

    def __get__(self, reader: Warc | None, owner: type[Warc]) -> tuple[str, ...]:
        return ("text",) if reader is not None and reader.kind == "conversion" else ("raw",)


class Warc(Reader):
    """Reads WARC files (ISO 28500; .warc, .warc.gz, .warc.zst), one record a page.

    With `kind: response` each HTTP response becomes a raw page: `raw` holds the body with chunks and content
    encodings undone, `content_type` its header, `text` is null until `extract`. With `kind: conversion` (WET
    files: .warc.wet, .warc.wet.gz) each conversion record's text becomes the document and there is no `raw`.

    The reader `cdx` reads a part of such files by their index.

    Ids: from WARC-Record-ID (else the URL) and the content. `url` is null for a record without one. `meta`:
    `warc_record_id`, `warc_date`, `http_status`, `warc_truncated` where the crawler cut the page, and of WET
    files `warc_identified_content_language`.

    A .warc.zst may begin with a dictionary, as the IIPC's "Zstandard Compression for WARC Files 1.0" has it.
    A frame whose dictionary is missing is a fault that names the number it needs.

    Removed: records of other types, each under the name of its type (`request`, `metadata`, `warcinfo`,
    `revisit`, `conversion`, `resource`, `response`, `continuation`; `unknown_type` for another), `segmented`
    (the first record of a page that goes on in continuation records), `not_http` (a response of another
    protocol, such as DNS), `http_status` (not 200), `not_html` (by its media type, read as browsers read it,
    or by its first bytes: JSON, scripts, style sheets, images, PDF), `not_text` (a conversion into something
    else), `too_large`. Quarantined: `bad_http`, `bad_content_encoding`, `bad_utf8`, `binary` (NUL in the text
    of a conversion). Records that are too large are never held.

    Differences from warcio and fastwarc, which give fewer records without an error where a file is cut or
    corrupt: every gzip member, zstd frame, Content-Length and closing line break is proved when the file
    is indexed, damage is counted, and reading goes on at the next sound record.
    """

    libraries: ClassVar[tuple[str, ...]] = ("brotli", "isal", "zstandard")
    produces: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", _ByKind())

    kind: Literal["response", "conversion"] = Field(
        "response", description="Records to read: HTTP responses, or texts of WET files."
    )
    resources: bool = Field(
        False, description="Read resource records of HTML as well, pages saved without HTTP."
    )
    dictionary: Path | None = Field(
        None, description="File of the zstd dictionary that frames need where the file holds none."
    )
    max_record_bytes: int = Field(
        64 * 2**20,
        ge=1,
        description="Most bytes of a record, as stored and once decoded; larger ones are removed.",
    )

    def look(self, path: Path) -> Look:
        """Whether a record begins in the first MiB."""
        from corpusmill.pipelines.sources.framing.warc_records import WARC
        from corpusmill.pipelines.sources.looking.framed import look_at_archive

        return look_at_archive(path, WARC, "warc", self.dictionary)

    def index(self, path: Path) -> list[Split]:
        """Splits at record starts; memory independent of file and record sizes."""
        from corpusmill.pipelines.sources.framing.archive_index import index_archive
        from corpusmill.pipelines.sources.framing.warc_records import WARC
        from corpusmill.pipelines.sources.framing.zstd_dictionaries import dictionary_of_option

        return index_archive(path, self.split_bytes, WARC, dictionary_of_option(self.dictionary))

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the records that start in `split`. Raises DataError if the file changed since."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.assembly.warc_rows import WarcRows
        from corpusmill.pipelines.sources.framing.archive_index import records
        from corpusmill.pipelines.sources.framing.warc_records import WARC
        from corpusmill.pipelines.sources.framing.zstd_dictionaries import dictionary_of_option

        collector = Collector(label, raw=self.kind == "response")
        rows = WarcRows(self.kind, self.max_record_bytes, resources=self.resources)
        dictionary = dictionary_of_option(self.dictionary)
        for head, block in records(path, split, WARC, self.max_record_bytes, dictionary):
            rows.add(collector, head, block, f"{name}, byte {head.position}")
            if collector.full:
                yield collector.take()
        if not collector.empty:
            yield collector.take()
