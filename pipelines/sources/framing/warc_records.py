"""WARC records (ISO 28500) as they stand in a stream: heads, blocks and their closing newlines."""

from __future__ import annotations

import re

from corpusmill.pipelines.sources.framing.archive_index import ArchiveFormat, RecordHead
from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
from corpusmill.pipelines.sources.framing.damage import BrokenRecord

HEAD_LIMIT = 2**20
CONTENT_LENGTH = "the record's Content-Length does not match what follows it"
_VERSION = re.compile(rb"WARC/\d\.\d+\s*$")
_ONCE = {"content-length", "warc-date", "warc-record-id", "warc-target-uri", "warc-type"}
_MARKS = (b"WARC/1.", b"WARC/0.")
_VERSIONS = {"WARC/1.0", "WARC/1.1", "WARC/0.17", "WARC/0.18"}
_USUAL_BYTES = 2**13  # of a head that is read at once
_RUBBISH_BYTES = 2**16  # behind a record that are looked through for the next
_NAMES = {
    name: name.lower()
    for name in ("WARC-Type", "WARC-Record-ID", "WARC-Date", "WARC-Target-URI", "WARC-IP-Address",
                 "WARC-Warcinfo-ID", "WARC-Concurrent-To", "WARC-Payload-Digest", "WARC-Block-Digest",
                 "WARC-Identified-Payload-Type", "Content-Type", "Content-Length")
}  # fmt: skip


def read_head(stream: ByteStream) -> RecordHead:
    """The head of the record that starts here. Raises BrokenRecord where it is no sound WARC head."""
    position = stream.position
    head = stream.peek_until(b"\r\n\r\n", _USUAL_BYTES)
    fields = _usual_fields(head)
    if fields is None:
        return _any_head(stream, position)
    stream.skip(len(head))
    return RecordHead(position, fields, int(fields["content-length"]))


def _usual_fields(head: bytes) -> dict[str, str] | None:
    """The fields of a head as nearly all writers write it; None for one that needs a closer look."""
    if b"\0" in head or b"\n " in head or b"\n\t" in head:
        return None
    lines = head.decode("utf-8", "backslashreplace").split("\r\n")
    if lines[0] not in _VERSIONS or len(lines) - 1 != head.count(b"\n"):
        return None
    fields: dict[str, str] = {}
    for line in lines[1:-2]:
        key, colon, value = line.partition(":")
        if not colon:
            return None
        fields[_NAMES.get(key) or key.strip().lower()] = value.strip()
    if len(fields) != len(lines) - 3:
        return None  # a name that stands twice
    length = fields.get("content-length", "")
    if "warc-type" not in fields or not (length.isascii() and length.isdigit() and len(length) < 19):
        return None
    return fields


def _any_head(stream: ByteStream, position: int) -> RecordHead:
    """The head at hand read line by line, or what is wrong with it."""

    def broken(cause: str) -> BrokenRecord:
        return BrokenRecord(position, cause)

    if not _VERSION.match(stream.line(64)):
        raise broken("no WARC record starts here")
    parts: dict[str, list[str]] = {}
    values: list[str] = []  # of the field named last
    used = 0
    while True:
        line = stream.line(HEAD_LIMIT)
        used += len(line)
        if not line.endswith(b"\n"):
            if used >= HEAD_LIMIT:
                raise broken("a record's head is longer than 1 MiB")
            raise broken("the file ends inside a record's head")
        if used > HEAD_LIMIT:
            raise broken("a record's head is longer than 1 MiB")
        if b"\0" in line:  # a hole that a failing disk or transfer left: whatever it covered is unknown
            raise broken("NUL in a record's head, which no head may hold")
        if not line.strip():
            break
        # The standard says UTF-8; older crawlers wrote whatever the URL held. Bytes that are not UTF-8
        # stay visible as escapes.
        text = line.decode("utf-8", "backslashreplace")
        if line[:1] in b" \t" and parts:
            values.append(text.strip())
            continue
        key, colon, value = text.partition(":")
        if not colon:
            raise broken("a line of a record's head has no colon")
        name = key.strip().lower()
        values = [value.strip()]
        first_values = parts.setdefault(name, values)
        if name in _ONCE and first_values != values:  # two heads that damage has run together, for one
            raise broken(f"a record with two of {name} ({first_values[0][:40]!r} and {values[0][:40]!r})")
    fields = {name: " ".join(values) for name, values in parts.items()}
    if "warc-type" not in fields:
        raise broken("a record without WARC-Type, which every record has")
    length = fields.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        raise broken(f"a record without a valid Content-Length ({length[:40]!r})")
    return RecordHead(position, fields, int(length))


def close_record(stream: ByteStream, head: RecordHead) -> None:
    """Pass the newlines that close a record whose block was read.

    Raises BrokenRecord where the file ends before them (an uncompressed file gives no other sign that it was
    cut; in a compressed one the frame's own end has been proved) or something else than a record follows,
    unless that is rubbish behind a whole record (`_is_rubbish`, or in a frame behind the record's), which is
    then a fault of its own.
    """
    closing = stream.peek(4)
    if closing == b"\r\n\r\n":
        frame = stream.hint()
        stream.skip(4)
        after = stream.peek(5)
        if b"WARC/".startswith(after) or after.startswith(b"\0"):
            return  # where a next head is cut, or a hole begins, the fault is its own
        if not stream.seekable and stream.hint() != frame:
            return
        if _is_rubbish(*stream.look_ahead(_RUBBISH_BYTES)):
            return
    stream.skip_all(b"\r\n")
    after = stream.peek(5)
    if not after:
        if stream.seekable and closing not in (b"\r\n\r\n", b"\n\n"):
            cause = "the file ends before the record's closing CRLF CRLF"
            raise BrokenRecord(head.position, cause)
    elif after != b"WARC/":
        raise BrokenRecord(head.position, CONTENT_LENGTH)


def _is_rubbish(rest: bytes, damaged: bool) -> bool:
    """Whether bytes behind a record's end, up to the next head or the end of the file, are no part of it.

    Were they the rest of a block whose Content-Length is too small, that block's own end would follow them.
    `damaged`: damage follows `rest`, so that the end cannot be seen.
    """
    places = [at for mark in _MARKS if (at := rest.find(mark)) >= 0]
    if not places and (damaged or len(rest) == _RUBBISH_BYTES):
        return False
    return not rest[: min(places, default=len(rest))].endswith((b"\r\n\r\n", b"\n\n"))


def find_record(stream: ByteStream) -> bool:
    """Move to the next place that looks like the start of a record; false without any."""
    while stream.find(_MARKS):
        if _VERSION.match(stream.peek(12).split(b"\n")[0] + b"\n"):
            return True
        stream.skip(1)
    return False


def starts_record(head: bytes) -> bool:
    """Whether these bytes (at least 16, where there are as many) begin a record."""
    return head.startswith(_MARKS)


WARC = ArchiveFormat(read_head, close_record, find_record, starts_record)
