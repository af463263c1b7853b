"""Values that a reader does not expect, each beside sound records that arrive all the same."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from corpusmill.pipelines.sources.arc import Arc
from corpusmill.pipelines.sources.assembly.json_limits import (
    MAX_DIGITS,
    MAX_NAMES,
    MAX_NESTING,
    MAX_VALUES,
    limit_fault,
    load_json,
)
from corpusmill.pipelines.sources.framing.folders import files_of
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.tar import Tar
from corpusmill.pipelines.sources.tree import Tree
from corpusmill.pipelines.sources.warc import Warc
from tests.oracles.sources_archives import http_response, read_all, warc_record

LINES = b"".join(b'{"text": "line %d of the harbour log"}\n' % number for number in range(50))


def _nested(levels: int, inner: str = "") -> str:
    return "[" * levels + inner + "]" * levels


def _lines(tmp_path: Path, metas: list[str]) -> list[tuple[str, str]]:
    """Reads lines whose field `m` is each of `metas`: texts of the documents, and details of the rest."""
    lines = [f'{{"text": "{number}", "m": {meta}}}' for number, meta in enumerate(metas)]
    (tmp_path / "a.jsonl").write_bytes("\n".join(lines).encode())
    found = read_all(Jsonl(files=["x"]), tmp_path / "a.jsonl")
    assert all(lost.why == "bad_json" and "byte" in lost.position for lost in found.quarantined)
    return [(text, "") for text in found.texts] + [("", lost.detail) for lost in found.quarantined]


def _deeper(levels: int, call: Callable[[], object]) -> object:
    return call() if levels == 0 else _deeper(levels - 1, call)


def test_nesting_has_a_limit_that_does_not_depend_on_the_stack(tmp_path: Path) -> None:
    metas = [_nested(MAX_NESTING - 1), _nested(MAX_NESTING), _nested(100_000), _nested(20, "NaN")]
    near = _lines(tmp_path, metas)
    deeper = sys.getrecursionlimit() - MAX_NESTING - 300
    assert _deeper(deeper, lambda: _lines(tmp_path, metas)) == near
    assert [text for text, _ in near if text] == ["0", "3"]
    assert [detail for _, detail in near if detail] == ["nested more than 512 levels deep"] * 2


def test_the_deepest_values_that_pass_are_written_whole(tmp_path: Path) -> None:
    for inner in ("NaN", '"\\ud800"', "1"):
        meta = _nested(MAX_NESTING - 1, inner)
        (tmp_path / "a.jsonl").write_text(f'{{"text": "t", "m": {meta}}}')
        (row,) = read_all(Jsonl(files=["x"]), tmp_path / "a.jsonl").rows
        assert row["meta"].count("[") == MAX_NESTING - 1
        assert json.loads(row["meta"])["m"]


def test_brackets_inside_strings_are_no_nesting(tmp_path: Path) -> None:
    metas = [json.dumps("[" * 5000), json.dumps('\\"' + "{" * 5000), json.dumps({"[" * 600: '"[' * 600})]
    assert [text for text, _ in _lines(tmp_path, metas)] == ["0", "1", "2"]


def test_objects_written_as_strings_obey_the_same_limits(tmp_path: Path) -> None:
    deep = '{"a": ' + _nested(MAX_NESTING) + "}"
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "t", "meta": deep}))
    (row,) = read_all(Jsonl(files=["x"]), tmp_path / "a.jsonl").rows
    assert json.loads(row["meta"]) == {"meta": deep}  # it stays the string it is


def test_numbers_beyond_what_python_reads(tmp_path: Path) -> None:
    metas = ["9" * MAX_DIGITS, "9" * (MAX_DIGITS + 1), "1e999", "-Infinity", "-" + "1" * 100_000]
    found = _lines(tmp_path, metas)
    assert [text for text, _ in found if text] == ["0", "2", "3"]
    assert {detail for _, detail in found if detail} == {"a number of more than 4300 digits"}


def test_very_many_values_in_one_record_are_refused() -> None:
    assert limit_fault(b"[" + b"[]," * (MAX_VALUES // 3) + b"[]]") is None
    fault = limit_fault(b"[" + b"[]," * (MAX_VALUES // 2) + b"[]]")
    assert fault == f"more than {MAX_VALUES} values"
    assert limit_fault(b"[" + b'{"":0},' * (MAX_NAMES - 1) + b'{"a":0}]') is None
    fault = limit_fault(b"[" + b'{"":0},' * MAX_NAMES + b'{"a":0}]')
    assert fault == f"more than {MAX_NAMES} names of fields"
    assert limit_fault(b'"' + b":" * (2 * MAX_NAMES) + b'"') is None
    assert limit_fault(b'"' + b"," * (2 * MAX_VALUES) + b'"') is None
    with pytest.raises(UnicodeDecodeError):
        load_json(b"[" * 600 + b"\xff")


@pytest.mark.parametrize("size", ["\u00b2", "9" * 5000, "-1", "1e3", "", " 5", "\u0665"])
def test_a_pax_size_that_is_no_number_costs_its_member_alone(tmp_path: Path, size: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for number, headers in enumerate(({}, {"size": size}, {})):
            info = tarfile.TarInfo(f"repo/{number}.txt")
            body = b"member %d" % number
            info.size, info.pax_headers = len(body), headers
            archive.addfile(info, io.BytesIO(body))
    found = read_all(Tar(files=["x"]), tmp_path / "a.tar")
    assert not found.faults
    assert found.texts == ["member 0", "member 2"]
    (lost,) = found.quarantined
    assert (lost.why, lost.position) == ("bad_header", "a.tar, byte 1024, repo/1.txt")
    assert "size" in lost.detail


def test_a_malformed_pax_header_costs_its_member_alone(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for number, headers in enumerate(({}, {"note": "abc"}, {})):
            info = tarfile.TarInfo(f"repo/{number}.txt")
            info.size, info.pax_headers = 4, headers
            archive.addfile(info, io.BytesIO(b"body"))
    data = (tmp_path / "a.tar").read_bytes()
    assert data.count(b"12 note=abc\n") == 1
    (tmp_path / "a.tar").write_bytes(data.replace(b"12 note=abc\n", b"99 note=abc\n"))
    found = read_all(Tar(files=["x"]), tmp_path / "a.tar")
    assert [row["path"] for row in found.rows] == ["0.txt", "2.txt"]
    assert [lost.detail for lost in found.quarantined] == ["a malformed pax header"]


def test_folders_deeper_than_the_stack_are_walked(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1200):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(os.open("deep.py", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)
    (tmp_path / "top.py").write_text("x = 1\n")
    try:
        names = [len(path.relative_to(tmp_path).parts) for path in files_of(tmp_path, lambda _: True)]
        assert names == [1201, 1]
        assert len(Tree(files=["x"]).expand(tmp_path)) == 2
    finally:
        _remove_deep(tmp_path / "d")  # shutil.rmtree, which pytest calls, is recursive


def _remove_deep(top: Path) -> None:
    folders = [top]
    while (folders[-1] / "d").exists():
        folders.append(folders[-1] / "d")
    (folders[-1] / "deep.py").unlink()
    for folder in reversed(folders):
        folder.rmdir()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a", "a.jsonl.bz2", "a.jsonl.xz"])
def test_compression_is_told_by_the_content_whatever_the_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for compress in (gzip.compress, zstandard.ZstdCompressor().compress, bz2.compress, lzma.compress):
        path.write_bytes(compress(LINES) + compress(LINES))
        found = read_all(Jsonl(files=["x"]), path)
        assert not found.faults
        assert len(found.rows) == 100


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress])
def test_bzip2_and_xz_streams_are_proved_whole(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.jsonl"
    first, second = compress(LINES), compress(LINES.upper().replace(b'"TEXT"', b'"text"'))
    for cut in (len(first) + 7, len(first + second) - 1, len(first) + len(second) // 2):
        path.write_bytes((first + second)[:cut])
        found = read_all(Jsonl(files=["x"]), path)
        assert len(found.faults) == 1
        assert "ends inside" in found.faults[0]
    damaged = bytearray(first + second)
    damaged[len(first) + len(second) // 2] ^= 4
    path.write_bytes(bytes(damaged))
    found = read_all(Jsonl(files=["x"]), path)
    assert "corrupt" in found.faults[0]
    assert f"begins at byte {len(first)}" in found.faults[0]
    assert len(found.rows) == 50
    path.write_bytes(first + b"rubbish")
    assert "begin none" in read_all(Jsonl(files=["x"]), path).faults[0]


def test_zstd_frames_that_need_a_dictionary_are_told_as_that(tmp_path: Path) -> None:
    samples = [b"line %d of the harbour log, which is long" % number for number in range(2000)]
    words = zstandard.train_dictionary(2000, samples)
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor(dict_data=words).compress(LINES))
    (fault,) = read_all(Jsonl(files=["x"]), path).faults
    assert "dictionaries in files of their own are not supported" in fault
    assert "recompress the file without a dictionary" in fault
    held = words.as_bytes()
    skippable = b"\x5d\x2a\x4d\x18" + len(held).to_bytes(4, "little") + held
    path = tmp_path / "a.warc.zst"
    record = warc_record("response", "http://a.example/", http_response(b"<html>page</html>"))
    path.write_bytes(skippable + zstandard.ZstdCompressor(dict_data=words).compress(record))
    assert [row["url"] for row in read_all(Warc(files=["x"]), path).rows] == ["http://a.example/"]


@pytest.mark.parametrize("window", [27, 31])
def test_large_windows_are_read(tmp_path: Path, window: int) -> None:
    how = zstandard.ZstdCompressionParameters(window_log=window, write_content_size=0)
    writer = zstandard.ZstdCompressor(compression_params=how).compressobj()
    (tmp_path / "a").write_bytes(writer.compress(LINES) + writer.flush())
    assert len(read_all(Jsonl(files=["x"]), tmp_path / "a").rows) == 50


def test_a_format_that_is_not_read_is_named(tmp_path: Path) -> None:
    for head, name in ((b"\x04\x22\x4d\x18", "lz4"), (b"PK\x03\x04", "zip")):
        (tmp_path / "a.jsonl").write_bytes(head + bytes(40))
        assert (
            f"{name} compression is not read" in read_all(Jsonl(files=["x"]), tmp_path / "a.jsonl").faults[0]
        )


def _pages(count: int) -> list[bytes]:
    return [
        warc_record("response", f"http://a.example/{n}", http_response(b"<html>page %d</html>" % n), n)
        for n in range(count)
    ]


def test_a_hole_of_zeros_in_a_warc_head_is_damage_and_the_search_goes_on(tmp_path: Path) -> None:
    pages = _pages(6)
    data = b"".join(pages)
    second, third = len(pages[0]), len(pages[0] + pages[1])
    holes = {
        "inside a head": (second + 30, second + 60),
        "over the length": (second + 150, pages[1].index(b"\r\n\r\n") + second),
        "from head to head": (second + 40, third + 40),
        "from block to head": (third - 20, third + 90),
        "over the first line": (second, second + 10),
    }
    for what, (start, end) in holes.items():
        path = tmp_path / "a.warc"
        path.write_bytes(data[:start] + bytes(end - start) + data[end:])
        found = read_all(Warc(files=["x"]), path)
        read = {row["url"] for row in found.rows}
        lost = {f"http://a.example/{n}" for n in range(6)} - read
        assert found.faults, what
        touched = {f"http://a.example/{n}" for n in range(6) if _overlaps(pages, n, start, end)}
        assert lost == touched, what
        first = min(split.start for split in found.splits if split.fault)
        assert first <= start, what


def _overlaps(pages: list[bytes], number: int, start: int, end: int) -> bool:
    first = sum(map(len, pages[:number]))
    return first < end and start < first + len(pages[number])


def test_warc_heads_that_contradict_themselves_are_damage(tmp_path: Path) -> None:
    pages = _pages(3)
    path = tmp_path / "a.warc"
    for bad, cause in (
        (
            pages[1].replace(b"Content-Length", b"Content-Length: 7\r\nContent-Length", 1),
            "two of content-length",
        ),
        (pages[1].replace(b"WARC-Type", b"WARC-Typo"), "without WARC-Type"),
        (pages[1].replace(b"WARC-Date", b"WARC-Date: 1999\r\nWARC-Date"), "two of warc-date"),
    ):
        path.write_bytes(pages[0] + bad + pages[2])
        found = read_all(Warc(files=["x"]), path)
        assert [row["url"][-1] for row in found.rows] == ["0", "2"]
        assert cause in found.faults[0]


def test_arc_lines_with_nul_or_foreign_digits_are_damage(tmp_path: Path) -> None:
    def record(number: int, length: str | None = None) -> bytes:
        block = http_response(b"<html>page %d</html>" % number)
        line = f"http://a.example/{number} 1.2.3.4 20240506070809 text/html {length or len(block)}\n"
        return line.encode() + block + b"\n"

    path = tmp_path / "a.arc"
    for bad in (record(1).replace(b"1.2.3.4", b"1.2\0.3"), record(1, "\u0665\u0665")):
        path.write_bytes(record(0) + bad + record(2))
        found = read_all(Arc(files=["x"]), path)
        assert [row["url"][-1] for row in found.rows] == ["0", "2"]
        assert len(found.faults) == 1
