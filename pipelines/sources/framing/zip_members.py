"""Members of zip archives, by the central directory (PKWARE's APPNOTE.TXT 6.3.10), never extracted.

Python's zipfile holds the whole directory as objects, about ten times its bytes, each time an archive is
opened; here entries are read one after the other, from the one a split begins with. `zip_directory.py` finds
the directory.
"""

from __future__ import annotations

import os
import stat
import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

import xxhash

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.framing.damage import FETCH_AGAIN
from corpusmill.pipelines.sources.framing.zip_directory import DirectoryFault, find_directory
from corpusmill.pipelines.sources.framing.zip_names import GUESSES, OF_OPTION, guessed, name_of, unmarked
from corpusmill.pipelines.sources.reader import Split

PIECE_BYTES = 2**17
_PART = "its members are in no directory: cut the file into its archives"
_ENTRY = struct.Struct("<4s2B5H3L5H2L")
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_LONGEST = _ENTRY.size + 3 * 2**16  # of an entry
_MARK = 0xFFFFFFFF  # of a value that stands in the zip64 extra field instead
_ZIP64 = 0x0001  # an extra field
FARTHEST = 2**62  # positions beyond it are no place in any file
_DOS_FOLDER = 0x10  # of the external attributes
_AES = 99  # a method of compression that stands for encryption
_UNIX, _MAC = 3, 19  # systems whose external attributes hold a Unix mode in the upper half
Kind = Literal["file", "folder", "link", "device"]


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of the central directory. `number`: its place there; `position`: of its local header in the
    file; `packed` and `size`: bytes of its content as stored and as it is; `crc`: CRC-32 of its content."""

    number: int
    position: int
    name: str
    raw_name: bytes
    kind: Kind
    method: int
    encrypted: bool
    packed: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Numbers of members of a split that are not read: those whose name a later member has, and those whose
    content overlaps that of an earlier one."""

    duplicates: frozenset[int]
    overlapping: frozenset[int]

    @classmethod
    def of(cls, split: Split) -> LeftOut:
        count, *numbers = split.hint[3:] or (0,)
        return cls(frozenset(numbers[:count]), frozenset(numbers[count:]))


def index_zip(
    path: Path,
    split_bytes: int,
    member_limit: Callable[[str], int],
    total_limit: int,
    encoding: str | None = None,
) -> list[Split]:
    """Splits of about `split_bytes` unpacked bytes; those over the `member_limit` of their name count 0.

    `encoding`: of names that are not marked as UTF-8; None: see `zip_names`.

    What cannot be read of the directory is one fault, an archive that stands before this one (as where two
    were joined) another, and so is what lies behind the member with which the
    archive unpacks to more than `total_limit` bytes. Memory: about 100 bytes a member.
    """
    names, first, last = array("Q"), array("Q"), array("Q")
    splits: list[Split] = []
    cause: str | None = None
    with path.open("rb") as file:
        try:
            directory = find_directory(file)
        except DirectoryFault as fault:
            return [Split(0, 0, path.stat().st_size, (), _fault(0, str(fault)))]
        raw_names = (unmarked(*entry) for entry in _raw_entries(file, directory.start, directory.end))
        guess = OF_OPTION if encoding is not None else guessed(raw_names)
        file.seek(0)
        joined = directory.shift > 0 and file.read(4) == b"PK\x03\x04"
        start, opened, at = 0, directory.start, directory.start
        size = total = 0
        try:
            for at, member in _entries(
                file, directory.start, directory.end, 0, directory.shift, encoding or GUESSES[guess]
            ):
                unpacked = 0 if member.size > member_limit(member.name) else member.size
                total += unpacked
                if total > total_limit:
                    cause = f"the archive unpacks to over {total_limit} bytes; raise `max_unpacked_bytes`"
                    break
                if size and size + unpacked > split_bytes:
                    splits.append(Split(start, member.number, size, (opened, directory.shift, guess)))
                    start, opened, size = member.number, at, 0
                size += max(1, unpacked)
                names.append(xxhash.xxh3_64_intdigest(member.name.removeprefix("./").encode()))
                first.append(min(member.position, FARTHEST))
                reach = member.position + LOCAL_HEADER.size + len(member.raw_name) + member.packed
                last.append(min(reach, FARTHEST))
            else:
                at = directory.end
                if len(first) < directory.count:
                    cause = f"the end record counts {directory.count} members, {len(first)} are listed"
        except DirectoryFault as fault:
            cause = str(fault)
    if len(first) > start:
        splits.append(Split(start, len(first), size, (opened, directory.shift, guess)))
    splits = _with_left_out(splits, _duplicates(names), _overlapping(first, last))
    end = max(len(first), directory.count)
    if cause is not None:
        left = directory.end - at
        splits.append(Split(len(first), end, max(1, left), (), _fault(at, cause)))
    if joined:
        cause = f"another archive lies in the {directory.shift} bytes before this one; {_PART}"
        splits.append(Split(end, end + 1, directory.shift, (), _fault(0, cause)))
    return splits


def _fault(at: int, cause: str) -> str:
    return f"byte {at}: {cause}" + ("" if "; " in cause else f"; {FETCH_AGAIN}")


def _duplicates(names: array[int]) -> list[int]:
    """Numbers of the members whose name comes again later."""
    import numpy as np

    found = np.frombuffer(names, np.uint64)
    order = np.argsort(found, kind="stable")
    again: list[int] = order[:-1][found[order][:-1] == found[order][1:]].tolist()
    return sorted(again)


