"""Plain, gzip, zstd, bzip2 and xz files as one stream of pieces, in which every frame is proved whole.

Python's gzip reader and zstandard's stream reader give a short stream where a file is cut between frames
or (zstandard) anywhere at all. Here every gzip member and zstd frame must reach its end with its checksum
agreeing, else `Damage` is raised. Output is bounded by `PIECE_BYTES` a step (zstd: by what
`ZSTD_FEED_MOST` stored bytes can expand to, 32 MiB at the very worst), so a decompression bomb costs time
and not memory.

A frame is a gzip member, a zstd frame, a bzip2 or an xz stream; reading can begin at any frame. A plain file
is seekable everywhere. Positions: `stored` counts bytes of the file, `start` of the uncompressed stream.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from corpusmill.pipelines.sources.framing.damage import Damage

PIECE_BYTES = 2**17
# Stored bytes given to zstd at a time. A block is at least 4 stored bytes and at most 128 KiB of output.
ZSTD_FEED_LEAST = 2**6
ZSTD_FEED_MOST = 2**10
# Where a file ends inside a frame, what was decoded from this many last stored bytes is not trusted: a
# changed bit there can make the decoder run past the frame's true end and look like a cut. Beyond that
# distance a decoder out of step has long met something impossible.
GUARD_BYTES = 2**18
WINDOW_LIMIT = 2**31  # the largest window `zstd --long=31` writes

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BZIP2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zXZ\0"
XZ_MEMORY = 2**28  # what decoding one stream may take; `xz -9` asks for 65 MiB
Compression = Literal["plain", "gzip", "zstd", "bzip2", "xz"]
_NAMED: dict[str, Compression] = {
    **dict.fromkeys((".gz", ".tgz"), "gzip"),
    **dict.fromkeys((".zst", ".zstd"), "zstd"),
    **dict.fromkeys((".bz2", ".tbz2"), "bzip2"),
    **dict.fromkeys((".xz", ".txz"), "xz"),
}
_FOREIGN = {".lz4", ".zip", ".7z", ".lzma", ".br", ".z"}
# The format of a file is told by its first bytes, whatever its name is.
_FOREIGN_MAGIC = {b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip", b"7z\xbc\xaf\x27\x1c": "7z"}
_ZSTD_HEAD = 18  # the longest head of a zstd frame
_WARC_DICTIONARY = b"\x5d\x2a\x4d\x18"  # the skippable frame that holds the dictionary of a .warc.zst


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive uncompressed bytes of one frame.

    `start`: position of `data[0]` in the uncompressed stream; `frame`, `frame_start`: stored offset and
    uncompressed position of the frame's first byte.
    """

    data: bytes
    start: int
    frame: int
    frame_start: int


def _skippable(head: bytes) -> bool:
    """Whether `head` begins a zstd skippable frame (magic 0x184D2A50 to 0x184D2A5F, little-endian)."""
    return len(head) >= 4 and 0x50 <= head[0] <= 0x5F and head[1:4] == b"\x2a\x4d\x18"


def compression_of(path: Path) -> Compression:
    """How `path` is compressed, by its first bytes, else by its suffix. Raises Damage for .lz4 and so on."""
    with path.open("rb") as file:
        head = file.read(10)
    if head[:2] == GZIP_MAGIC:
        return "gzip"
    if head[:4] == ZSTD_MAGIC or _skippable(head):
        return "zstd"
    if head[:3] == BZIP2_MAGIC and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):  # a block, or the end
        return "bzip2"
    if head[:6] == XZ_MAGIC:
        return "xz"
    suffix = path.suffix.lower()
    if suffix in _NAMED:
        return _NAMED[suffix]
    found = next((name for magic, name in _FOREIGN_MAGIC.items() if head.startswith(magic)), None)
    if found is not None or suffix in _FOREIGN:
        cause = f"{found or suffix} compression is not read"
        raise Damage(0, cause, "recompress the file as .zst or .gz")
    return "plain"


def pieces(path: Path, frame: int = 0, start: int = 0) -> Iterator[Piece]:
    """Uncompressed pieces of `path` from the frame at stored offset `frame`, whose position is `start`.

    Raises Damage where a frame is cut, fails its checksum or is followed by bytes that begin no frame.
    """
    kind = compression_of(path)
    with path.open("rb") as file:
        if kind != "plain" and not file.read(1):
            raise Damage(0, f"the file is empty, which is no {kind} data", cut=True)
        file.seek(frame)
        if kind == "plain":
            yield from _plain(file, frame, start)
        elif kind == "gzip":
            yield from _gzip(file, frame, start)
        elif kind == "zstd":
            yield from _zstd(file, frame, start)
        else:
            yield from _streams(kind, file, frame, start)


