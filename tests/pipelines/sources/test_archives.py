"""WARC, WET and ARC: records by the letter, judgements, and warcio as the oracle on real crawls."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zlib
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import document_id
from corpusmill.pipelines.sources.arc import Arc
from corpusmill.pipelines.sources.framing.http_response import (
    HEAD_LIMIT,
    BodyError,
    join_chunks,
    parse_response,
)
from corpusmill.pipelines.sources.warc import Warc
from tests.oracles.sources_archives import gzip_members, http_response, page_records, read_all, warc_record

PAGE = "<html><body>Grüße 你好</body></html>".encode()


def _write(path: Path, *records: bytes) -> Path:
    path.write_bytes(b"".join(records))
    return path


def _one(tmp_path: Path, body: bytes, **headers: str) -> tuple[bytes | None, str]:
    """The page made of one response, or None and the reason there is none."""
    path = _write(
        tmp_path / "a.warc", warc_record("response", "http://e.org/", http_response(body, **headers))
    )
    found = read_all(Warc(files=["x"], max_record_bytes=10_000), path)
    if found.rows:
        return found.rows[0]["raw"], ""
    return None, next(iter(found.whys))


def test_a_page_and_what_is_known_of_it(tmp_path: Path) -> None:
    record = warc_record("response", "<http://e.org/ü>", http_response(PAGE), 5, WARC_Truncated="length")
    (row,) = read_all(Warc(files=["x"]), _write(tmp_path / "a.warc", record)).rows
    assert row["text"] is None
    assert row["raw"] == PAGE
    assert row["content_type"] == "text/html; charset=utf-8"
    assert row["url"] == "http://e.org/ü"
    name = "<urn:uuid:00000000-0000-0000-0000-000000000005>"
    assert row["id"] == document_id(name, PAGE)
    assert json.loads(row["meta"]) == {
        "http_status": 200,
        "warc_date": "2024-05-06T07:08:09Z",
        "warc_record_id": name,
        "warc_truncated": "length",
    }


def test_every_record_that_is_no_page_is_counted_with_its_reason(tmp_path: Path) -> None:
    records = [
        warc_record("warcinfo", "", b"software: x\r\n"),
        warc_record("request", "http://e.org/", b"GET / HTTP/1.1\r\n\r\n"),
        warc_record("response", "dns:e.org", b"x", Content_Type="text/dns"),
        warc_record("revisit", "http://e.org/", http_response(b"")),
        warc_record("response", "http://e.org/1", http_response(PAGE, 404)),
        warc_record("response", "http://e.org/2", http_response(b"\x89PNG", Content_Type="image/png")),
        warc_record("response", "http://e.org/3", http_response(b"plain", Content_Type="")),
        warc_record("response", "http://e.org/4", http_response(b" \n<!DOCTYPE HTML><p>", Content_Type="")),
        warc_record("response", "http://e.org/5", b"no status line"),
        warc_record("response", "http://e.org/6", http_response(b"x" * 300_000)),
        warc_record("response", "http://e.org/7", http_response(b"")),
        warc_record("response", "http://e.org/8", http_response(PAGE, A="x" * HEAD_LIMIT)),
        warc_record("response", "http://e.org/9", http_response(PAGE[:100])),
        warc_record("Metadata", "http://e.org/", b"fetchTimeMs: 3\r\n"),
        warc_record("conversion", "http://e.org/", b"text"),
        warc_record("resource", "http://e.org/", PAGE, Content_Type="text/html"),
        warc_record("response", "http://e.org/a", http_response(PAGE), WARC_Segment_Number="1"),
        warc_record("continuation", "http://e.org/a", PAGE, WARC_Segment_Number="2"),
        warc_record("screenshot", "http://e.org/", b"x"),
    ]
    found = read_all(Warc(files=["x"], max_record_bytes=300_000), _write(tmp_path / "a.warc", *records))
    assert [lost.why for lost in found.removed] == [
        "warcinfo",
        "request",
        "not_http",
        "revisit",
        "http_status",
        "not_html",
        "not_html",
        "too_large",
        "metadata",
        "conversion",
        "resource",
        "segmented",
        "continuation",
        "unknown_type",
    ]
    assert found.removed[2].detail == "text/dns"
    assert found.removed[-1].detail == "screenshot"
    assert [(lost.why, lost.detail) for lost in found.quarantined] == [
        ("bad_http", "no HTTP status line"),
        ("bad_http", "an HTTP head of over 256 KiB"),
    ]
    assert [row["url"][-1] for row in found.rows] == ["4", "7", "9"]
    offset = sum(map(len, records[:4]))
    assert found.removed[4].position == f"a.warc, byte {offset}"
    assert found.removed[5].size == 4


def test_resource_records_are_pages_by_option(tmp_path: Path) -> None:
    records = [
        warc_record("resource", "http://e.org/1", PAGE, 1, Content_Type="text/html; charset=utf-8"),
        warc_record("resource", "http://e.org/2", b"x", 2, Content_Type="image/png"),
        warc_record("resource", "http://e.org/3", b'{"a": 1}', 3, Content_Type="text/html"),
        warc_record("resource", "http://e.org/4", b"x", 4, Content_Type=""),
        warc_record("response", "http://e.org/5", http_response(PAGE), 5),
    ]
    found = read_all(Warc(files=["x"], resources=True), _write(tmp_path / "a.warc", *records))
    assert [(row["url"], row["raw"], row["content_type"]) for row in found.rows] == [
        ("http://e.org/1", PAGE, "text/html; charset=utf-8"),
        ("http://e.org/5", PAGE, "text/html; charset=utf-8"),
    ]
    assert "http_status" not in json.loads(found.rows[0]["meta"])
    assert [(lost.why, lost.detail) for lost in found.removed] == [
        ("not_html", "image/png"),
        ("not_html", "application/json by its first bytes"),
        ("not_html", "no Content-Type"),
    ]


def _chunked(body: bytes, size: int) -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(f"{len(part):x}; a=b\r\n".encode() + part + b"\r\n" for part in parts) + b"0\r\n\r\n"


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
}


@pytest.mark.parametrize("coding", ENCODERS)
def test_content_encodings_are_undone_and_their_failures_counted(tmp_path: Path, coding: str) -> None:
    stored = ENCODERS[coding](PAGE)
    assert _one(tmp_path, stored, Content_Encoding=coding) == (PAGE, "")
    chunked = _chunked(stored, 7)
    assert _one(tmp_path, chunked, Content_Encoding=coding, Transfer_Encoding="chunked") == (PAGE, "")
    assert _one(tmp_path, PAGE, Content_Encoding=coding, Transfer_Encoding="chunked") == (PAGE, "")
    assert _one(tmp_path, b"", Content_Encoding=coding) == (b"", "")
    if coding != "identity":
        cut = stored[: len(stored) // 2 + 4]
        assert _one(tmp_path, cut, Content_Encoding=coding) == (None, "bad_content_encoding")
        bomb = ENCODERS[coding](bytes(1_000_000))
        assert _one(tmp_path, bomb, Content_Encoding=coding) == (None, "too_large")
        garbled = stored[:4] + bytes(byte ^ 0x55 for byte in stored[4:])
        assert _one(tmp_path, garbled, Content_Encoding=coding) == (None, "bad_content_encoding")


def test_bare_deflate_nested_and_unknown_encodings(tmp_path: Path) -> None:
    bare = zlib.compressobj(wbits=-15)
    assert _one(tmp_path, bare.compress(PAGE) + bare.flush(), Content_Encoding="deflate") == (PAGE, "")
    nested = brotli.compress(gzip.compress(PAGE))
    assert _one(tmp_path, nested, Content_Encoding="gzip, br") == (PAGE, "")
    assert _one(tmp_path, b"\0" + PAGE, Content_Encoding="sdch") == (None, "bad_content_encoding")
    for odd in ("sdch", "ISO-8859-1", "8bit", "text/html; charset=utf-8", "utf-8, utf-8"):
        assert _one(tmp_path, PAGE, Content_Encoding=odd) == (PAGE, "")
    assert _one(tmp_path, gzip.compress(PAGE), Content_Encoding="deflate") == (PAGE, "")
    assert _one(tmp_path, b"\xef\xbb\xbf" + PAGE, Content_Encoding="br") == (b"\xef\xbb\xbf" + PAGE, "")
    assert _one(tmp_path, PAGE, Content_Encoding=", ".join(["br"] * 9)) == (None, "bad_content_encoding")


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(1, 50))
@example(bytes(32), 31)
def test_chunks_join_to_what_was_cut(body: bytes, size: int) -> None:
    stored = _chunked(body, size)
    assert join_chunks(stored) == body
    if len(body) > size:
        cut = stored[: -max(6, len(stored) // 3)]
        if len(cut) < stored.index(b"\n") + 1 + size:  # a first line whose chunk is not there is no size
            assert join_chunks(cut) == cut
        else:
            with pytest.raises(BodyError):
                join_chunks(cut)


def test_headers_of_odd_servers() -> None:
    found = parse_response(b"HTTP/1.0 200\nSet-A: 1\nset-a: 2\n stray\nno colon\nX: a\n\n<p>")
    assert found is not None
    assert found.headers == {"set-a": "1, 2 stray", "x": "a"}
    assert found.body == b"<p>"
    bare = parse_response(b"HTTP/1.1 204 No Content\r\nA: b")
    assert bare is not None
    assert (bare.status, bare.body) == (204, b"")


def test_conversion_records(tmp_path: Path) -> None:
    records = [
        warc_record("warcinfo", "", b""),
        warc_record("conversion", "http://e.org/1", "Text 中文".encode(), 1),
        warc_record("conversion", "http://e.org/2", b"\xff\xfe", 2),
        warc_record("conversion", "http://e.org/3", b"a\0b", 3),
        warc_record("conversion", "http://e.org/4", b"a thumbnail", 4, Content_Type="image/png"),
        warc_record("response", "http://e.org/5", http_response(PAGE)),
    ]
    path = _write(tmp_path / "a.warc.wet.gz", gzip_members(records))
    reader = Warc(files=["x"], kind="conversion")
    found = read_all(reader, path)
    assert found.texts == ["Text 中文"]
    assert "raw" not in found.rows[0]
    assert found.whys == {"warcinfo": 1, "bad_utf8": 1, "binary": 1, "not_text": 1, "response": 1}
    assert reader.produces == ("text",)
    assert Warc(files=["x"]).produces == Warc.produces == ("raw",)
    assert pickle.loads(pickle.dumps(reader)).produces == ("text",)


@settings(deadline=None, max_examples=15)
@given(
    sizes=st.lists(st.integers(0, 40_000), min_size=1, max_size=30),
    stored=st.sampled_from(["plain", "members", "one", "pairs"]),
    split_bytes=st.integers(2**16, 2**18),
)
def test_any_splitting_gives_the_same_pages(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], stored: str, split_bytes: int
) -> None:
    pages = [page_records(i + 1, size)[i] for i, size in enumerate(sizes)]
    groups = {"plain": [], "members": pages, "one": [b"".join(pages)]}.get(
        stored, [b"".join(pages[i : i + 2]) for i in range(0, len(pages), 2)]
    )
    path = tmp_path_factory.mktemp("w") / ("a.warc" if stored == "plain" else "a.warc.gz")
    path.write_bytes(b"".join(pages) if stored == "plain" else gzip_members(groups))
    found = read_all(Warc(files=["x"], split_bytes=split_bytes), path)
    assert not found.faults
    assert [row["url"] for row in found.rows] == [f"http://example.org/{i}" for i in range(len(sizes))]
    if stored in ("plain", "members"):
        assert len(found.splits) >= sum(map(len, pages)) // (split_bytes + 50_000)


def _arc(url: str, block: bytes, version: int = 1) -> bytes:
    middle = "text/html" if version == 1 else "text/html 200 - - 0 a.arc"
    return f"{url} 1.2.3.4 20080102030405 {middle} {len(block)}\n".encode() + block + b"\n"


def test_arc_records_of_both_versions(tmp_path: Path) -> None:
    head = _arc("filedesc://a.arc", b"1 1 X\nURL IP-address Archive-date Content-type Archive-length\n")
    records = [
        head,
        _arc("dns:e.org", b"1.2.3.4"),
        _arc("whois://e.org", b"x"),
        _arc("http://e.org/a b", http_response(PAGE)),
        _arc("http://e.org/2", http_response(PAGE), 2),
        _arc("http://e.org/3", http_response(PAGE, 500)),
    ]
    for name, content in (("a.arc", b"".join(records)), ("a.arc.gz", gzip_members(records))):
        (tmp_path / name).write_bytes(content)
        found = read_all(Arc(files=["x"]), tmp_path / name)
        assert [row["url"] for row in found.rows] == ["http://e.org/a b", "http://e.org/2"]
        assert found.rows[0]["id"] == document_id("http://e.org/a b 20080102030405", PAGE)
        assert found.whys == {"not_response": 3, "http_status": 1}
    for cut in (1, 2, 30, len(records[-1]) - 5):
        (tmp_path / "a.arc").write_bytes(b"".join(records)[:-cut])
        found = read_all(Arc(files=["x"]), tmp_path / "a.arc")
        assert len(found.faults) == 1
        assert len(found.rows) == 2
    broken = [records[3].replace(b" 20080102030405", b" 2008"), *records[4:]]
    (tmp_path / "a.arc").write_bytes(b"".join([*records[:3], *broken]))
    found = read_all(Arc(files=["x"]), tmp_path / "a.arc")
    assert len(found.faults) == 1
    assert [row["url"] for row in found.rows] == ["http://e.org/2"]


def _by_warcio(path: Path) -> list[tuple[str, bytes]]:
    from warcio.archiveiterator import ArchiveIterator

    pages = []
    with path.open("rb") as file:
        for record in ArchiveIterator(file, arc2warc=True):
            headers = record.http_headers
            if record.rec_type != "response" or headers is None:
                continue
            kind = (headers.get_header("Content-Type") or "").partition(";")[0].strip().lower()
            if headers.get_statuscode() == "200" and kind in ("text/html", "application/xhtml+xml"):
                pages.append(
                    (record.rec_headers.get_header("WARC-Target-URI"), record.content_stream().read())
                )
    return pages


REAL = [
    "real_crawl_archive_org_2008.warc.gz",
    "real_dolma_sample-0000.warc.gz",
    "real_dolma_sample-0001.warc.gz",
    "real_iana.warc",
    "real_iana_warcio.warc.gz",
    "real_commoncrawl_whirlwind.warc.gz",
    "gne_chinese_pages.warc.gz",
]


@pytest.mark.parametrize("name", REAL)
def test_real_crawls_equal_warcio(data: Path, name: str) -> None:
    path = data / "web" / name
    found = read_all(Warc(files=["x"], split_bytes=2**18), path)
    assert not found.faults
    assert not found.quarantined
    expected = _by_warcio(path)
    assert expected
    assert [(row["url"], row["raw"]) for row in found.rows] == expected


def test_arc_and_warc_of_one_crawl_are_the_same_pages(data: Path) -> None:
    arc = read_all(Arc(files=["x"], split_bytes=2**19), data / "web" / "real_crawl_archive_org_2008.arc.gz")
    warc = read_all(Warc(files=["x"]), data / "web" / "real_crawl_archive_org_2008.warc.gz")
    assert len(arc.splits) > 1
    names = ("url", "raw", "content_type")
    assert [[row[n] for n in names] for row in arc.rows] == [[row[n] for n in names] for row in warc.rows]
    assert len(arc.rows) == 94
    for why in ("not_html", "http_status"):
        assert arc.whys[why] == warc.whys[why] > 0


def test_everything_broken_is_counted_and_nothing_dies(data: Path) -> None:
    counts = {}
    for path in [*sorted((data / "broken").glob("warcio*")), data / "broken" / "wrong_charset_pages.warc.gz"]:
        reader = Arc(files=["x"]) if path.suffix == ".arc" else Warc(files=["x"])
        found = read_all(reader, path)
        counts[path.name] = (len(found.rows), len(found.removed), len(found.quarantined), len(found.faults))
    assert counts == {
        "warcio_bad.arc": (0, 0, 1, 2),
        "warcio_example-bad-non-chunked.warc.gz": (1, 5, 0, 0),
        "warcio_example-bad.warc.gz.bad": (1, 5, 0, 0),
        "warcio_example-digest.warc": (0, 4, 0, 0),
        "warcio_example-trunc.warc": (0, 3, 0, 1),
        "warcio_example-wget-bad-target-uri.warc.gz": (1, 5, 0, 0),
        "warcio_example-wrong-chunks.warc.gz": (1, 1, 0, 0),
        "wrong_charset_pages.warc.gz": (5, 1, 0, 0),
    }


def test_pages_of_the_index_are_all_there(data: Path) -> None:
    index = data / "web" / "debian_docs_zh_en.index.jsonl.zst"
    lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(index.open("rb")), encoding="utf-8")
    expected = {record["id"]: record["meta"]["bytes"] for record in map(json.loads, lines)}
    found = read_all(Warc(files=["x"]), data / "web" / "debian_docs_zh_en.warc.gz")
    assert {json.loads(row["meta"])["warc_record_id"]: len(row["raw"]) for row in found.rows} == expected


def test_splits_of_a_crawl_begin_at_members(data: Path) -> None:
    path = data / "web" / "trafilatura_pages.warc.gz"
    splits = Warc(files=["x"], split_bytes=2**22).index(path)
    assert len(splits) > 10
    with path.open("rb") as file:
        for split in splits:
            file.seek(split.hint[0])
            assert file.read(2) == b"\x1f\x8b"
            assert split.start == split.hint[1]
