"""Index files of WARC files: the records they name are read, and nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.pipelines.recipe.first_records import first_fault
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.sources.assembly.cdx_selection import fits
from corpusmill.pipelines.sources.cdx import Cdx
from corpusmill.pipelines.sources.warc import Warc
from tests.oracles.sources_archives import Read, http_response, page_records, read_all, warc_record

COUNT = 12
LANGUAGES = ("eng", "deu,eng", "zho", "")


def url(number: int) -> str:
    return f"http://site-{number % 3}.example.org/page/{number}"


def digest(body: bytes) -> str:
    return base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


def body(number: int) -> bytes:
    return f"<html><body>page {number} {'word ' * (number * 50)}</body></html>".encode()


def crawl(folder: Path, name: str = "crawl/a.warc.gz") -> list[dict[str, Any]]:
    """A crawl of `COUNT` pages, each before a request, and what an index says of the pages."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    loaded = zstandard.train_dictionary(
        2048, [page[i : i + 99] for page in page_records(40, 900) for i in range(9)]
    )
    dictionary = loaded.as_bytes()
    packer = zstandard.ZstdCompressor(dict_data=loaded, write_checksum=True)
    pack: dict[str, Callable[[bytes], bytes]] = {
        ".gz": lambda data: gzip.compress(data, mtime=0),
        ".zst": packer.compress,
        ".warc": bytes,
    }
    skipped = b"\x5d\x2a\x4d\x18" + len(dictionary).to_bytes(4, "little") + dictionary
    stored = skipped if name.endswith("zst") else b""
    rows = []
    for number in range(COUNT):
        status = 404 if number == 5 else 200
        parts = [
            warc_record("request", url(number), b"GET / HTTP/1.1\r\n\r\n"),
            warc_record(
                "response",
                url(number),
                http_response(body(number), status),
                number,
                WARC_Payload_Digest=f"sha1:{digest(body(number))}",
            ),
        ]
        request, response = (pack[path.suffix](part) for part in parts)
        row = {
            "url": url(number),
            "mime": "text/html",
            "mime-detected": "application/xhtml+xml" if number == 3 else "text/html",
            "status": str(status),
            "digest": digest(body(number)),
            "length": str(len(response)),
            "offset": str(len(stored) + len(request)),
            "filename": name,
        }
        if languages := LANGUAGES[number % 4]:
            row["languages"] = languages
        rows.append(row)
        stored += request + response
    path.write_bytes(stored)
    return rows


def cdxj(rows: list[dict[str, Any]]) -> bytes:
    lines = [f"org,example)/{i} 20240506070809 {json.dumps(row)}" for i, row in enumerate(rows)]
    return "".join(line + "\n" for line in lines).encode()


def cdx(rows: list[dict[str, Any]], letters: str, legend: bool = True) -> bytes:
    lines = []
    for row in rows:
        values = {
            "N": "org,example)/",
            "b": "20240506070809",
            "a": row["url"],
            "m": row["mime"],
            "s": row["status"],
            "k": row["digest"],
            "S": row["length"],
            "V": row["offset"],
            "g": row["filename"],
        }
        lines.append(" ".join(values.get(letter, "-") for letter in letters.split()))
    return "".join(f"{line}\n" for line in [*([f" CDX {letters}"] if legend else []), *lines]).encode()


def read(folder: Path, index: bytes, name: str = "index.cdxj", **options: Any) -> Read:
    (folder / name).write_bytes(index)
    return read_all(Cdx.model_validate({"files": ["x"], **options}), folder / name)


PAGES = [url(number) for number in range(COUNT) if number != 5]


