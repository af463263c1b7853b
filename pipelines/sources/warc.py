"""WARC and WET files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from corpusmill.pipelines.sources.reader import Batch, Label, Reader, Split

if TYPE_CHECKING:
    from corpusmill.pipelines.sources.assembly.batches import Collector
    from corpusmill.pipelines.sources.framing.archive_index import RecordHead
    from corpusmill.pipelines.sources.looking.look import Look


class _ByKind:
    """`Warc.produces`: which columns are filled depends on the option `kind`."""

    def __get__(self, reader: Warc | None, owner: type[Warc]) -> tuple[str, ...]:
        return ("text",) if reader is not None and reader.kind == "conversion" else ("raw",)


class Warc(Reader):
    """Reads WARC files (ISO 28500; .warc, .warc.gz, .warc.zst without dictionary), one record a page.

    With `kind: response` each HTTP response becomes a raw page: `raw` holds the body with chunks and
    content encodings undone, `content_type` its header, `text` is null until `extract`. With
    `kind: conversion` (WET files: .warc.wet, .warc.wet.gz) each conversion record's text becomes the document
    and there is no `raw`.

    Ids: from WARC-Record-ID (else the URL) and the content. `meta`: `warc_record_id`, `warc_date`,
    `http_status`, `warc_truncated` where the crawler cut the page, and of WET files
    `warc_identified_content_language`.

    Removed: `not_response` (requests, metadata, DNS, ...; `not_conversion` for WET), `revisit`,
    `http_status` (not 200), `not_html` (by its media type, read as browsers read it, or by its first bytes:
    JSON, scripts, style sheets, images, PDF), `too_large`. Quarantined: `bad_http`, `bad_content_encoding`,
    `bad_utf8`. `max_record_bytes` bounds a record as stored and once decoded; larger ones are never held.

    Differences from warcio and fastwarc, which give fewer records without an error where a file is cut or
    corrupt: every gzip member, zstd frame, Content-Length and closing line break is proved when the file
    is indexed, damage is counted, and reading goes on at the next sound record.
    """

    libraries: ClassVar[tuple[str, ...]] = ("brotli", "zstandard")
    produces: ClassVar[tuple[str, ...]] = cast("tuple[str, ...]", _ByKind())

    kind: Literal["response", "conversion"] = "response"
    max_record_bytes: int = Field(default=64 * 2**20, ge=1)

    def look(self, path: Path) -> Look:
        """Whether a record begins in the first MiB."""
        from corpusmill.pipelines.sources.framing.warc_records import WARC
        from corpusmill.pipelines.sources.looking.framed import look_at_archive

        return look_at_archive(path, WARC, "warc")

    def index(self, path: Path) -> list[Split]:
        """Splits at record starts; memory independent of file and record sizes."""
        from corpusmill.pipelines.sources.framing.archive_index import index_archive
        from corpusmill.pipelines.sources.framing.warc_records import WARC

        return index_archive(path, self.split_bytes, WARC)

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Batches of the records that start in `split`. Raises DataError if the file changed since."""
        from corpusmill.pipelines.sources.assembly.batches import Collector
        from corpusmill.pipelines.sources.framing.archive_index import records
        from corpusmill.pipelines.sources.framing.warc_records import WARC

        collector = Collector(label, raw=self.kind == "response")
        for head, block in records(path, split, WARC, self.max_record_bytes):
            position = f"{name}, byte {head.position}"
            if self.kind == "response":
                self._page(collector, head, block, position)
            else:
                self._conversion(collector, head, block, position)
            if collector.full:
                yield collector.take()
        if not collector.empty:
            yield collector.take()

    def _page(self, collector: Collector, head: RecordHead, block: bytes | None, position: str) -> None:
        from corpusmill.pipelines.sources.assembly.pages import add_page

        kind = head.fields.get("warc-type", "")
        url = target(head)
        if kind == "revisit":
            collector.remove("revisit", head.length, position, data=url.encode())
        elif kind != "response" or not is_http(head, url):
            collector.remove("not_response", head.length, position, kind[:40], url.encode())
        elif block is None:
            detail = f"over {self.max_record_bytes} bytes"
            collector.remove("too_large", head.length, position, detail, url.encode())
        else:
            locator = head.fields.get("warc-record-id") or url
            add_page(collector, block, url, locator, position, self.max_record_bytes, head_meta(head))

    def _conversion(self, collector: Collector, head: RecordHead, block: bytes | None, position: str) -> None:
        kind = head.fields.get("warc-type", "")
        url = target(head)
        if kind != "conversion":
            collector.remove("not_conversion", head.length, position, kind[:40], url.encode())
        elif block is None:
            detail = f"over {self.max_record_bytes} bytes"
            collector.remove("too_large", head.length, position, detail, url.encode())
        else:
            try:
                block.decode("utf-8")
            except UnicodeDecodeError as error:
                collector.quarantine("bad_utf8", head.length, position, str(error), block)
                return
            locator = head.fields.get("warc-record-id") or url
            collector.add(locator, block, text=block, url=url or None, meta=head_meta(head))


def target(head: RecordHead) -> str:
    """The record's URL; some writers put it in angle brackets against the standard."""
    url = head.fields.get("warc-target-uri", "")
    return url[1:-1] if url.startswith("<") and url.endswith(">") else url


def is_http(head: RecordHead, url: str) -> bool:
    """Whether a response record holds HTTP (a DNS lookup is a response, too)."""
    kind = head.fields.get("content-type", "").lower()
    return kind.startswith("application/http") if kind else url.lower().startswith("http")


def head_meta(head: RecordHead) -> dict[str, str]:
    """What of the record's head is kept with the document."""
    names = ("warc-record-id", "warc-date", "warc-truncated", "warc-identified-content-language")
    return {name.replace("-", "_"): head.fields[name] for name in names if name in head.fields}
