"""HTTP/1.x responses as archives keep them: status, headers, and the body with its encodings undone.

Archives often hold a body that the crawler already decoded beside headers that still name the encoding.
A body that plainly does not begin in the named encoding is therefore taken as decoded; one that begins in
it and then fails is a `BodyError`. Browsers pass over a Content-Encoding they do not know (`utf-8`,
`text/html`, `8bit`); so is it here where the body begins as text, else it is a `BodyError` too.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

_STATUS = re.compile(rb"(?:HTTP/\d(?:\.\d)?|ICY)[ \t]+(\d{3})\b", re.IGNORECASE)
# WHATWG MIME Sniffing: bytes that no text holds. ESC is left out, as it stands in ISO-2022 text.
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_MOST_CODINGS = 8  # each may cost a copy of the body
_SNIFFED = 1445  # bytes that the standard looks at
HEAD_LIMIT = 2**18  # bytes: Chromium reads no longer head (net/http/http_stream_parser.cc), curl 300 KB
_BLANK = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")


class HeadError(ValueError):
    """The response has no end of its head within HEAD_LIMIT bytes."""


class BodyError(ValueError):
    """The body's transfer or content encoding cannot be undone."""


class BodyTooLargeError(ValueError):
    """The decoded body would exceed the limit."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response: `headers` have lower-case names, repeated ones are joined by a comma.

    The body is what stands in `block` from `start` on.
    """

    status: int
    headers: dict[str, str]
    block: bytes
    start: int

    @property
    def body(self) -> bytes:
        """The body as stored; a copy of it."""
        return self.block[self.start :]

    @property
    def content_type(self) -> str:
        """The Content-Type header as sent, or an empty string."""
        return self.headers.get("content-type", "")


def parse_response(block: bytes) -> Response | None:
    """The response held by an archive record's block; None where it does not begin with a status line.

    Raises HeadError for a head of more than HEAD_LIMIT bytes.
    """
    status = _STATUS.match(block)
    if status is None:
        return None
    blank = _BLANK.search(block, 0, HEAD_LIMIT)
    if blank is None and len(block) > HEAD_LIMIT:
        raise HeadError(f"an HTTP head of over {HEAD_LIMIT // 1024} KiB")
    head = block[: blank.start()] if blank else block
    lines = head.decode("latin-1").split("\n")[1:]
    headers = _plain_headers(lines)
    if headers is None:
        headers = _folded_headers(lines)
    return Response(int(status[1]), headers, block, blank.end() if blank else len(block))


def _plain_headers(lines: list[str]) -> dict[str, str] | None:
    """Headers that stand once and on one line each; None where one does not."""
    headers: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        name = key.strip().lower()
        if line[:1] in (" ", "\t") or name in headers:
            return None
        if colon:  # servers do send stray lines; no header can be read from one
            headers[name] = value.strip()
    return headers


def _folded_headers(lines: list[str]) -> dict[str, str]:
    """Any headers: the values of repeated ones joined by commas, lines that go on by spaces."""
    parts: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t") and name:
            parts[name] += (" ", line.strip())
            continue
        key, colon, value = line.partition(":")
        if not colon:
            continue
        name = key.strip().lower()
        parts.setdefault(name, []).extend((", ", value.strip()))
    return {name: "".join(values[1:]) for name, values in parts.items()}


def decoded_body(response: Response, limit: int) -> bytes | memoryview:
    """The body with chunks joined and content encodings (gzip, deflate, br, zstd) undone.

    A body that is stored as it is comes as a view of the response's block.
    Raises BodyError where an encoding fails, BodyTooLargeError where more than `limit` bytes come out.
    """
    body: bytes | memoryview = memoryview(response.block)[response.start :]
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        body = join_chunks(bytes(body))
    named: list[str] = []
    if stated := response.headers.get("content-encoding"):
        codings = map(str.strip, stated.lower().split(","))
        named = [coding for coding in codings if coding not in ("", "identity", "none")]
    if len(named) > _MOST_CODINGS:
        raise BodyError(f"{len(named)} content encodings, more than {_MOST_CODINGS}")
    for coding in reversed(named):
        if coding not in _DECODERS:
            if _BINARY.search(body, 0, _SNIFFED) is None or body[:2] in (b"\xff\xfe", b"\xfe\xff"):
                continue
            raise BodyError(f"unknown Content-Encoding {coding[:40]!r}")
        if body:
            body = _DECODERS[coding](bytes(body), limit)
    if len(body) > limit:
        raise BodyTooLargeError
    return body


def join_chunks(body: bytes) -> bytes:
    """Undo chunked transfer coding (RFC 9112, 7.1). A body not in chunks comes back as it is."""
    at = 0
    parts: list[bytes] = []
    while True:
        size = _CHUNK.match(body, at)
        if size is None:
            if at == 0:
                return body
            raise BodyError(f"no chunk size at byte {at} of a chunked body")
        at = size.end()
        length = int(size[1], 16)
        if length == 0:
            return b"".join(parts)
        if at + length > len(body):
            if not parts:
                return body  # its first line only looked like a size
            raise BodyError(f"the last chunk should hold {length} bytes, {len(body) - at} are there")
        parts.append(body[at : at + length])
        at += length
        at += 2 if body.startswith(b"\r\n", at) else body.startswith(b"\n", at)


def _inflate(body: bytes, limit: int, wbits: int) -> bytes:
    inflater = zlib.decompressobj(wbits)
    try:
        data = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise BodyError(str(error)) from error
    if len(data) > limit:
        raise BodyTooLargeError
    if not inflater.eof:
        raise BodyError("the compressed body is cut short")
    return data


def _begins_as_markup(body: bytes) -> bool:
    return body[:_SNIFFED].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def _gzip(body: bytes, limit: int) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    return _inflate(body, limit, 31)


def _deflate(body: bytes, limit: int) -> bytes:
    # RFC 9110 means zlib's wrapper; many servers send bare deflate or gzip, and archives the decoded text.
    if body.startswith(b"\x1f\x8b\x08"):
        return _gzip(body, limit)
    if len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0:
        return _inflate(body, limit, 15)
    if _begins_as_markup(body):
        return body
    return _inflate(body, limit, -15)


def _brotli(body: bytes, limit: int) -> bytes:
    import brotli  # type: ignore[import-untyped]

    if _begins_as_markup(body):
        return body
    decoder = brotli.Decompressor()
    parts, size = [], 0
    try:
        part = decoder.process(body, output_buffer_limit=2**20)
        while part or not decoder.can_accept_more_data():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise BodyTooLargeError
            part = decoder.process(b"", output_buffer_limit=2**20)
    except brotli.error as error:
        raise BodyError(f"brotli: {error}") from error
    if not decoder.is_finished():
        raise BodyError("the brotli body is cut short")
    return b"".join(parts)


def _zstd(body: bytes, limit: int) -> bytes:
    import zstandard

    if not body.startswith(b"\x28\xb5\x2f\xfd"):
        return body
    inflater = zstandard.ZstdDecompressor(max_window_size=2**23).decompressobj()  # RFC 9659: 8 MiB
    parts, size, at = [], 0, 0
    try:
        while at < len(body) and not inflater.eof:
            parts.append(inflater.decompress(body[at : at + 2**10]))
            at += 2**10
            size += len(parts[-1])
            if size > limit:
                raise BodyTooLargeError
    except zstandard.ZstdError as error:
        raise BodyError(f"zstd: {error}") from error
    if not inflater.eof:
        raise BodyError("the zstd body is cut short")
    return b"".join(parts)


_DECODERS = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
