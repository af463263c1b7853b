"""Members of tar archives (POSIX.1-1988 ustar, POSIX.1-2001 pax, GNU), in order and never extracted.

Python's tarfile takes an archive that is cut between two members for a complete one; here the end mark
(a block of zeros) must be there, and nothing but zeros after it.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
from corpusmill.pipelines.sources.framing.damage import BrokenRecord, Damage
from corpusmill.pipelines.sources.framing.ranges import RangeBuilder
from corpusmill.pipelines.sources.reader import Split

BLOCK = 512
NOTES_LIMIT = 2**20  # of a pax header or a GNU long name
ALL_NOTES_LIMIT = 2**24  # of all that stand before one member
RATIO_FLOOR = 2**26  # unpacked bytes that any archive may have, whatever its ratio
DEVICES = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_SIZE = re.compile(r"[0-9]{1,18}")
_PAX = re.compile(rb"(\d{1,7}) ([^=]+)=")


@dataclass(frozen=True, slots=True)
class Member:
    """One member: `position` of its first header, `kind` the type flag, `size` bytes of content.

    `fault`: why its extended header cannot be understood. Its size is then that of the plain header, which is
    right where a sound header, or the end mark, follows.
    """

    position: int
    name: str
    kind: bytes
    size: int
    fault: str | None = None


def next_member(stream: ByteStream) -> Member | None:
    """The member whose header starts here, the stream left at its content; None at the end mark.

    Raises BrokenRecord where the archive is cut or a header's checksum fails.
    """
    position = stream.position
    name: str | None = None
    size: int | None = None
    fault: str | None = None
    sparse = False
    while True:
        block = stream.take(BLOCK)
        if len(block) < BLOCK:
            raise BrokenRecord(position, "the archive ends without its end mark: it was cut")
        if not any(block):
            if name is not None or size is not None or sparse:
                raise BrokenRecord(position, "the archive ends inside a member's headers")
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
        except tarfile.HeaderError as error:
            raise BrokenRecord(position, f"no sound tar header ({error})") from error
        if header.size < 0:
            raise BrokenRecord(position, "a tar header with a negative size")
        if header.type not in (b"L", b"K", b"x", b"X", b"g"):
            kind = b"S" if sparse else header.type
            if kind in (tarfile.AREGTYPE, tarfile.REGTYPE) and (name or header.name).endswith("/"):
                kind = tarfile.DIRTYPE
            length = header.size if size is None else size
            # links, devices and folders have no content whatever their size field says (POSIX)
            bare = kind in (tarfile.LNKTYPE, tarfile.SYMTYPE, *DEVICES, tarfile.DIRTYPE)
            return Member(position, name or header.name, kind, 0 if bare else length, fault)
        if header.size > NOTES_LIMIT:
            raise BrokenRecord(position, f"a tar extended header of {header.size} bytes")
        if stream.position - position > ALL_NOTES_LIMIT:
            raise BrokenRecord(position, f"tar extended headers of over {ALL_NOTES_LIMIT} bytes")
        notes = stream.take(header.size)
        stream.skip(-header.size % BLOCK)
        if header.type == b"L":
            name = notes.split(b"\0")[0].decode("utf-8", "backslashreplace")
        elif header.type in (b"x", b"X"):
            pax = _pax(notes)
            if pax is None:
                fault = "a malformed pax header"
                continue
            if "path" in pax:
                name = pax["path"]
            if "size" in pax:
                if _SIZE.fullmatch(pax["size"]):
                    size = int(pax["size"])
                else:
                    fault = f"a pax header with the size {pax['size'][:40]!r}"
            sparse = sparse or any(key.startswith("GNU.sparse.") for key in pax)


def _pax(notes: bytes) -> dict[str, str] | None:
    """The records of a pax header by their keys; None where they do not follow the format."""
    records = {}
    at = 0
    while at < len(notes) and notes[at]:
        found = _PAX.match(notes, at)
        end = at + int(found[1]) if found else 0
        if found is None or end <= found.end() or notes[end - 1 : end] != b"\n":
            return None
        value = notes[found.end() : end - 1].decode("utf-8", "backslashreplace")
        records[found[2].decode("utf-8", "backslashreplace")] = value
        at = end
    return records


def pass_content(stream: ByteStream, member: Member, taken: int = 0) -> None:
    """Pass what is left of a member's content and its padding. Raises BrokenRecord if the archive is cut."""
    left = member.size - taken + (-member.size % BLOCK)
    if stream.skip(left) != left:
        cause = f"the archive ends inside the member {member.name[:100]!r}"
        raise BrokenRecord(member.position, cause)


class TooMuch(BrokenRecord):
    """The archive is sound so far, but unpacks to more than it may."""


Seen = Callable[[Member, ByteStream], int]  # is shown each member; may take of its content, and says how much


def index_tar(
    path: Path, split_bytes: int, total_limit: int, ratio_limit: int, seen: Seen | None = None
) -> list[Split]:
    """Splits of members in uncompressed positions; what lies behind damage is one fault.

    So is what lies behind `total_limit` unpacked bytes, and behind `ratio_limit` of them a stored byte where
    that is more than 64 MiB; nothing of it is unpacked. No search for later members: the content of an
    archive inside the archive would look like them.
    """
    builder = RangeBuilder(split_bytes)
    size = path.stat().st_size
    try:
        stream = ByteStream(path)
        most = size if stream.seekable else min(total_limit, max(ratio_limit * size, RATIO_FLOOR))
        try:
            _walk(stream, builder, most, seen)
        except TooMuch:
            raise
        except BrokenRecord:
            while (
                stream.position <= most and stream.piece()
            ):  # a bad header may be only the first sign of a bad frame
                pass
            raise
    except BrokenRecord as damage:
        builder.damage(
            damage.position, max(1, stream.position - damage.position), damage.fault, boundary=True
        )
    except Damage as damage:
        builder.damage(damage.sound, max(1, size - damage.frame), damage.fault)
    return builder.splits()


def _walk(stream: ByteStream, builder: RangeBuilder, most: int, seen: Seen | None) -> None:
    while True:
        if not stream.ended():
            builder.boundary(stream.position, stream.hint())
        member = next_member(stream)
        if member is None:
            break
        if not stream.seekable:
            _need_within(member.position, stream.position + member.size, most)
        pass_content(stream, member, 0 if seen is None else seen(member, stream))
        if not stream.seekable:
            builder.reached(stream.position, stream.hint())
    end = stream.position - BLOCK
    while data := stream.piece():
        _need_within(end, stream.position, most)
        if data.strip(b"\0"):
            cause = "there is data after the archive's end mark"
            raise BrokenRecord(end, cause, "archives joined end to end must be split before they are read")
    builder.finish(end)


def _need_within(position: int, reached: int, most: int) -> None:
    if reached > most:
        cause = f"the archive unpacks to over {most} bytes"
        raise TooMuch(position, cause, "raise `max_unpacked_bytes` or `max_ratio` if it is to be trusted")


def members(path: Path, split: Split) -> Iterator[tuple[Member, ByteStream]]:
    """Members that start in a sound split, each with the stream at its content; take at most its size."""
    stream = ByteStream(path, split.hint)
    stream.skip_to(split.start)
    while stream.position < split.end:
        member = next_member(stream)
        if member is None:
            raise BrokenRecord(stream.position, "the archive changed since it was indexed")
        start = stream.position
        yield member, stream
        pass_content(stream, member, stream.position - start)
