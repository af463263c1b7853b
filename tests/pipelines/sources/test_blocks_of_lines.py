"""Blocks of lines, and proofs of UTF-8 in parts, whatever their bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.sources.assembly import plain_text
from corpusmill.pipelines.sources.framing import decompression, line_ranges
from corpusmill.pipelines.sources.framing.line_ranges import Block, line_blocks
from corpusmill.pipelines.sources.reader import Split

LINES = st.lists(st.integers(0, 40).map(lambda size: b"x" * size), max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(lines=LINES, ended=st.booleans(), most=st.integers(1, 30), piece=st.integers(1, 50))
def test_blocks_are_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[bytes], ended: bool, most: int, piece: int
) -> None:
    """All lines in order; a line that makes a block long ends it."""
    monkeypatch.setattr(line_ranges, "BLOCK_BYTES", most)
    monkeypatch.setattr(decompression, "PIECE_BYTES", piece)
    content = b"\n".join(lines) + (b"\n" if ended else b"")
    path = tmp_path / "lines"
    path.write_bytes(content)
    limit = 60
    blocks = list(line_blocks(path, Split(0, len(content), len(content), (0, 0)), limit))
    assert b"".join(block.data for block in blocks) == content
    at = 0
    for block in blocks:
        assert block.start == at
        at += len(block.data)
        assert block.data.endswith(b"\n") or at == len(content)
        if not block.skipped and len(block.data) > most + piece:
            (*before, _) = block.data.removesuffix(b"\n").split(b"\n")
            assert sum(len(line) + 1 for line in before) < most + piece


def test_a_line_over_the_limit_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompression, "PIECE_BYTES", 7)
    path = tmp_path / "lines"
    content = b"one\n" + b"x" * 500 + b"\ntwo\n"
    path.write_bytes(content)
    blocks = list(line_blocks(path, Split(0, len(content), len(content), (0, 0)), 50))
    assert blocks[0] == Block(b"one\n", 0)
    assert (blocks[1].start, blocks[1].skipped, set(blocks[1].data)) == (4, 500, {ord("x")})
    assert blocks[2:] == [Block(b"two\n", 505)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    parts=st.lists(st.text(max_size=4).map(str.encode) | st.binary(max_size=3), max_size=8),
    step=st.integers(1, 5),
)
def test_faults_of_utf8_are_those_of_decode(
    monkeypatch: pytest.MonkeyPatch, parts: list[bytes], step: int
) -> None:
    monkeypatch.setattr(plain_text, "_STEP", step)
    content = b"".join(parts)
    expected = None
    try:
        content.decode()
    except UnicodeDecodeError as error:
        expected = str(error)
    for given_as in (content, memoryview(content)):
        found = None
        try:
            plain_text.check_utf8(given_as)
        except UnicodeDecodeError as error:
            found = str(error)
        assert found == expected
