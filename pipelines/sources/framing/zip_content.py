"""The content of one member of a zip archive, unpacked within its size and compared with its CRC-32."""

from __future__ import annotations

import bz2
import io
import lzma
import os
import zlib
from typing import Any, BinaryIO, Protocol

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.framing.zip_members import FARTHEST, LOCAL_HEADER, Member

_PIECE = 2**17
_LZMA_WINDOW = 2**27
_STORED, _DEFLATED, _BZIP2, _LZMA, _ZSTD_OLD, _ZSTD = 0, 8, 12, 14, 20, 93
_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 95: "XZ", 97: "WavPack", 98: "PPMd"}


class BadMember(DataError):  # noqa: N818  # a fact about a member, that is counted and not the end of a run
    """A member whose header or content disagrees with the central directory."""


class UnsupportedMember(DataError):  # noqa: N818
    """A member compressed by a method that is not read."""


def content_of(file: BinaryIO, member: Member) -> bytes:
    """A member's content, compared with its size and CRC-32; no more than its size is ever held.

    Raises UnsupportedMember, and BadMember where the archive contradicts its central directory.
    """
    if member.position > FARTHEST:
        raise BadMember(f"its header lies at byte {member.position}, beyond the archive")
    file.seek(member.position)
    head = file.read(LOCAL_HEADER.size)
    if len(head) < LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
        raise BadMember(f"no header of a member at byte {member.position}")
    name_length, extra_length = LOCAL_HEADER.unpack(head)[-2:]
    if file.read(name_length) != member.raw_name:
        raise BadMember("its header has another name than the central directory")
    file.seek(extra_length, os.SEEK_CUR)
    content = _unpacked(file, member)
    if len(content) != member.size:
        raise BadMember(f"its content has {len(content)} bytes, not {member.size}")
    if zlib.crc32(content) != member.crc:
        raise BadMember("its content differs from its CRC-32")
    return content


class _Inflater(Protocol):
    """What zlib, bz2 and lzma have in common: bounded output."""

    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Deflated:
    """zlib's object, which wants what it left again."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=-zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _unpacked(file: BinaryIO, member: Member) -> bytes:
    """Up to one byte more than the member's size of what its stored bytes unpack to."""
    limit = member.size + 1
    if member.method == _STORED:
        return file.read(min(limit, member.packed))
    if member.method in (_ZSTD, _ZSTD_OLD):
        return _zstd(file, member, limit)
    left = member.packed
    inflater: _Inflater
    if member.method == _DEFLATED:
        inflater = _Deflated()
    elif member.method == _BZIP2:
        inflater = bz2.BZ2Decompressor()
    elif member.method == _LZMA:
        inflater, left = _lzma(file, left)
    else:
        name = _METHODS.get(member.method, f"number {member.method}")
        raise UnsupportedMember(f"compression by {name} is not read; pack the archive with deflate")
    parts: list[bytes] = []
    while limit > 0 and not inflater.eof:
        data = file.read(min(_PIECE, left))
        left -= len(data)
        try:
            part = inflater.decompress(data, limit)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            raise BadMember(f"its compressed content is corrupt ({error})") from error
        if not data and not part:
            raise BadMember("its compressed content is cut")
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _zstd(file: BinaryIO, member: Member, limit: int) -> bytes:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(
        io.BufferedReader(_Bounded(file, member.packed))
    )
    parts: list[bytes] = []
    try:
        while limit > 0 and (part := reader.read(min(limit, _PIECE))):
            parts.append(part)
            limit -= len(part)
    except zstandard.ZstdError as error:
        raise BadMember(f"its compressed content is corrupt ({error})") from error
    return b"".join(parts)


class _Bounded(io.RawIOBase):
    """The next `left` bytes of a file as a stream of its own."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


def _lzma(file: BinaryIO, left: int) -> tuple[_Inflater, int]:
    """LZMA as in zip (APPNOTE 5.8.8): version, length and bytes of its properties, then a raw stream."""
    head = file.read(9)
    properties = head[4:]
    if len(properties) < 5 or head[2:4] != b"\x05\0" or properties[0] >= 9 * 5 * 5:
        raise BadMember("its LZMA properties are unsound")
    code, size = properties[0], int.from_bytes(properties[1:], "little")
    if size > _LZMA_WINDOW:
        raise UnsupportedMember(f"an LZMA dictionary of {size} bytes is over {_LZMA_WINDOW}")
    options = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": size,
        "lc": code % 9,
        "lp": code // 9 % 5,
        "pb": code // 45,
    }
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options]), left - 9
    except (lzma.LZMAError, ValueError) as error:
        raise BadMember(f"its LZMA properties are unsound ({error})") from error
