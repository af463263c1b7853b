"""From archived HTTP responses to rows of raw pages: the same judgements for WARC and ARC."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.extraction.media_type import media_type
from corpusmill.pipelines.sources.assembly.batches import Collector
from corpusmill.pipelines.sources.assembly.page_signs import looks_like_html, other_than_html
from corpusmill.pipelines.sources.framing.http_response import (
    BodyError,
    BodyTooLargeError,
    HeadError,
    decoded_body,
    parse_response,
)

HTML_TYPES = ("text/html", "application/xhtml+xml")


def add_page(
    collector: Collector,
    block: bytes,
    url: str,
    locator: str,
    position: str,
    limit: int,
    meta: dict[str, Any],
) -> None:
    """Judge one response record's block and add the page, or say why it is none.

    Removed: `http_status` (not 200), `not_html` (by its media type or, sent as a page, by its first bytes),
    `too_large` (more than `limit` bytes once decoded). Quarantined: `bad_http` (no status line, or a
    head of over 256 KiB), `bad_content_encoding`.
    """
    try:
        response = parse_response(block)
    except HeadError as error:
        collector.quarantine("bad_http", len(block), position, str(error), block)
        return
    if response is None:
        collector.quarantine("bad_http", len(block), position, "no HTTP status line", block)
        return
    size = len(block) - response.start
    if response.status != 200:
        collector.remove("http_status", size, position, f"HTTP status {response.status}", url.encode())
        return
    kind = media_type(response.content_type).essence
    if kind and kind not in HTML_TYPES:
        collector.remove("not_html", size, position, kind[:100], url.encode())
        return
    try:
        body = decoded_body(response, limit)
    except BodyTooLargeError:
        collector.remove("too_large", size, position, f"over {limit} bytes once decoded", url.encode())
        return
    except BodyError as error:
        collector.quarantine("bad_content_encoding", size, position, str(error), response.body)
        return
    if not kind and not looks_like_html(body):
        collector.remove("not_html", size, position, "no Content-Type", url.encode())
        return
    meta = {**meta, "http_status": response.status}
    # Header bytes were read as latin-1, which cannot fail; what is stored must be what was sent.
    add_body(collector, body, size, url, locator, position, response.content_type, meta)


def add_body(
    collector: Collector,
    body: bytes | memoryview,
    size: int,
    url: str,
    locator: str,
    position: str,
    content_type: str,
    meta: dict[str, Any],
) -> None:
    """Add what was sent as a page, of `size` bytes as stored, unless its first bytes say that it is none.

    An empty `url` or `content_type` becomes null.
    """
    other = other_than_html(body)
    if other is not None:
        collector.remove("not_html", size, position, f"{other} by its first bytes", url.encode())
        return
    collector.add(locator, body, url=url or None, meta=meta, content_type=content_type or None)
