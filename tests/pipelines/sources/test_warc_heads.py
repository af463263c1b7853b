"""Heads of WARC records: what is read at once is what the careful reading line by line gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.sources.framing import warc_records
from corpusmill.pipelines.sources.framing.archive_index import RecordHead
from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
from corpusmill.pipelines.sources.framing.damage import BrokenRecord
from corpusmill.pipelines.sources.framing.warc_records import read_head

HEAD = (
    b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:0>\r\nWARC-Date: 2024-05-06T07:08:09Z\r\n"
    b"WARC-Target-URI: http://e.org/\r\nContent-Length: 5\r\n\r\nblock\r\n\r\n"
)
PARTS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"\xff",
        b"\xc3",
        b"\xa9",
        b"\x85",
        b"\x0b",
        b"<",
        b"5",
    ),
    *(b"WARC-Date", b"WARC/1.1", b"X: y\r\n", b"x\r\n", b"\r\n\r\n", b"content-length: 5\r\n", "é".encode()),
]


def _read(path: Path) -> tuple[RecordHead | str, int]:
    stream = ByteStream(path)
    try:
        return read_head(stream), stream.position
    except BrokenRecord as error:
        return str(error), 0


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(HEAD)), st.sampled_from(PARTS), st.integers(0, 9)), max_size=3))
@example([(8, b" ", 0)])
@example([(10, b" folded\r\n", 0)])
@example([(len(HEAD) - 13, b"WARC-Date: 2\r\n", 0)])
@example([(len(HEAD) - 14, b"0" * 20, 0)])
@example([(24, b" " * 9000, 0)])
def test_both_readings_of_any_head_agree(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes, int]]
) -> None:
    data = HEAD
    for at, part, removed in changes:
        data = data[:at] + part + data[at + removed :]
    path = tmp_path_factory.getbasetemp() / "head.warc"
    path.write_bytes(data)
    at_once = _read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warc_records, "_usual_fields", lambda head: None)
        assert _read(path) == at_once


def test_a_usual_head_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.warc").write_bytes(HEAD)
    monkeypatch.setattr(warc_records, "_any_head", None)  # cannot be called
    head, position = _read(tmp_path / "a.warc")
    assert isinstance(head, RecordHead)
    assert (head.length, head.fields["warc-target-uri"], position) == (5, "http://e.org/", len(HEAD) - 9)
