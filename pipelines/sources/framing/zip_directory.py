"""Where the central directory of a zip archive lies (PKWARE's APPNOTE.TXT 6.3.10, 4.3.14 to 4.3.16)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_COMMENT = 2**16 - 1  # the longest
_MARKS = (0xFFFF, 0xFFFFFFFF)  # of values that stand in the zip64 end instead


class DirectoryFault(Exception):  # noqa: N818  # a fact about a file, that is counted and not the end of a run
    """What is wrong with a central directory, in words."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Bytes `start` to `end` of a file, with `count` entries. `shift`: how many bytes stand before the
    archive, as in those that unpack themselves; all offsets that the archive states are less by it."""

    start: int
    end: int
    count: int
    shift: int


def find_directory(file: BinaryIO) -> Directory:
    """The directory that the end of the file names. Raises DirectoryFault."""
    size = file.seek(0, os.SEEK_END)
    base = max(0, size - _END.size - _COMMENT)
    file.seek(base)
    tail = file.read(size - base)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0 and not _ends_here(tail, at):
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if at < 0:
        raise DirectoryFault("the archive has no end record: it was cut, or is none")
    _, disk, first_disk, here, count, length, offset, _ = _END.unpack_from(tail, at)
    end = base + at
    if {disk, first_disk, here, count} & {_MARKS[0]} or {length, offset} & {_MARKS[1]}:
        found = _zip64(file, end)
        if found is not None:
            end, (disk, first_disk, here, count, length, offset) = found
    if disk or first_disk or here != count:
        raise DirectoryFault("the archive spans several disks; join it with `zip -s 0` first")
    shift = end - length - offset
    if shift < 0:
        raise DirectoryFault("the central directory lies beyond the archive's end record")
    return Directory(end - length, end, count, shift)


def _ends_here(tail: bytes, at: int) -> bool:
    return len(tail) - at >= _END.size and at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail)


def _zip64(file: BinaryIO, end: int) -> tuple[int, tuple[int, ...]] | None:
    """Where the zip64 end record lies that is named before byte `end`, and its values; None without one."""
    file.seek(max(0, end - _LOCATOR.size))
    locator = file.read(_LOCATOR.size)
    if len(locator) < _LOCATOR.size or locator[:4] != b"PK\x06\x07":
        return None
    _, _, stated, _ = _LOCATOR.unpack(locator)
    nearest = end - _LOCATOR.size - _END64.size  # where it lies if bytes stand before the archive
    for place in (stated, nearest):
        file.seek(min(max(0, place), end))
        record = file.read(_END64.size)
        if len(record) == _END64.size and record[:4] == b"PK\x06\x06":
            return place, _END64.unpack(record)[4:]
    raise DirectoryFault("the archive's zip64 end record is missing")