def _overlapping(first: array[int], last: array[int]) -> list[int]:
    """Numbers of the members that begin before the end of one that begins earlier, or is listed earlier."""
    import numpy as np

    starts, ends = np.frombuffer(first, np.uint64), np.frombuffer(last, np.uint64)
    order = np.argsort(starts, kind="stable")
    reached = np.maximum.accumulate(ends[order])
    shared: list[int] = order[1:][starts[order][1:] < reached[:-1]].tolist()
    return sorted(shared)


def _with_left_out(splits: list[Split], duplicates: list[int], overlapping: list[int]) -> list[Split]:
    def within(numbers: list[int], split: Split) -> list[int]:
        return numbers[bisect_left(numbers, split.start) : bisect_left(numbers, split.end)]

    found = []
    for split in splits:
        double, shared = within(duplicates, split), within(overlapping, split)
        more = (len(double), *double, *shared) if double or shared else ()
        found.append(replace(split, hint=(*split.hint, *more)))
    return found


def members(file: BinaryIO, split: Split, encoding: str | None = None) -> Iterator[Member]:
    """The members of a split; `encoding` as of `index_zip`. Raises DataError if the archive changed since it
    was indexed."""
    at, shift, guess = split.hint[:3]
    found = _entries(file, at, file.seek(0, os.SEEK_END), split.start, shift, encoding or GUESSES[guess])
    for _ in range(split.start, split.end):
        try:
            at, member = next(found)
        except (DirectoryFault, StopIteration) as fault:
            cause = f"byte {at}: the archive changed since it was indexed"
            raise DataError(f"{cause}; leave input files alone while a run reads them") from fault
        yield member


def _entries(
    file: BinaryIO, at: int, end: int, number: int, shift: int, encoding: str
) -> Iterator[tuple[int, Member]]:
    """Each entry from byte `at` to byte `end`, with its place; the first is member `number`.

    Raises DirectoryFault at the first that is none.
    """
    for found, (place, entry) in enumerate(_raw(file, at, end), number):
        yield place, _member(entry, found, shift, encoding)


def _raw_entries(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, dict[int, bytes]]]:
    """Name, flags and extra fields of each entry, up to the first that is none."""
    with suppress(DirectoryFault):  # told when the entries are indexed
        for _, entry in _raw(file, at, end):
            fields = _ENTRY.unpack_from(entry)
            end_of_name = _ENTRY.size + fields[11]
            yield entry[_ENTRY.size : end_of_name], fields[4], _extra(entry[end_of_name:][: fields[12]])


def _raw(file: BinaryIO, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of each entry. Raises DirectoryFault at the first that is none."""
    buffered, begun = b"", 0  # `buffered` lies at byte `at`; entries before `begun` are done
    while at + begun < end:
        if len(buffered) - begun < _ENTRY.size or len(buffered) - begun < _length(buffered, begun):
            at += begun
            file.seek(at)
            buffered, begun = file.read(min(PIECE_BYTES + _LONGEST, end - at)), 0
        if len(buffered) - begun < _ENTRY.size or len(buffered) - begun < _length(buffered, begun):
            raise DirectoryFault("the central directory ends inside an entry")
        length = _length(buffered, begun)
        yield at + begun, buffered[begun : begun + length]
        begun += length


def _length(buffered: bytes, at: int) -> int:
    """Bytes of the entry at `at`. Raises DirectoryFault where none begins."""
    if buffered[at : at + 4] != b"PK\x01\x02":
        raise DirectoryFault("no entry of the central directory begins here")
    lengths: tuple[int, int, int] = struct.unpack_from("<3H", buffered, at + 28)
    return _ENTRY.size + sum(lengths)


def _member(entry: bytes, number: int, shift: int, encoding: str) -> Member:
    fields = _ENTRY.unpack_from(entry)
    system, flags, method, crc = fields[2], fields[4], fields[5], fields[8]
    end = _ENTRY.size + fields[11]
    raw = entry[_ENTRY.size : end]
    extra = _extra(entry[end : end + fields[12]])
    wide = iter(struct.iter_unpack("<Q", extra.get(_ZIP64, b"")[: len(extra.get(_ZIP64, b"")) // 8 * 8]))
    # What is marked in the entry stands in the extra field instead, in this order.
    size, packed, position = (
        next(wide, (_MARK,))[0] if value == _MARK else value for value in (fields[10], fields[9], fields[17])
    )
    name, kind = name_of(raw, system, flags, extra, encoding), _kind(raw, system, fields[16])
    secret = bool(flags & 1) or method == _AES
    return Member(number, position + shift, name, raw, kind, method, secret, packed, size, crc)


def _extra(data: bytes) -> dict[int, bytes]:
    """The extra fields of an entry by their number, the first of each; what is cut is left out."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        number, length = struct.unpack_from("<2H", data, at)
        if at + 4 + length > len(data):
            break
        found.setdefault(number, data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _kind(raw_name: bytes, system: int, attributes: int) -> Kind:
    if raw_name.endswith(b"/"):
        return "folder"
    form = stat.S_IFMT(attributes >> 16) if system in (_UNIX, _MAC) else 0
    if form == stat.S_IFLNK:
        return "link"
    if form == stat.S_IFDIR or (form == 0 and attributes & _DOS_FOLDER):
        return "folder"
    return "file" if form in (0, stat.S_IFREG) else "device"
