"""Files of lines: splits snapped to line starts, and the lines of one split in bounded blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.framing.decompression import compression_of, pieces
from corpusmill.pipelines.sources.framing.ranges import RangeBuilder
from corpusmill.pipelines.sources.reader import Split

BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, in order; `start` is the uncompressed position of `data[0]`.

    Where `skipped` is not 0, `data` is only the first bytes of one line of `skipped` bytes (its newline
    not counted) that was longer than allowed.
    """

    data: bytes
    start: int
    skipped: int = 0


def index_lines(path: Path, split_bytes: int) -> list[Split]:
    """Splits of a file of lines, in uncompressed bytes.

    A compressed file is decompressed whole, which proves its frames; a plain file has no framing to prove
    and only the neighbourhoods of the cuts are read.
    """
    builder = RangeBuilder(split_bytes)
    try:
        if compression_of(path) == "plain":
            return _index_plain(path, split_bytes)
        position = 0
        open_line = False
        for piece in pieces(path):
            hint = (piece.frame, piece.frame_start)
            if not open_line:
                builder.boundary(piece.start, hint)
            position = piece.start + len(piece.data)
            newline = piece.data.rfind(b"\n")
            open_line = newline + 1 != len(piece.data)
            if not open_line:
                builder.reached(position, hint)
            elif newline >= 0:
                builder.boundary(piece.start + newline + 1, hint)
        builder.finish(position)
    except Damage as damage:
        builder.damage(damage.sound, path.stat().st_size - damage.frame, damage.fault)
    return builder.splits()


def _index_plain(path: Path, split_bytes: int) -> list[Split]:
    size = path.stat().st_size
    splits = []
    start = 0
    with path.open("rb") as file:
        while start < size:
            end = min(start + split_bytes, size)
            if end < size:
                file.seek(end - 1)
                while (part := file.readline(2**20)) and not part.endswith(b"\n"):
                    pass
                end = file.tell()
            splits.append(Split(start, end, end - start, (start, start)))
            start = end
    return splits


def line_blocks(path: Path, split: Split, limit: int) -> Iterator[Block]:
    """The lines of `split` in blocks of about `BLOCK_BYTES`; lines over `limit` bytes are not held.

    A line that makes a block longer is the last of it. A block is not kept here once it is given.
    """
    stream = ByteStream(path, split.hint)
    stream.skip_to(split.start)
    held = bytearray()
    start = split.start
    tail = 0  # bytes held since the last newline
    while stream.position < split.end:
        data = stream.piece()
        if not data:
            raise Damage(0, f"the file ends before position {split.end}: it changed while it was read")
        data = data[: split.end - (stream.position - len(data))]
        long = len(held) >= BLOCK_BYTES  # then a line is open, the last one
        newline = data.rfind(b"\n")
        held += data
        tail = tail + len(data) if newline < 0 else len(data) - newline - 1
        if newline < 0 and tail > limit:
            if cut := len(held) - tail:
                yield Block(_take(held, cut), start)
            first = bytes(held[:256])
            held.clear()
            length, ended = _pass_line(stream, split.end, tail)
            yield Block(first, start + cut, length)
            start += cut + length + ended
            tail = 0
        elif newline >= 0 and len(held) >= BLOCK_BYTES:
            size = len(held) - len(data) + 1 + (data.find(b"\n") if long else newline)
            yield Block(_take(held, size), start)
            start += size
    if held:
        yield Block(_take(held, len(held)), start)


def _take(held: bytearray, size: int) -> bytes:
    """The first `size` bytes of `held`, in which the rest stays."""
    taken = bytes(memoryview(held)[:size])
    del held[:size]
    return taken


def _pass_line(stream: ByteStream, end: int, length: int) -> tuple[int, int]:
    """Skip the rest of a line of which `length` bytes were seen: its length, and 1 if a newline ended it."""
    while stream.position < end:
        part = stream.line(min(2**20, end - stream.position))
        if part.endswith(b"\n"):
            return length + len(part) - 1, 1
        if not part:
            break
        length += len(part)
    return length, 0
