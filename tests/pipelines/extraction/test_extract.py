"""The stage: rows in, the same rows out, each with text, a reason or a fault."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.sources.extract import Extract

WORDS = "The mill by the river grinds whatever the carts bring, day after day, and keeps a record of it. "
ARTICLE = (
    '<html lang="en"><head><title>The  mill</title></head><body>'
    '<nav><a href="/">Home</a><a href="/a">Shop</a></nav>'
    f"<article><h1>The mill</h1><p>{WORDS * 3}</p></article>"
    '<footer class="footer">Imprint and privacy notice of the mill</footer></body></html>'
)
DATA = Path(os.environ.get("CORPUSMILL_DATA", Path(__file__).parents[4] / "shared" / "data"))


def rows(*pages: tuple[bytes | None, str | None], meta: str = "{}") -> Documents:
    n = len(pages)
    return Documents(
        pa.table(
            {
                "id": pa.array([f"{i:032x}" for i in range(n)]),
                "text": pa.array(
                    [None if raw is not None else "kept text" for raw, _ in pages], pa.large_string()
                ),
                "source": pa.array(["s"] * n),
                "domain": pa.array(["web"] * n),
                "meta": pa.array([meta] * n),
                "raw": pa.array([raw for raw, _ in pages], pa.large_binary()),
                "content_type": pa.array([kind for _, kind in pages], pa.string()),
            }
        )
    )


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_main_content_and_metadata(extractor: str) -> None:
    outcome = Extract(extractor=extractor).apply(
        rows((ARTICLE.encode(), "text/html"), meta='{"title": "own", "z": 1}')
    )
    assert outcome.documents.table.column_names == ["id", "text", "source", "domain", "meta"]
    text = outcome.documents.text[0].as_py()
    assert WORDS.strip() in text
    assert "Imprint" not in text
    assert "Shop" not in text
    assert outcome.documents.column("meta")[0].as_py() == (
        '{"charset": "utf-8", "html_lang": "en", "title": "own", "z": 1}'
    )
    assert outcome.reasons.null_count == outcome.faults.null_count == 1


def test_reasons_and_faults() -> None:
    cases: list[tuple[bytes | None, str | None, str | None, str | None]] = [
        (ARTICLE.encode(), None, None, None),
        (None, None, None, None),
        (b"", "text/html", "empty", None),
        (b"<html><body></body></html>", "text/html", "empty", None),
        (b"\x89PNG", "image/png", "not_text", None),
        (b"plain\n  text <b>", "text/plain; charset=utf-8", None, None),
        (b"bin\0ary", "text/plain", None, "binary_content"),
        (b"<p>" + b"x" * 5000, "text/html", None, "too_large"),
        (b"<body>" + b"<div>" * 40 + b"x", "text/html", None, "too_deep"),
        (
            b"<div " + b" ".join(b"a%d=1" % i for i in range(30)) + b">x",
            "text/html",
            None,
            "too_many_attributes",
        ),
        ("<p>ü".encode() * 50 + b"<p>\xfc" * 50, "text/html; charset=utf-8", None, "bad_charset"),
    ]
    stage = Extract(max_html_bytes=4096, max_depth=32, max_attributes=16)
    outcome = stage.apply(rows(*[(raw, kind) for raw, kind, _, _ in cases]))
    assert outcome.reasons.to_pylist() == [reason for _, _, reason, _ in cases]
    codes = [words and words.split(":")[0] for words in outcome.faults.to_pylist()]
    assert codes == [fault for _, _, _, fault in cases]
    assert outcome.documents.text[1].as_py() == "kept text"
    assert outcome.documents.text[5].as_py() == "plain\n  text <b>"


def test_rows_are_independent() -> None:
    pages = [(ARTICLE.replace("mill", f"mill{i}").encode(), "text/html") for i in range(4)]
    whole = Extract().apply(rows(*pages)).documents.text.to_pylist()
    parts = [Extract().apply(rows(page)).documents.text[0].as_py() for page in pages]
    assert whole == parts


def test_whole_page_keeps_what_main_content_leaves_out() -> None:
    text = Extract(main_content=False).apply(rows((ARTICLE.encode(), None))).documents.text[0].as_py()
    assert "Imprint" in text


STORY = "".join(
    f"<p>Paragraph {number} tells how the keeper of the light wrote down what each ship had on board.</p>"
    for number in range(6)
)
MENU = '<div class="nav"><ul><li><a href="/">Home</a></li><li><a href="/all">All</a></li></ul></div>'


@pytest.mark.parametrize("extractor", ["corpusmill", "resiliparse", "trafilatura"])
@pytest.mark.parametrize(
    "body",
    [
        f"<body>{MENU}<aside>{STORY}</aside></body>",
        f'<body><div id="root"></div><noscript>{STORY}</noscript></body>',
        f'<frameset cols="9%,91%"><frame src="a"><noframes><body>{STORY}</body></noframes></frameset>',
        f'<body><main><section id="correlated-ratings">{STORY}</section></main></body>',
        f'<body><div class="wrapper decorating"><article>{STORY}</article></div></body>',
        f'<body><main><div id="cookies">{STORY}</div></main></body>',
    ],
)
def test_nothing_is_left_out_for_the_name_of_its_element_alone(body: str, extractor: str) -> None:
    page = f"<!doctype html><html><head><title>Lights</title></head>{body}</html>"
    (text,) = Extract(extractor=extractor).apply(rows((page.encode(), None))).documents.text.to_pylist()
    assert [number for number in range(6) if f"Paragraph {number} tells" not in text] == []


def test_a_library_that_finds_text_is_not_asked_again() -> None:
    page = f"<body><article>{STORY}</article><aside>Adverts of the day</aside></body>"
    for extractor in ("resiliparse", "trafilatura"):
        (text,) = Extract(extractor=extractor).apply(rows((page.encode(), None))).documents.text.to_pylist()
        assert "Adverts" not in text


def test_trafilatura_prints_nothing_of_a_page_without_main_text(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("trafilatura").setLevel(logging.NOTSET)  # as the library leaves it
    page = b"<html><body><img src='a.png'></body></html>"
    outcome = Extract(extractor="trafilatura").apply(rows((page, "text/html")))
    assert outcome.reasons.to_pylist() == ["empty"]
    assert caplog.records == []


def test_no_rows() -> None:
    assert len(Extract().apply(rows()).documents) == 0


def test_options_are_checked() -> None:
    with pytest.raises(ValidationError):
        Extract(extractor="magic")
    with pytest.raises(ValidationError):
        Extract(max_replaced=2.0)


def responses(path: Path) -> list[tuple[bytes, str | None]]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    if not path.exists():
        pytest.skip(f"no {path.name} in CORPUSMILL_DATA")
    found = []
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            kind = record.http_headers.get("Content-Type") if record.http_headers else None
            found.append((record.reader.read(), kind))
    return found


def test_pages_in_wrong_character_sets() -> None:
    outcome = Extract().apply(rows(*responses(DATA / "broken" / "wrong_charset_pages.warc.gz")))
    codes = [words and words.split(":")[0] for words in outcome.faults.to_pylist()]
    for text, fault in zip(outcome.documents.text.to_pylist(), codes, strict=True):
        assert fault in (None, "bad_charset")
        assert fault or (len(text) > 200 and text.count("�") < 5)
    assert outcome.faults.null_count >= 4


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_formulas_of_planetmath_survive(extractor: str) -> None:
    from resiliparse.parse.html import HTMLTree

    pages = responses(DATA / "web" / "planetmath11_math_pages.warc.gz")[:60]
    texts = Extract(extractor=extractor).apply(rows(*pages)).documents.text.to_pylist()
    there = found = 0
    for (raw, _), text in zip(pages, texts, strict=True):
        flat = "".join(text.split())
        document = HTMLTree.parse(raw.decode()).document
        assert document is not None
        for node in document.query_selector_all("math").values():
            there += 1
            tex = "".join((node.getattr("alttext") or "").replace("%\n", "").split())
            found += f"${tex}$" in flat
    assert there > 500
    assert found / there > 0.93


def test_metadata_is_json_with_sorted_keys() -> None:
    meta = Extract().apply(rows((ARTICLE.encode(), None))).documents.column("meta")[0].as_py()
    assert json.loads(meta)["title"] == "The mill"
    assert meta == json.dumps(json.loads(meta), sort_keys=True, ensure_ascii=False)