@pytest.mark.parametrize("name", ["a.warc.gz", "deep/er/a.warc.gz", "a.warc.zst", "a.warc"])
@pytest.mark.parametrize(
    "write",
    [
        cdxj,
        lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode(),
        lambda rows: cdx(rows, "N b a m s k r M S V g"),
        lambda rows: cdx(rows, "N b a m s k r V g"),
        lambda rows: cdx(rows, "N b a m s k r M S V g", legend=False),
        lambda rows: cdx(rows, "N b a m s k r V g", legend=False),
        lambda rows: cdx(rows, "g V S a"),
    ],
    ids=["cdxj", "bare json", "cdx 11", "cdx 9", "cdx 11 bare", "cdx 9 bare", "own order"],
)
def test_every_form_of_index_and_archive(
    tmp_path: Path, name: str, write: Callable[[list[dict[str, Any]]], bytes]
) -> None:
    found = read(tmp_path, write(crawl(tmp_path, name)))
    assert not found.quarantined
    assert [row["url"] for row in found.rows] == PAGES
    assert found.whys == {"http_status": 1}
    whole = read_all(Warc(files=["x"]), tmp_path / name)
    assert found.rows == whole.rows
    assert found.removed[0].position.endswith(f": {name}, byte {crawl(tmp_path, name)[5]['offset']}")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"url": ["http://site-1.*"]}, [1, 4, 7, 10]),
        ({"url": ["*/page/1", "*/page/1*"]}, [1, 10, 11]),
        ({"url": ["http://*.org/page/4"], "status": [200]}, [4]),
        ({"status": [404]}, [5]),
        ({"status": [200, 404], "mime": ["application/*"]}, [3]),
        ({"mime": ["TEXT/html"]}, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]),
        ({"language": ["deu"]}, [1, 5, 9]),
        ({"language": ["eng", "zho"]}, [0, 2, 4, 6, 8, 10]),
    ],
)
def test_what_is_selected(tmp_path: Path, options: dict[str, Any], wanted: list[int]) -> None:
    found = read(tmp_path, cdxj(crawl(tmp_path)), **options)
    assert [row["url"] for row in found.rows] == [url(number) for number in wanted if number != 5]
    assert found.whys["not_selected"] == COUNT - len(wanted)
    assert found.whys["http_status"] == (5 in wanted)
    assert sum(found.whys.values()) + len(found.rows) == COUNT


def test_lines_that_do_not_state_what_is_asked_for(tmp_path: Path) -> None:
    rows = crawl(tmp_path)
    index = cdx([{**row, "mime": "-", "status": "-"} for row in rows], "N b a m s k r M S V g")
    for options in ({"mime": ["*"]}, {"status": [200]}, {"language": ["eng"]}):
        assert read(tmp_path, index, **options).whys == {"not_selected": COUNT}


def test_nothing_but_the_ranges_of_selected_records_is_read(tmp_path: Path) -> None:
    """All other bytes of the crawl are destroyed, and other files are not there."""
    rows = crawl(tmp_path)
    path = tmp_path / "crawl" / "a.warc.gz"
    stored = path.read_bytes()
    kept = bytearray(len(stored))
    for row in rows[1::3]:
        part = slice(int(row["offset"]), int(row["offset"]) + int(row["length"]))
        kept[part] = stored[part]
    path.write_bytes(kept)
    rows[0]["filename"] = "gone.warc.gz"
    found = read(tmp_path, cdxj(rows), url=["http://site-1.*"])
    assert [row["url"] for row in found.rows] == [url(number) for number in (1, 4, 7, 10)]
    assert found.whys == {"not_selected": 8}


@settings(deadline=None, max_examples=12)
@given(members=st.integers(1, 60), split_bytes=st.integers(2**16, 2**22), repeat=st.integers(1, 60))
def test_any_splitting_of_an_index_gives_the_same_pages(
    tmp_path_factory: pytest.TempPathFactory, members: int, split_bytes: int, repeat: int
) -> None:
    folder = tmp_path_factory.mktemp("i")
    lines = (cdxj(crawl(folder)) * repeat).splitlines(keepends=True)
    cuts = [b"".join(lines[i::members]) for i in range(members)]
    found = read(folder, b"".join(map(gzip.compress, cuts)), "cdx-00000.gz", split_bytes=split_bytes)
    assert not found.faults
    assert len(found.rows) == (COUNT - 1) * repeat
    whole = read(folder, b"".join(cuts), split_bytes=2**30)
    assert found.rows == whole.rows
    lengths = sum(int(json.loads(line.split(b" ", 2)[2])["length"]) for line in lines)
    assert sum(split.size for split in found.splits) == lengths + sum(map(len, lines))


def row(**fields: object) -> bytes:
    return f"org,example)/ 2024 {json.dumps(fields)}\n".encode()


