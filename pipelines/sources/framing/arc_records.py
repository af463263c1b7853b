"""ARC records (the Internet Archive's format before WARC), versions 1 and 2.

Format: archive.org/web/researcher/ArcFileFormat.php. A record is one line, its block and a line break.
Version 1: `URL IP date type length`; version 2: `URL IP date type result checksum location offset
filename length`. URLs of real files hold spaces, so the line is read from its right end.
"""

from __future__ import annotations

import re

from corpusmill.pipelines.sources.framing.archive_index import ArchiveFormat, RecordHead
from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
from corpusmill.pipelines.sources.framing.damage import BrokenRecord

LINE_LIMIT = 2**16
_HEAD = re.compile(
    r"(?P<url>[A-Za-z][A-Za-z0-9+.-]*:.*?) (?P<ip>\S+) (?P<date>[0-9]{8,17}) (?P<type>\S*)"
    r"(?: (?P<result>\S+) \S+ \S+ [0-9]+ \S+)? (?P<length>[0-9]{1,18})\r?\n?$"
)
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:")
_SCHEMES = (b"http://", b"https://", b"dns:", b"filedesc:", b"ftp://", b"warcinfo:")


def _parse(line: bytes) -> re.Match[str] | None:
    return None if b"\0" in line else _HEAD.match(line.decode("utf-8", "backslashreplace"))


def read_head(stream: ByteStream) -> RecordHead:
    """The head of the record that starts here: fields `url`, `ip`, `date`, `type`, `result` ("" in v1)."""
    position = stream.position
    line = stream.line(LINE_LIMIT)
    found = _parse(line) if line.endswith(b"\n") else None
    if found is None:
        raise BrokenRecord(position, f"no ARC record starts here ({line[:60]!r})")
    fields = {name: value or "" for name, value in found.groupdict().items()}
    return RecordHead(position, fields, int(fields.pop("length")))


def close_record(stream: ByteStream, head: RecordHead) -> None:
    """Pass the line break that ends a record. Raises BrokenRecord where it is missing or no head follows."""
    newlines = stream.skip_all(b"\r\n")
    if stream.ended():
        if stream.seekable and not newlines:
            raise BrokenRecord(head.position, "the file ends before the line break that closes the record")
    else:
        after = stream.peek(16)
        if starts_record(after) or (len(after) < 16 and _SCHEME.fullmatch(after + b":")):
            return  # where a next head is cut, the fault is its own
        raise BrokenRecord(head.position, "the record's length does not match what follows it")


def find_record(stream: ByteStream) -> bool:
    """Move to the next line that reads as the head of a record; false without any."""
    while stream.find(tuple(b"\n" + scheme for scheme in _SCHEMES)):
        stream.skip(1)
        if _parse(stream.peek_line(LINE_LIMIT)):
            return True
    return False


def starts_record(head: bytes) -> bool:
    """Whether these bytes (at least 16, where there are as many) begin a record."""
    return _SCHEME.match(head) is not None


ARC = ArchiveFormat(read_head, close_record, find_record, starts_record)
