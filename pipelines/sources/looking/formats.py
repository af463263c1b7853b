"""What format a file is of, by its first bytes, and which reader reads it."""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.sources.framing.damage import FETCH_AGAIN, Damage
from corpusmill.pipelines.sources.framing.decompression import compression_of, pieces

HEAD_BYTES = 2**20  # uncompressed, of one file: all that is looked at
_TAR_MAGIC = (257, b"ustar")
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "parquet"),
    (b"WARC/", "warc"),
    (b"filedesc:", "arc"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),
    (b"FEA1", "Feather version 1"),
    (b"SQLite format 3\0", "SQLite"),
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_PACKED = ("bzip2", "xz", "7z", "lz4", "gzip", "zstd")
_NEVER_PACKED = ("parquet", "arrow", "zip")
_READERS = ("parquet", "arrow", "warc", "arc", "tar", "jsonl", "html")


def head_of(path: Path, most: int = HEAD_BYTES) -> tuple[bytes, bool]:
    """The first uncompressed bytes of a file, at most about `most`, and whether they are all of it.

    What is damaged ends the bytes early and counts as more to come. Raises OSError.
    """
    found: list[bytes] = []
    size = 0
    try:
        for piece in pieces(path):
            found.append(piece.data)
            size += len(piece.data)
            if size >= most:
                return b"".join(found), False
    except Damage:
        if not found and compression_of_or_none(path) is None:
            with path.open("rb") as file:
                return file.read(most), False
        return b"".join(found), False
    return b"".join(found), True


def unpacking_fault(path: Path) -> tuple[str, bool] | None:
    """Why no byte of a file can be unpacked, and whether for damage or else though it is whole, such as for
    want of a dictionary; None where its first bytes can be. Raises OSError."""
    try:
        next(iter(pieces(path)), None)
    except Damage as damage:
        words = str(damage).split(": ", 1)[-1]
        return words.replace(FETCH_AGAIN, "fetch or copy the file again"), FETCH_AGAIN in words
    return None


def compression_of_or_none(path: Path) -> str | None:
    """How a file is compressed, or None where it is in a way that is not read."""
    try:
        return compression_of(path)
    except Damage:
        return None


def format_of(head: bytes) -> str | None:
    """The format that bytes at the beginning of a file tell, or None: text, or nothing that is known."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    at, magic = _TAR_MAGIC
    return "tar" if head[at : at + len(magic)] == magic else None


def text_format(head: bytes) -> str | None:
    """Which of the formats that are text bytes at the beginning of a file tell, or None."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:20].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "html"
    return "jsonl" if start.startswith(b'{"') else None


def wrong_format(head: bytes, wanted: str | None) -> str | None:
    """Why a reader of `wanted` (None: of any text) cannot read a file that begins so; None where nothing
    speaks against it."""
    found = format_of(head) or (text_format(head) if wanted is not None else None)
    if found is None or found == wanted:
        return None
    if found in _READERS:
        return f"its format is {found}; read it with `read: {{{found}: ...}}`"
    if found == "zip":
        return "it is packed as zip; unpack it (`read: {zip: ...}` reads source code and texts within zips)"
    if found in _PACKED and wanted in _NEVER_PACKED:
        return f"it is packed as {found}, which the reader {wanted} does not unpack; unpack it"
    if found in _PACKED:
        return f"it is packed as {found}; unpack it, or pack it as .zst or .gz"
    return f"its format is {found}, which no reader reads; convert it to JSON Lines or Parquet"