BROKEN = [
    (b'org,example)/ 2024 {"url": \n', "Expecting value"),
    (row(filename="a"), "no offset"),
    (row(offset="1"), "no file name"),
    (row(offset="-5", filename="a"), "no valid offset ('-5')"),
    (row(offset=1, length="x", filename="a"), "no valid length ('x')"),
    (row(offset=1, filename="../a"), "leads out of its folder"),
    (row(offset=1, filename="a/../../b"), "leads out of its folder"),
    (row(offset=1, filename="\ud800"), "surrogates not allowed"),
    (b"org,example)/ 2024 " + b'{"a":' * 600 + b"1" + b"}" * 600 + b"\n", "nested more than 512 levels"),
    (b"org,example)/ 2024 \xff\xfe {\n", "invalid start byte"),
    (b"org,example)/\0 2024 {}\n", "NUL"),
    (b"one two three\n", "3 fields and no legend"),
    (b" CDX N b a\n", "another legend"),
    (b"x" * (2**20 + 9) + b"\n", "a line over 1048576 bytes"),
]


@pytest.mark.parametrize(("line", "words"), BROKEN, ids=[words[:20] for _, words in BROKEN])
def test_a_broken_line_is_quarantined_alone(tmp_path: Path, line: bytes, words: str) -> None:
    sound = cdxj(crawl(tmp_path))
    found = read(tmp_path, b"!meta {}\n\r\n" + sound + line + b"@context []\n" + sound)
    (lost,) = found.quarantined
    assert lost.why == "bad_index_line"
    assert words in lost.detail
    assert lost.position == f"index.cdxj, byte {len(sound) + 11}"
    assert lost.size == len(line) - 1
    assert len(found.rows) == 2 * (COUNT - 1)


def test_a_line_of_another_number_of_fields_than_the_legend(tmp_path: Path) -> None:
    index = cdx(crawl(tmp_path), "N b a m s k r M S V g")
    found = read(tmp_path, index + b"one two\n" + index)  # the legend may come again
    assert [lost.detail for lost in found.quarantined] == ["2 fields where the legend names 11"]
    assert len(found.rows) == 2 * (COUNT - 1)


@pytest.mark.parametrize(
    ("change", "why", "words"),
    [
        ({"offset": "99999999"}, "bad_offset", "the file has"),
        ({"offset": "3"}, "bad_offset", "begin none"),
        ({"length": "70"}, "bad_offset", "in the 70 bytes from byte"),
        ({"length": "700"}, "bad_offset", "from byte"),
        ({"url": "http://other.example/"}, "other_record", "has the URL 'http://site-0.example.org/page/0'"),
        ({"digest": digest(b"another")}, "other_record", "has the digest 'sha1:"),
        ({"filename": "gone.warc.gz"}, "missing_file", "gone.warc.gz is not in"),
        ({"filename": "crawl"}, "missing_file", "crawl is not in"),
        ({"filename": "x" * 5000}, "missing_file", "is not in"),
    ],
)
def test_a_line_that_names_no_sound_record(
    tmp_path: Path, change: dict[str, str], why: str, words: str
) -> None:
    rows = crawl(tmp_path)
    rows[0] |= change
    found = read(tmp_path, cdxj(rows))
    (lost,) = found.quarantined
    assert lost.why == why
    assert words in lost.detail
    assert lost.position.startswith("index.cdxj, byte 0: ")
    assert len(found.rows) == COUNT - 2


def test_harm_to_a_record_is_found(tmp_path: Path) -> None:
    rows = crawl(tmp_path)
    path = tmp_path / "crawl" / "a.warc.gz"
    stored = bytearray(path.read_bytes())
    stored[int(rows[7]["offset"]) + int(rows[7]["length"]) - 3] ^= 1  # in the member's length
    path.write_bytes(stored)
    for index in (cdxj(rows), cdx(rows, "N b a m s k r V g")):
        found = read(tmp_path, index)
        assert [lost.why for lost in found.quarantined] == ["bad_offset"]
        assert [row["url"] for row in found.rows] == [page for page in PAGES if page != url(7)]


def test_spellings_of_one_url_and_digests_of_another_algorithm(tmp_path: Path) -> None:
    rows = crawl(tmp_path)
    rows[0]["url"] = "HTTP://site-0.example.org/page/0/#top"
    rows[1]["url"] = "http://site-1.example.org/p%61ge/1"
    rows[2]["digest"] = "sha256:" + "0" * 64
    rows[3]["digest"] = "sha1:" + rows[3]["digest"].lower()
    del rows[4]["url"], rows[4]["digest"]
    assert len(read(tmp_path, cdxj(rows)).rows) == COUNT - 1


