"""Heads of responses are read as browsers read them, and what is no page is removed whatever its label."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from corpusmill.pipelines.extraction.media_type import MediaType, media_type
from corpusmill.pipelines.sources.assembly.page_signs import looks_like_html, other_than_html
from corpusmill.pipelines.sources.framing.http_response import HEAD_LIMIT, HeadError, parse_response
from corpusmill.pipelines.sources.warc import Warc
from tests.oracles.sources_archives import http_response, read_all, warc_record

PROSE = b"The mill stands by the river, and its wheel turns (slowly) all day; nobody minds. " * 80


@pytest.mark.parametrize(
    ("header", "essence", "charset"),
    [
        ("text/html", "text/html", None),
        (" Text/HTML ; Charset=UTF-8", "text/html", "UTF-8"),
        ("text/html, text/html", "text/html", None),
        ("text/html; charset=gbk, text/html", "text/html", "gbk"),
        ("text/html; charset=gbk, text/html; charset=utf-8", "text/html", "utf-8"),
        ("text/html; charset=gbk, text/plain", "text/plain", None),
        ("image/png, text/html; charset=big5", "text/html", "big5"),
        ("text/html, */*", "text/html", None),
        ("text/html,", "text/html", None),
        (",,text/html", "text/html", None),
        ("text/html charset=utf-8", "text/html", "utf-8"),
        ("text/html\tcharset = 'utf-8'", "text/html", "utf-8"),
        ('"text/html"; charset="utf-8"', "text/html", "utf-8"),
        ("'text/html'", "text/html", None),
        ('text/html; x="a, image/png"; charset=koi8-r', "text/html", "koi8-r"),
        ('text/html; x="a\\", image/png', "text/html", None),
        ("text/html(comment)", "text/html", None),
        ("text/html;", "text/html", None),
        ("html", "", None),
        ("charset=utf-8", "", "utf-8"),
        ("text/html/x", "", None),
        ("", "", None),
        (None, "", None),
    ],
)
def test_media_types(header: str | None, essence: str, charset: str | None) -> None:
    assert media_type(header) == MediaType(essence, charset)


@pytest.mark.parametrize("part", ['"', "\\", ",", " ", "=", ";", "a/", "charset=", '"\\', "charset ", "é"])
def test_a_megabyte_of_one_part_is_read_in_one_pass(part: str) -> None:
    found = media_type("text/html;" + part * (1_000_000 // len(part)))
    assert found.essence == "text/html"


def test_a_head_of_continuation_lines_and_one_of_repeated_headers() -> None:
    folded = parse_response(b"HTTP/1.1 200 OK\r\nA: x\r\n" + b" y\r\n" * 65_000 + b"\r\nbody")
    assert folded is not None
    assert folded.headers == {"a": "x" + " y" * 65_000}
    repeated = parse_response(b"HTTP/1.1 200 OK\r\n" + b"A: x\r\n" * 43_000 + b"\r\nbody")
    assert repeated is not None
    assert repeated.headers == {"a": ", ".join(["x"] * 43_000)}


def test_a_head_has_a_limit_and_a_body_none_here() -> None:
    head = b"HTTP/1.1 200 OK\r\nA: "
    longest = head + b"x" * (HEAD_LIMIT - len(head) - 4)
    found = parse_response(longest + b"\r\n\r\n" + b"<p>" * HEAD_LIMIT)
    assert found is not None
    assert len(found.body) == 3 * HEAD_LIMIT
    with pytest.raises(HeadError, match="an HTTP head of over 256 KiB"):
        parse_response(longest + b"x\r\n\r\n<p>")
    unended = parse_response(longest + b"xxxx")
    assert unended is not None
    assert (unended.status, unended.body) == (200, b"")


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 OK", b"HTTP/2 200", b"http/1.0 200 ok", b"ICY 200 OK"])
def test_status_lines(line: bytes) -> None:
    found = parse_response(line + b"\r\n\r\n<p>")
    assert found is not None
    assert found.status == 200


@pytest.mark.parametrize("line", [b"HTTPS/1.1 200 OK", b"HTTP/1.1 2000", b"200 OK", b""])
def test_what_is_no_status_line(line: bytes) -> None:
    assert parse_response(line + b"\r\n\r\n<p>") is None


SCRIPT = b"!function(e,t){var n=e.document;t.exports=n?a(n):function(){return 1}}(this,module);" * 9
NO_PAGES = {
    "application/json": [
        json.dumps({"rows": [{"html": "<p>markup</p>"}] * 20}).encode(),
        b' \n[{"a" : 1}]',
        b")]}',\n" + b'{"a":[1,2]}',
        b"[[1, 2], [3, 4]]\n",
        b'["a", "b"]',
        b"[null]",
        b"{}",
        b"[ ]",
        b'{"cut": "here',
        b"\xef\xbb\xbf" + b'{"bom": 1}',
    ],
    "text/javascript": [
        SCRIPT,
        b"/* licence */\n// note\n" + SCRIPT,
        b"var a = {b: 1};\nfoo(a);\n",
        b"'use strict';\nexports.a = function () {};\n",
        b'callback({"a": 1});',
        b"window.dataLayer=window.dataLayer||[];",
        b"export default {name: 1};",
        b"(()=>{var e={1:2};run(e)})();",
    ],
    "text/css": [
        b"body{margin:0;padding:0}\n.a > p{color:red}",
        b'@charset "utf-8";\n.a { color: red; }',
        b"/* theme */\n@media screen and (max-width: 60em) {\n a { color: red; }\n}",
        b":root{--a:1px}",
    ],
    "application/pdf": [b"%PDF-1.7\n1 0 obj\n"],
    "image/png": [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"],
    "image/webp": [b"RIFF\x10\0\0\0WEBPVP8 "],
    "application/gzip": [b"\x1f\x8b\x08\0\0"],
}
PAGES = [
    b"",
    PROSE,
    b"<p>" + PROSE,
    b'<script>var a = {"b": 1};</script><p>x',
    b"/* stray */ <html><p>x</p>",
    b"var a = 1; b(a); </script><html><body>x</body></html>",
    b"{template} The name was never filled in. " + PROSE,
    b"[1] Notes of the first kind, (2) and others. " + PROSE,
    b'["Quoted in brackets", said the miller.] ' + PROSE,
    b'"Quoted", said the miller. ' + PROSE,
    b"function (n.): what a thing is for. " + PROSE,
    b"define (v.): to say what a word means. " + PROSE,
    b"Notice: Undefined variable $x in a.php on line 3 " + PROSE,
    b"import of grain 'by river' was taxed. " + PROSE,
    b"// a comment only\n" + PROSE,
    b"\xff\xfe<\0h\0t\0m\0l\0>\0",
    "文章的开头没有标签。".encode() * 50,
]


@pytest.mark.parametrize(("kind", "body"), [(kind, body) for kind in NO_PAGES for body in NO_PAGES[kind]])
def test_what_is_no_page_by_its_first_bytes(kind: str, body: bytes) -> None:
    assert other_than_html(body) == kind


@pytest.mark.parametrize("body", PAGES)
def test_what_may_be_a_page(body: bytes) -> None:
    assert other_than_html(body) is None


def test_bodies_without_a_media_type() -> None:
    for body in (
        b"<!-- cached -->\n<p>",
        b"\xef\xbb\xbf<P>x",
        b"<a href=x>",
        b"<html\n>",
        b"<!DOCTYPE html>",
    ):
        assert looks_like_html(body)
    for body in (b"<paragraph>", b"x <p>", b"<?xml version='1.0'?>", b""):
        assert not looks_like_html(body)


def test_the_signs_of_any_bytes_are_looked_for_in_bounded_time() -> None:
    rng = random.Random(5)
    parts = [
        b"[",
        b" ",
        b"{",
        b'"a"',
        b":",
        b"(",
        b"if(",
        b"function",
        b"window.",
        b"a=",
        b"/*",
        b"*/",
        b"//",
        b"\n",
    ]
    for part in parts:
        for other in parts:
            other_than_html(part + other * 4000)
    for _ in range(300):
        other_than_html(b"".join(rng.choices(parts, k=900)))


def test_a_record_without_a_url_has_none(tmp_path: Path) -> None:
    record = warc_record("response", "", http_response(b"<p>words</p>"))
    (tmp_path / "a.warc").write_bytes(record.replace(b"WARC-Target-URI: \r\n", b""))
    (row,) = read_all(Warc(files=["x"]), tmp_path / "a.warc").rows
    assert row["url"] is None


def test_repeated_heads_of_an_archive(tmp_path: Path) -> None:
    pages = [
        http_response(b"<p>one</p>", Content_Type="text/html, text/html; charset=utf-8"),
        http_response(b"<p>two</p>", Content_Type='"text/html" charset=utf-8,'),
        http_response(b'{"three": 3}', Content_Type="text/html"),
        http_response(b"<p>four</p>", Content_Type="text/html, image/png"),
    ]
    records = [warc_record("response", f"http://e.org/{n}", page, n) for n, page in enumerate(pages)]
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    found = read_all(Warc(files=["x"]), tmp_path / "a.warc")
    assert [row["raw"] for row in found.rows] == [b"<p>one</p>", b"<p>two</p>"]
    assert [(lost.why, lost.detail) for lost in found.removed] == [
        ("not_html", "application/json by its first bytes"),
        ("not_html", "image/png"),
    ]
