"""Frames of zstd as any writer cuts them into blocks, and bombs of them in bounded steps."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.sources.framing.damage import Damage
from corpusmill.pipelines.sources.framing.decompression import pieces


def frame(parts: list[bytes], **options: bool) -> bytes:
    """One frame of at least one block a part."""
    packer = zstandard.ZstdCompressor(level=1, **options).compressobj()
    blocks = [packer.compress(part) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for part in parts]
    return b"".join(blocks) + packer.flush()


def unpacked(path: Path) -> bytes:
    return b"".join(piece.data for piece in pieces(path))


PART = st.one_of(
    st.binary(max_size=50),
    st.integers(0, 400_000).map(bytes),
    st.integers(0, 300_000).map(lambda size: random.Random(size).randbytes(size)),
)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.lists(PART, max_size=4), st.booleans()), min_size=1, max_size=4),
    st.booleans(),
)
def test_frames_of_any_blocks(
    tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[list[bytes], bool]], skip: bool
) -> None:
    """Blocks that are stored as they are, of one repeated byte, empty; with and without a checksum."""
    between = b"\x50\x2a\x4d\x18\x03\0\0\0abc" if skip else b""
    path = tmp_path_factory.getbasetemp() / "frames.zst"
    data = between.join(frame(parts, write_checksum=checked) for parts, checked in frames)
    path.write_bytes(data)
    assert unpacked(path) == b"".join(b"".join(parts) for parts, _ in frames)
    path.write_bytes(data[:-1])
    with pytest.raises(Damage, match="the file ends inside the zstd frame"):
        unpacked(path)


def test_whole_contents_in_one_call_and_of_any_size(tmp_path: Path) -> None:
    rng = random.Random(2)
    for size in (0, 1, 2**17 - 1, 2**17, 2**17 + 1, 2**20):
        content = rng.randbytes(size // 2) + bytes(size - size // 2)
        path = tmp_path / "a.zst"
        path.write_bytes(zstandard.compress(content) * 2)
        assert unpacked(path) == content * 2


def test_a_bomb_comes_in_small_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.zst"
    path.write_bytes(zstandard.compress(bytes(2**28), 19))
    assert path.stat().st_size < 2**15
    sizes = [len(piece.data) for piece in pieces(path)]
    assert sum(sizes) == 2**28
    assert max(sizes) <= 2**18