def test_files_are_found_by_path_and_else_by_name(tmp_path: Path) -> None:
    rows = crawl(tmp_path / "warcs", "a.warc.gz")
    rows[0]["filename"] = "crawl-data/CC-MAIN-2024-10/warc/a.warc.gz"
    rows[1]["filename"] = "/a.warc.gz"
    rows[2]["filename"] = "https://data.example.org/x/a.warc.gz"
    found = read(tmp_path, cdxj(rows), warcs=tmp_path / "warcs")
    assert len(found.rows) == COUNT - 1
    other = tmp_path / "warcs" / "crawl-data" / "CC-MAIN-2024-10" / "warc" / "a.warc.gz"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    found = read(tmp_path, cdxj(rows), warcs=tmp_path / "warcs")
    assert [lost.why for lost in found.quarantined] == ["bad_offset"]


def test_large_records_and_records_of_other_types(tmp_path: Path) -> None:
    rows = crawl(tmp_path)
    found = read(tmp_path, cdxj(rows), max_record_bytes=1500)
    assert found.whys["too_large"] > 3
    assert sum(found.whys.values()) + len(found.rows) == COUNT
    rows[1] |= {"offset": "0", "length": rows[0]["offset"]}
    rows[1]["url"] = url(0)
    assert read(tmp_path, cdxj(rows)).whys == {"http_status": 1, "request": 1}


def test_the_first_lines_are_looked_at(tmp_path: Path) -> None:
    rows = crawl(tmp_path)
    reader = Cdx(files=["x"])

    def fault(content: bytes, name: str = "index.cdxj") -> str | None:
        (tmp_path / name).write_bytes(content)
        return first_fault(reader, {name: str(tmp_path / name)})

    assert fault(cdxj(rows)) is None
    assert fault(gzip.compress(cdx(rows, "N b a m s k r V g"))) is None
    gone = fault(cdxj([{**row, "filename": "gone.warc.gz"} for row in rows]))
    assert gone is not None
    assert f"the file gone.warc.gz that it names is not in {tmp_path}; set `warcs`" in gone
    assert "this reader expects lines of CDX or CDXJ" in (fault(b"one, two\n" * 9) or "")
    assert "its format is warc" in (fault((tmp_path / "crawl" / "a.warc.gz").read_bytes()) or "")


@pytest.mark.parametrize("options", [{"language": ["en"]}, {"url": []}, {"status": ["ok"]}])
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Cdx.model_validate({"files": ["x"], **options})


@given(st.text("ab", max_size=12), st.text("ab*", max_size=6))
def test_patterns_fit_what_expressions_match(text: str, pattern: str) -> None:
    import re

    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert fits(text, pattern.split("*")) == (re.fullmatch(expression, text) is not None)


RECIPE = """\
name: subset
output: out
engine: {kind: inline}
sources:
  web:
    read:
      cdx: {files: index/*.cdxj, warcs: FOLDER, url: ["http://site-1.*"], status: [200]}
    steps: [extract]
"""


def test_a_recipe(tmp_path: Path) -> None:
    rows = crawl(tmp_path / "warcs")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "a.cdxj").write_bytes(cdxj(rows))
    (tmp_path / "r.yaml").write_text(RECIPE.replace("FOLDER", "wracs"))
    with pytest.raises(InvalidRecipeError, match=r"read.cdx.warcs: there is no file .*wracs"):
        load_recipe(tmp_path / "r.yaml", inputs=True)
    (tmp_path / "r.yaml").write_text(RECIPE.replace("FOLDER", "warcs"))
    run = run_recipe(load_recipe(tmp_path / "r.yaml", inputs=True))
    manifest = run.manifest("web")
    (entry, *_) = manifest.ledger
    assert (entry.documents_in, entry.documents_kept) == (COUNT, 4)
    assert entry.removed["not_selected"][0] == COUNT - 4
    assert manifest.key.stages[0].options["warcs"] == "warcs"


def test_a_false_length_costs_no_more_than_the_record(tmp_path: Path) -> None:
    rows = crawl(tmp_path)
    path = tmp_path / "crawl" / "a.warc.gz"
    rows[0]["length"] = str(path.stat().st_size + 2**30 - int(rows[0]["offset"]))
    os.truncate(path, path.stat().st_size + 2**30)  # a hole, which takes no room
    tracemalloc.start()
    found = read(tmp_path, cdxj(rows[:1]))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [lost.detail for lost in found.quarantined] == [
        f"no whole record in the {rows[0]['length']} bytes from byte {rows[0]['offset']} of crawl/a.warc.gz: "
        "something else follows the record in them"
    ]
    assert most < 2**22
