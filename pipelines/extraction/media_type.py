"""What a Content-Type header says, read as browsers read it.

The Fetch standard ("extract a MIME type"): repeated headers and lists are split at commas outside quotes,
values that are no media type are passed over, the last one that is one wins, and it takes over the charset of
those before it that name the same type. As Chromium's parser does, and unlike the MIME Sniffing standard, a
type also ends at white space or a bracket (`text/html charset=utf-8`), and quotes around it are passed over.
Time is linear in the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_QUOTED_OR_COMMA = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|,', re.DOTALL)  # no way back is kept
_NAME = r"[!#$%&*+.^_`|~0-9A-Za-z-]+"
_ESSENCE = re.compile(rf"[\s\"']*({_NAME}/{_NAME})(?=[\s;,(\"']|\Z)")
_CHARSET = re.compile(r"charset\s*=\s*(?:[\"']\s*)?([\w.:+-]+)", re.IGNORECASE)
_USUAL_CHARACTERS = 200


@dataclass(frozen=True)
class MediaType:
    """`essence`: "text/html" in lower case, "" where none can be read; `charset` as written."""

    essence: str
    charset: str | None


def media_type(header: str | None) -> MediaType:
    """The media type and charset of a Content-Type header's value (several joined by commas)."""
    header = header or ""
    return _usual(header) if len(header) <= _USUAL_CHARACTERS else _read(header)


def _read(header: str) -> MediaType:
    essence, charset = "", None
    for value in _values(header):
        found = _ESSENCE.match(value)
        stated = _CHARSET.search(value)
        if found is None:
            if stated is not None and charset is None and not essence:
                charset = stated[1]  # a header that states nothing else still states this
            continue
        if found[1] == "*/*":
            continue
        if found[1].lower() != essence:
            essence, charset = found[1].lower(), None
        if stated is not None:
            charset = stated[1]
    return MediaType(essence, charset)


_usual = lru_cache(1024)(_read)  # a crawl has few different headers


def _values(header: str) -> Iterator[str]:
    """What stands between commas outside quotes, empty values left out."""
    start = 0
    for found in _QUOTED_OR_COMMA.finditer(header):
        if found[0] == ",":
            if found.start() > start:
                yield header[start : found.start()]
            start = found.end()
    yield header[start:]