def _plain(file: BinaryIO, stored: int, start: int) -> Iterator[Piece]:
    while data := file.read(PIECE_BYTES):
        yield Piece(data, start, stored, start)
        stored += len(data)
        start += len(data)


def _no_frame(kind: Compression, held: bytes, frame: int, start: int) -> Damage:
    if frame:
        cause = f"bytes after the last {kind} frame begin none ({held[:8]!r})"
    else:
        cause = f"the file begins with {held[:8]!r}, which is no {kind} data"
    return Damage(frame, cause, sound=start, frame=frame)


class _Trusted:
    """How far a frame that turns out to be cut may be trusted; see `GUARD_BYTES`."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._notes: deque[tuple[int, int]] = deque(maxlen=2 + GUARD_BYTES // PIECE_BYTES)

    def note(self, offset: int, position: int) -> None:
        """All stored bytes before `offset` were decoded; they gave what lies before `position`."""
        self._notes.append((offset, position))

    def until(self, end: int) -> int:
        """The position to trust when the file ends at stored offset `end`."""
        far = [position for offset, position in self._notes if offset <= end - GUARD_BYTES]
        return max(far, default=self._start)


def _gzip(file: BinaryIO, stored: int, start: int) -> Iterator[Piece]:
    held = b""
    offset = stored  # of the first byte after `held`
    while True:
        if len(held) < 2:
            more = file.read(PIECE_BYTES)
            held, offset = held + more, offset + len(more)
        if not held:
            return
        frame, frame_start = offset - len(held), start
        if not GZIP_MAGIC.startswith(held[:2]):
            raise _no_frame("gzip", held, frame, start)
        inflater = zlib.decompressobj(wbits=31)
        ended = False
        trusted = _Trusted(start)
        while not inflater.eof:
            if not held and not ended:
                trusted.note(offset, start)
                held = file.read(PIECE_BYTES)
                offset += len(held)
                ended = not held
            try:
                data = inflater.decompress(held, PIECE_BYTES)
            except zlib.error as error:
                cause = f"corrupt gzip member that begins at byte {frame} ({error})"
                where = offset - len(held)
                raise Damage(where, cause, sound=frame_start, frame=frame) from error
            held = inflater.unconsumed_tail
            if data:
                yield Piece(data, start, frame, frame_start)
                start += len(data)
            elif ended and not inflater.eof:
                cause = f"the file ends inside the gzip member that begins at byte {frame}"
                raise Damage(offset, cause, sound=trusted.until(offset), frame=frame, cut=True)
        held = inflater.unused_data


def _zstd(file: BinaryIO, stored: int, start: int) -> Iterator[Piece]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT)
    held = b""
    offset = stored
    while True:
        while len(held) < _ZSTD_HEAD and (more := file.read(PIECE_BYTES)):
            held, offset = held + more, offset + len(more)
        if not held:
            return
        frame, frame_start = offset - len(held), start
        if held.startswith(_WARC_DICTIONARY):
            raise _needs_dictionary(frame, start, "begin with one")
        if _skippable(held):
            length = int.from_bytes(held[4:8], "little") if len(held) >= 8 else -1
            while length >= 0 and len(held) < 8 + length and (more := file.read(PIECE_BYTES)):
                length -= len(held) - 8  # what is already held need not be kept
                held, offset = held[:8] + more, offset + len(more)
            if length < 0 or len(held) < 8 + length:
                cause = f"the file ends inside the skippable zstd frame that begins at byte {frame}"
                raise Damage(offset, cause, sound=start, frame=frame, cut=True)
            held = held[8 + length :]
            continue
        if not ZSTD_MAGIC.startswith(held[:4]):
            raise _no_frame("zstd", held, frame, start)
        dictionary = _dictionary(held[:_ZSTD_HEAD])
        if dictionary:
            raise _needs_dictionary(frame, start, f"need number {dictionary}")
        inflater = decompressor.decompressobj()
        fed, feed = 0, ZSTD_FEED_LEAST
        trusted = _Trusted(start)
        while not inflater.eof:
            if fed == len(held):
                trusted.note(offset, start)
                held, fed = file.read(PIECE_BYTES), 0
                offset += len(held)
                if not held:
                    cause = f"the file ends inside the zstd frame that begins at byte {frame}"
                    sound = trusted.until(offset)
                    raise Damage(offset, cause, sound=sound, frame=frame, cut=True)
            chunk = held[fed : fed + feed]
            try:
                data = inflater.decompress(chunk)
            except zstandard.ZstdError as error:
                cause = f"corrupt zstd frame that begins at byte {frame} ({error})"
                where = offset - len(held) + fed
                raise Damage(where, cause, sound=frame_start, frame=frame) from error
            fed += len(chunk)
            if len(data) > PIECE_BYTES:
                feed = ZSTD_FEED_LEAST
            elif feed < ZSTD_FEED_MOST:
                feed *= 2
            if data:
                yield Piece(data, start, frame, frame_start)
                start += len(data)
        fed -= len(inflater.unused_data)
        held = held[fed:]


def _dictionary(head: bytes) -> int:
    """The number of the dictionary that a zstd frame names; 0 for none, and for a head that is cut."""
    import zstandard

    try:
        return int(zstandard.get_frame_parameters(head).dict_id)
    except zstandard.ZstdError:
        return 0


def _needs_dictionary(frame: int, start: int, how: str) -> Damage:
    cause = f"its zstd frames {how}, and dictionaries are not supported (frame at byte {frame})"
    return Damage(frame, cause, "recompress the file without a dictionary", sound=start, frame=frame)


def _streams(kind: Compression, file: BinaryIO, stored: int, start: int) -> Iterator[Piece]:
    """bzip2 or xz streams, one after the other, as `bzip2` and `xz` read them."""
    import bz2
    import lzma

    magic = BZIP2_MAGIC if kind == "bzip2" else XZ_MAGIC
    held = b""
    offset = stored
    while True:
        while len(held) < len(magic) and (more := file.read(PIECE_BYTES)):
            held, offset = held + more, offset + len(more)
        if kind == "xz" and offset - len(held) and held[:4] == bytes(4):
            held = held[4:]  # padding between streams, in fours
            continue
        if not held:
            return
        frame, frame_start = offset - len(held), start
        if not magic.startswith(held[: len(magic)]):
            raise _no_frame(kind, held, frame, start)
        inflater: bz2.BZ2Decompressor | lzma.LZMADecompressor
        if kind == "bzip2":
            inflater = bz2.BZ2Decompressor()
        else:
            inflater = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        trusted = _Trusted(start)
        while not inflater.eof:
            if inflater.needs_input and not held:
                trusted.note(offset, start)
                held = file.read(PIECE_BYTES)
                offset += len(held)
                if not held:
                    cause = f"the file ends inside the {kind} stream that begins at byte {frame}"
                    raise Damage(offset, cause, sound=trusted.until(offset), frame=frame, cut=True)
            try:
                data = inflater.decompress(held, PIECE_BYTES)
            except (lzma.LZMAError, OSError, EOFError, ValueError) as error:
                cause = f"corrupt {kind} stream that begins at byte {frame} ({error})"
                raise Damage(offset - len(held), cause, sound=frame_start, frame=frame) from error
            held = b""
            if data:
                yield Piece(data, start, frame, frame_start)
                start += len(data)
        held = inflater.unused_data


def later_frames(path: Path, after: int, until: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Places after stored offset `after` where a frame seems to begin, with up to 64 bytes of its content.

    For finding one's feet again after a corrupt frame: a candidate has the format's magic number and
    decodes at its start. None begins at `until` or behind it.
    """
    kind = compression_of(path)
    starts = {"gzip": GZIP_MAGIC + b"\x08", "zstd": ZSTD_MAGIC, "bzip2": BZIP2_MAGIC, "xz": XZ_MAGIC}
    magic = starts.get(kind)
    if magic is None:
        return
    with path.open("rb") as file:
        offset = after + 1
        while until is None or offset < until:
            file.seek(offset)
            data = file.read(PIECE_BYTES)
            found = data.find(magic)
            if found < 0:
                if len(data) < PIECE_BYTES:
                    return
                offset += len(data) - len(magic) + 1
                continue
            offset += found
            if until is not None and offset >= until:
                return
            start = _start_of_frame(path, offset)
            if start:
                yield offset, start
            offset += 1


def _start_of_frame(path: Path, offset: int) -> bytes:
    data = b""
    try:
        for piece in pieces(path, offset):
            if piece.frame != offset:
                break
            data += piece.data[:64]
            if len(data) >= 64:
                break
    except Damage:
        return b""  # not a frame after all, or a broken one: the search goes on
    return data[:64]
