"""From WARC records to rows: which records are documents, and the reason why another is none."""

from __future__ import annotations

from typing import Literal

from corpusmill.pipelines.extraction.media_type import media_type
from corpusmill.pipelines.sources.assembly.batches import Collector
from corpusmill.pipelines.sources.assembly.pages import HTML_TYPES, add_body, add_page
from corpusmill.pipelines.sources.assembly.plain_text import text_fault
from corpusmill.pipelines.sources.framing.archive_index import RecordHead

Kind = Literal["response", "conversion"]
# The types of ISO 28500:2017, 5.5: each is the reason under which its records are counted.
TYPES = {
    "warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation",
}  # fmt: skip
_KEPT = ("warc-record-id", "warc-date", "warc-truncated", "warc-identified-content-language")


class WarcRows:
    """Adds records to a collector as `kind` says: pages of responses, or texts of conversions.

    `resources`: pages of resource records, too. `limit`: bytes of a block, and of a body once decoded.

    Removed: records of other types under the type's name (`request`, `metadata`, `revisit`, ...;
    `unknown_type` for a type that the standard lacks), `not_http` (a response of another protocol, such as
    DNS), `segmented` (a record cut over several, whose rest are `continuation` records), `not_html`,
    `not_text` (a conversion into something else than text), `too_large`, `http_status`. Quarantined:
    `bad_http`, `bad_content_encoding`, `bad_utf8`, `binary`.
    """

    def __init__(self, kind: Kind, limit: int, *, resources: bool = False) -> None:
        self._kind = kind
        self._limit = limit
        self._wanted = {kind, "resource"} if resources else {kind}

    def add(self, collector: Collector, head: RecordHead, block: bytes | None, position: str) -> None:
        """One record: a row, or a loss with its reason. `block` is None where it is over the limit."""
        kind = head.fields["warc-type"].lower()
        url = target(head)
        if kind not in self._wanted:
            why, detail = (kind, "") if kind in TYPES else ("unknown_type", kind[:40])
            collector.remove(why, head.length, position, detail, url.encode())
        elif "warc-segment-number" in head.fields:
            collector.remove("segmented", head.length, position, data=url.encode())
        elif kind == "response" and not is_http(head, url):
            detail = head.fields.get("content-type", "") or url.partition(":")[0]
            collector.remove("not_http", head.length, position, detail[:100], url.encode())
        elif block is None:
            detail = f"over {self._limit} bytes"
            collector.remove("too_large", head.length, position, detail, url.encode())
        elif kind == "response":
            locator = head.fields.get("warc-record-id") or url
            add_page(collector, block, url, locator, position, self._limit, head_meta(head))
        elif kind == "resource":
            self._resource(collector, head, block, url, position)
        else:
            self._conversion(collector, head, block, url, position)

    def _resource(
        self, collector: Collector, head: RecordHead, block: bytes, url: str, position: str
    ) -> None:
        header = head.fields.get("content-type", "")
        kind = media_type(header).essence
        if kind not in HTML_TYPES:
            collector.remove("not_html", head.length, position, kind[:100] or "no Content-Type", url.encode())
            return
        locator = head.fields.get("warc-record-id") or url
        add_body(collector, block, head.length, url, locator, position, header, head_meta(head))

    def _conversion(
        self, collector: Collector, head: RecordHead, block: bytes, url: str, position: str
    ) -> None:
        kind = media_type(head.fields.get("content-type", "")).essence
        if kind and not kind.startswith("text/"):
            collector.remove("not_text", head.length, position, kind[:100], url.encode())
            return
        fault = text_fault(block)
        if fault is not None:
            collector.quarantine(fault[0], head.length, position, fault[1], block)
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
    return {name.replace("-", "_"): head.fields[name] for name in _KEPT if name in head.fields}
