"""The frames of a zstd file, each proved to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.framing.frames import PIECE_BYTES, Piece, Trusted, no_frame
from corpusmill.pipelines.sources.framing.zstd_dictionaries import (
    DICTIONARY_FRAME,
    FRAME_HEAD,
    ZSTD_MAGIC,
    Dictionaries,
)

# Stored bytes given to zstd at a time. A block is at least 4 stored bytes and at most 128 KiB of output.
ZSTD_FEED_LEAST = 2**6
ZSTD_FEED_MOST = 2**10


def skippable(head: bytes) -> bool:
    """Whether `head` begins a zstd skippable frame (magic 0x184D2A50 to 0x184D2A5F, little-endian)."""
    return len(head) >= 4 and 0x50 <= head[0] <= 0x5F and head[1:4] == b"\x2a\x4d\x18"


def zstd_pieces(file: BinaryIO, stored: int, start: int, dictionaries: Dictionaries) -> Iterator[Piece]:
    """Pieces of the frames of `file`, which stands at stored offset `stored`. Raises Damage."""
    import zstandard

    held = b""
    offset = stored
    while True:
        while len(held) < FRAME_HEAD and (more := file.read(PIECE_BYTES)):
            held, offset = held + more, offset + len(more)
        if not held:
            return
        frame, frame_start = offset - len(held), start
        if frame and held.startswith(DICTIONARY_FRAME):
            dictionaries.pass_second(file, frame, start)
        if skippable(held):
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
            raise no_frame("zstd", held, frame, start)
        inflater = dictionaries.unpacker(held[:FRAME_HEAD], frame, start).decompressobj()
        fed, feed = 0, ZSTD_FEED_LEAST
        trusted = Trusted(start)
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
