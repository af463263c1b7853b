"""A small WARC/1.1 writer (ISO 28500:2017): one gzip member a record, dates and ids from the content."""

from __future__ import annotations

import base64
import hashlib
import uuid
import zlib
from collections.abc import Sequence

DATE = "2026-01-01T00:00:00Z"  # a constant: the same environment gives the same bytes
_LEVEL = 6


def gzip_member(data: bytes) -> bytes:
    """`data` as one gzip member without name or time (RFC 1952)."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    tail = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + body + tail


def record(
    kind: str, block: bytes, media_type: str, *, uri: str = "", extra: Sequence[tuple[str, str]] = ()
) -> bytes:
    """One uncompressed record of type `kind`; its id is derived from kind, URI and block."""
    identity = uuid.UUID(bytes=hashlib.sha256(f"{kind} {uri} ".encode() + block).digest()[:16], version=4)
    fields = [
        ("WARC-Type", kind),
        ("WARC-Record-ID", f"<urn:uuid:{identity}>"),
        ("WARC-Date", DATE),
        *([("WARC-Target-URI", uri)] if uri else []),
        ("WARC-Block-Digest", _digest(block)),
        *extra,
        ("Content-Type", media_type),
        ("Content-Length", str(len(block))),
    ]
    head = "WARC/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
    return head.encode("utf-8") + b"\r\n" + block + b"\r\n\r\n"


def warcinfo(file_name: str) -> bytes:
    """The record that opens a file."""
    block = b"software: corpusmill sample\r\nformat: WARC File Format 1.1\r\nrobots: nothing was fetched\r\n"
    return record("warcinfo", block, "application/warc-fields", extra=[("WARC-Filename", file_name)])


def request(uri: str) -> bytes:
    """The GET that would have led to a response."""
    host, _, path = uri.partition("://")[2].partition("/")
    block = (
        f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nUser-Agent: corpusmill-sample\r\n\r\n"
    )
    return record("request", block.encode(), "application/http; msgtype=request", uri=uri)


def response(uri: str, payload: bytes, content_type: str, status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP response; `headers` are further HTTP header fields, underscores standing for hyphens."""
    fields = {
        "Content-Type": content_type,
        "Content-Length": str(len(payload)),
        "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    head = (
        f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    )
    return record(
        "response",
        head.encode("latin-1") + payload,
        "application/http; msgtype=response",
        uri=uri,
        extra=[("WARC-Payload-Digest", _digest(payload))],
    )


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
