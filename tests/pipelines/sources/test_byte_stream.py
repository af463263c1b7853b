"""The stream of bytes under all archives: equal to plain bytes however the file is cut, in linear time."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.sources.arc import Arc
from corpusmill.pipelines.sources.framing.byte_stream import ByteStream
from corpusmill.pipelines.sources.warc import Warc
from tests.oracles.sources_archives import http_response, read_all, warc_record

MEGABYTE = 1_000_000
BYTES = st.lists(st.sampled_from([b"\n", b"\r", b"a", b"ab", b"abc", b"\r\n"]), max_size=40).map(b"".join)


@settings(deadline=None, max_examples=200)
@given(BYTES, st.integers(1, 5), st.data())
def test_any_moves_are_those_on_plain_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, step: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "stream.gz"
    members = [content[at : at + step] for at in range(0, len(content), step)] or [b""]
    path.write_bytes(b"".join(gzip.compress(member, mtime=0) for member in members))
    stream, at = ByteStream(path), 0
    for _ in range(6):
        rest = content[at:]
        move = data.draw(st.sampled_from(["line", "peek_line", "skip_all", "bounded", "find", "peek"]))
        if move == "line":
            limit = data.draw(st.integers(0, 8))
            expected = rest[: min(rest.find(b"\n") + 1 or len(rest), limit)]
            assert stream.line(limit) == expected
            at += len(expected)
        elif move == "peek_line":
            limit = data.draw(st.integers(1, 8))
            assert stream.peek_line(limit) == rest[:limit].split(b"\n")[0]
        elif move == "peek":
            assert stream.peek(3) == rest[:3]
        elif move == "find":
            places = [place for p in (b"ab", b"\na") if (place := rest.find(p)) >= 0]
            assert stream.find((b"ab", b"\na")) is bool(places)
            at += min(places, default=len(rest))
        else:
            end = at + data.draw(st.integers(0, 4)) if move == "bounded" else len(content)
            passed = len(content[at:end]) - len(content[at:end].lstrip(b"\r\n"))
            assert stream.skip_all(b"\r\n", end if move == "bounded" else None) == passed
            at += passed
        assert stream.position == at


@pytest.mark.parametrize("unit", [b"WARC/1.0 ", b"WARC/1.", b"\r\n", b"WARC/", b"\n"])
def test_a_megabyte_of_what_begins_records(tmp_path: Path, unit: bytes) -> None:
    page = warc_record("response", "http://e.org/", http_response(b"<p>words</p>"))
    (tmp_path / "a.warc").write_bytes(page + unit * (MEGABYTE // len(unit)) + b"\r\n\r\n" + page)
    found = read_all(Warc(files=["x"]), tmp_path / "a.warc")
    assert len(found.rows) == 2
    assert bool(found.faults) is not unit.isspace()


@pytest.mark.parametrize("unit", [b"\nhttp://", b"\nhttp://e 1", b"\n"])
def test_a_megabyte_of_what_begins_arc_records(tmp_path: Path, unit: bytes) -> None:
    block = http_response(b"<p>words</p>")
    record = b"http://e.org/ 1.2.3.4 20080102030405 text/html %d\n%b\n" % (len(block), block)
    (tmp_path / "a.arc").write_bytes(record + unit * (MEGABYTE // len(unit)) + b"\n" + record)
    found = read_all(Arc(files=["x"]), tmp_path / "a.arc")
    assert len(found.rows) == 2
    assert bool(found.faults) is not unit.isspace()


def test_a_head_of_continuation_lines_and_members_of_one_byte(tmp_path: Path) -> None:
    head = b"A: x\r\n" + b" y\r\n" * 200_000
    page = warc_record("response", "http://e.org/", http_response(b"<p>words</p>"))
    long = page.replace(b"WARC-Type", head + b"WARC-Type")
    (tmp_path / "a.warc").write_bytes(long)
    assert len(read_all(Warc(files=["x"]), tmp_path / "a.warc").rows) == 1
    member = gzip.compress(b"x", mtime=0)
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(page, mtime=0) + member * 20_000)
    found = read_all(Warc(files=["x"]), tmp_path / "a.warc.gz")
    assert (len(found.rows), len(found.faults)) == (0, 1) or len(found.rows) == 1
