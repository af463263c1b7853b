"""Files that are one record each, plain or compressed."""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.framing.decompression import compression_of, pieces
from corpusmill.pipelines.sources.reader import Split


def index_whole(path: Path) -> list[Split]:
    """One split of the uncompressed size, or a fault where a compressed file is not whole."""
    stored = path.stat().st_size
    try:
        if compression_of(path) == "plain":
            return [Split(0, stored, stored, (0, 0))]
        size = sum(len(piece.data) for piece in pieces(path))
    except Damage as damage:
        return [Split(0, 0, stored, (), damage.fault)]
    return [Split(0, size, size, (0, 0))]


def read_whole(path: Path, limit: int) -> bytes | None:
    """The uncompressed content; None if it is more than `limit` bytes, of which no more are held."""
    data = ByteStream(path).take(limit + 1)
    return None if len(data) > limit else data
