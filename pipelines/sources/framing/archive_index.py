"""Splits of archives of records (WARC, ARC): every frame and every record checked, damage cut out.

Where a record or a frame is broken the search goes on for the next place that begins a record, so that one
bad spot in a crawl costs what it holds and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from corpusmill.pipelines.sources.framing.byte_stream import ByteStream, Hint
from corpusmill.pipelines.sources.framing.damage import BrokenRecord, Damage
from corpusmill.pipelines.sources.framing.decompression import later_frames
from corpusmill.pipelines.sources.framing.ranges import RangeBuilder
from corpusmill.pipelines.sources.reader import Split

# Finding one's feet again rereads a frame; past this many faults the rest of the file is one more fault.
FAULTS_PER_FILE = 100


class RecordHead(NamedTuple):
    """Head of one archive record: named fields (lower-case keys), position and length of its block."""

    position: int
    fields: dict[str, str]
    length: int


@dataclass(frozen=True, slots=True)
class ArchiveFormat:
    """How one format frames its records.

    `read_head` reads a head or raises BrokenRecord; `close_record` passes what ends a record or raises
    it; `find_record` moves to the next plausible record; `starts_record` says whether bytes begin one.
    """

    read_head: Callable[[ByteStream], RecordHead]
    close_record: Callable[[ByteStream, RecordHead], None]
    find_record: Callable[[ByteStream], bool]
    starts_record: Callable[[bytes], bool]


def index_archive(
    path: Path, split_bytes: int, form: ArchiveFormat, dictionary: bytes | None = None
) -> list[Split]:
    """Splits of `path` in uncompressed positions, hints at frame starts, faults included.

    `dictionary`: a zstd dictionary that frames may need beside the file's own.
    """
    builder = RangeBuilder(split_bytes)
    size = path.stat().st_size
    goal: tuple[Hint, int] | None = ((0, 0), 0)  # where to open the file and the position to go on from
    faults = 0
    while goal is not None:
        hint, start = goal
        try:
            stream = ByteStream(path, hint, dictionary)
            stream.skip_to(start)
            _walk(stream, builder, form)
            return builder.splits()
        except Damage as damage:
            faults += 1
            last = faults == FAULTS_PER_FILE
            goal = _recover(path, damage, hint, form, size, builder, dictionary, last=last)
    return builder.splits()


def _walk(stream: ByteStream, builder: RangeBuilder, form: ArchiveFormat) -> None:
    pass_newlines(stream)
    while not stream.ended():
        builder.boundary(stream.position, stream.hint())
        try:
            head = form.read_head(stream)
            there = stream.skip(head.length)
            if there != head.length:
                cause = (
                    f"the file ends inside a record: it should hold {head.length} bytes, {there} are there"
                )
                raise BrokenRecord(head.position, cause)
            if not stream.seekable:
                builder.reached(stream.position, stream.hint())
            form.close_record(stream, head)
        except BrokenRecord:
            _prove_frame(stream)
            raise
    builder.finish(stream.position)


def _prove_frame(stream: ByteStream) -> None:
    """Read to the end of the frame at hand: a bad record may be only the first sign of a bad frame."""
    if not stream.seekable:
        frame = stream.hint()
        try:
            while not stream.ended() and stream.hint() == frame:
                stream.piece()
        except Damage as damage:
            if damage.frame == frame[0]:  # that of a later frame is met again when going on
                raise


def _recover(
    path: Path,
    damage: Damage,
    hint: Hint,
    form: ArchiveFormat,
    size: int,
    builder: RangeBuilder,
    dictionary: bytes | None,
    *,
    last: bool,
) -> tuple[Hint, int] | None:
    """Enter the fault; returns where to go on, if anywhere."""
    if isinstance(damage, BrokenRecord):
        start = damage.position
        goal = None
        extent = size - hint[0]
        if not last:
            stream = ByteStream(path, hint, dictionary)
            stream.skip_to(start + 1)
            try:
                found = form.find_record(stream)
                extent = max(1, stream.position - start)
                if found:
                    goal = (stream.hint(), stream.position)
            except Damage as further:  # no record up to where the frames fail
                builder.damage(start, max(1, further.sound - start), damage.fault, boundary=True)
                return _recover(path, further, hint, form, size, builder, dictionary, last=False)
        builder.damage(start, extent, damage.fault, boundary=True)
        return goal
    if last:
        builder.damage(damage.sound, max(1, size - damage.frame), damage.fault)
        return None
    for offset, content in later_frames(path, damage.frame, dictionary=dictionary):
        if form.starts_record(content):
            extent = offset - damage.frame
            end = builder.damage(damage.sound, extent, damage.fault)
            position = max(end + extent, damage.sound)
            return (offset, position), position
    builder.damage(damage.sound, max(1, size - damage.frame), damage.fault)
    return None


def pass_newlines(stream: ByteStream, end: int | None = None) -> None:
    """Pass CR and LF, not beyond position `end`."""
    stream.skip_all(b"\r\n", end)


def records(
    path: Path, split: Split, form: ArchiveFormat, limit: int, dictionary: bytes | None = None
) -> Iterator[tuple[RecordHead, bytes | None]]:
    """Heads and blocks of the records that start in a sound split; None for a block over `limit` bytes."""
    stream = ByteStream(path, split.hint, dictionary)
    stream.skip_to(split.start)
    while True:
        pass_newlines(stream, split.end)
        if stream.position >= split.end:
            return
        head = form.read_head(stream)
        block = stream.take(head.length) if head.length <= limit else None
        there = stream.skip(head.length) if block is None else len(block)
        if there != head.length:
            raise BrokenRecord(head.position, "the file changed since it was indexed")
        yield head, block
