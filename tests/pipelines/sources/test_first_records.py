"""One record of a source must be readable in what is looked at before any work."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.recipe.first_records import DAMAGED_FILES, first_fault
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.sources.arc import Arc
from corpusmill.pipelines.sources.html import Html
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.looking.unreadable import encoding_of
from corpusmill.pipelines.sources.parquet import Parquet
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.sources.tar import Tar
from corpusmill.pipelines.sources.text import Text
from corpusmill.pipelines.sources.tree import Tree
from corpusmill.pipelines.sources.warc import Warc

CSV = b"id,text\n1,the mill stands by the river\n"
LINE = json.dumps({"text": "The ferry leaves at nine."}) + "\n"
UTF_16 = LINE.encode("utf-16")
BODY = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>The river is high today.</p>"
RECORD = (
    b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Target-URI: http://a.org/\r\n"
    b"Content-Type: application/http\r\nContent-Length: %d\r\n\r\n%b\r\n\r\n" % (len(BODY), BODY)
)
ARC_RECORD = b"http://a.org/ 1.2.3.4 20240102030405 text/html %d\n%b\n" % (len(BODY), BODY)
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0"


def fault(tmp_path: Path, reader: type[Reader], *contents: bytes) -> str | None:
    files = {f"{k:03}.x": str(tmp_path / f"{k:03}.x") for k in range(len(contents))}
    for (name, path), content in zip(files.items(), contents, strict=True):
        Path(path).write_bytes(content)
        assert name
    return first_fault(reader(files=["x"]), files)


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["The lock keeper opens the gate."]}), file)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo("a/b.py")
        member.size = 6
        tar.addfile(member, io.BytesIO(b"x = 1\n"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("reader", "content", "words"),
    [
        (Jsonl, CSV, "'id,text\\n1,the mill stands by the river\\n', this reader expects one JSON"),
        (Jsonl, b"[2024-01-02] started\n[2024-01-02] stopped\n", "it begins with '[2024-01-02] started\\n"),
        (Jsonl, UTF_16, "it looks like UTF-16: convert it to UTF-8, such as with `iconv -f UTF-16 -t UTF-8`"),
        (Jsonl, UTF_16[2:], "it looks like UTF-16LE"),
        (Jsonl, PNG, "it begins with '\\x89PNG\\r\\n\\x1a\\n"),
        (Jsonl, b"{broken\nalso broken}\n", "it begins with '{broken\\nalso broken}\\n'"),
        (Jsonl, gzip.compress(CSV, mtime=0), "it begins with 'id,text"),
        (Jsonl, b"no line ends here " * 70_000, "this reader expects one JSON object a line, in UTF-8"),
        (Jsonl, b'{"text": "a\\u0000b"}\n', "the first text in `text` holds NUL"),
        (Jsonl, b'{"text": "a\\ud800b"}\n', "holds half of a surrogate pair"),
        (Warc, b"hi\n", "it begins with 'hi\\n', this reader expects records that begin with a line such as"),
        (Warc, ARC_RECORD, "it begins with 'http://a.org/ 1.2.3.4 20240102030405"),
        (Warc, gzip.compress(CSV, mtime=0), "it begins with 'id,text"),
        (Arc, RECORD, "read it with `read: {warc: ...}`"),
        (Arc, CSV, "expects a line `URL IP date type length` before each record"),
        (Parquet, CSV, "this reader expects a Parquet file, which begins and ends with PAR1"),
        (Tar, CSV, "this reader expects a tar header with a right checksum"),
        (Text, "Die Mühle steht am Fluß.".encode("latin-1"), "text in UTF-8 without NUL ('utf-8' codec"),
        (Text, "今天天气很好".encode("gb18030"), "another encoding to UTF-8, such as with `iconv -f GB18030"),
        (Text, UTF_16, "it looks like UTF-16"),
        (Tree, PNG, "expects text in UTF-8 without NUL (NUL at byte 8)"),
        (Html, b"%PDF-1.7\n", "its format is PDF"),
    ],
)  # fmt: skip
def test_what_no_record_can_be_read_of_is_told_with_what_is_seen(
    tmp_path: Path, reader: type[Reader], content: bytes, words: str
) -> None:
    found = fault(tmp_path, reader, b"", content)
    assert found is not None
    assert found.startswith("001.x: ")
    assert words in found
    assert all(character.isprintable() for character in found)


WARC_GZ = gzip.compress(RECORD, mtime=0)


@pytest.mark.parametrize(
    ("reader", "content"),
    [
        (Jsonl, LINE.encode()),
        (Jsonl, CSV + LINE.encode() + CSV),
        (Jsonl, b'{"text": "a\\u0000b"}\n' + LINE.encode()),
        (Jsonl, b'{"other": 1}\n' * 40_000 + LINE.encode()),
        (Warc, RECORD),
        (Warc, b"noise\n" * 90 + RECORD),
        (Warc, RECORD.replace(b"Content-Length", b"Content-Longth", 1) + RECORD),
        (Warc, WARC_GZ[:40] + WARC_GZ),
        (Warc, WARC_GZ[:-12] + bytes(12) + WARC_GZ),
        (Arc, ARC_RECORD),
        (Arc, b"noise\n" + ARC_RECORD),
        (Parquet, parquet()),
        (Tar, archive()),
        (Tar, gzip.compress(archive(), mtime=0)),
        (Text, b"a" * (2**20 - 1) + "中文".encode()),  # the MiB ends within a character
        (Text, b"plain text, which may begin with anything"),
        (Tree, b"x = 1\n"),
        (Html, UTF_16),
    ],
)
def test_one_record_that_can_be_read_is_enough(tmp_path: Path, reader: type[Reader], content: bytes) -> None:
    assert fault(tmp_path, reader, content) is None
    assert fault(tmp_path, reader, PNG, CSV + b"\xff", content) is None


@pytest.mark.parametrize(
    ("reader", "damaged", "sound", "words"),
    [
        (Parquet, parquet()[:-40] + bytes(40), parquet(), "its footer cannot be read"),
        (Warc, WARC_GZ[:9], WARC_GZ, "the file ends inside the gzip member that begins at byte 0"),
        (Warc, b"WARC/1.0\r\nWARC-Type", RECORD, "no record of its first MiB can be read"),
        (Tar, archive()[:200] + bytes(57) + b"ustar" + bytes(800), archive(), "no sound tar header"),
    ],
)
def test_damaged_files_of_the_format_are_passed_over(
    tmp_path: Path, reader: type[Reader], damaged: bytes, sound: bytes, words: str
) -> None:
    assert fault(tmp_path, reader, *[damaged] * (DAMAGED_FILES - 1), b"", sound) is None
    found = fault(tmp_path, reader, b"", *[damaged] * 5)
    assert found is not None
    assert found.startswith("001.x: ")
    assert words in found
    assert "no record in its first MiB" in (fault(tmp_path, reader, damaged, PNG) or "")


def test_a_record_that_goes_on_beyond_what_is_looked_at_decides_nothing(tmp_path: Path) -> None:
    long = b'{"id": 1, "text": "' + b"a" * 2_000_000 + b'"}\n'
    assert fault(tmp_path, Jsonl, b"", b"odd\n" + long) is None
    assert (fault(tmp_path, Jsonl, long, CSV) or "").startswith("001.x: ")


def test_more_files_are_looked_at_where_a_file_is_one_record(tmp_path: Path) -> None:
    assert fault(tmp_path, Jsonl, *[CSV] * 3, LINE.encode()) is not None
    for reader in (Text, Tree):
        assert fault(tmp_path, reader, *[PNG] * 29, b"words") is None
        assert fault(tmp_path, reader, *[PNG] * 30, b"words") is not None


def test_a_search_for_frames_ends(tmp_path: Path) -> None:
    """Bytes that begin hundreds of gzip members, each of them broken."""
    assert fault(tmp_path, Warc, WARC_GZ[:40] * 3_000) is not None


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("text".encode("utf-16-le"), "UTF-16LE"),
        ("text".encode("utf-16-be"), "UTF-16BE"),
        ("text".encode("utf-32"), "UTF-32"),
        (b"\xfe\xff\x4e\x2d", "UTF-16"),
        (b"text", None),
        (b"", None),
        (bytes(8), None),
    ],
)
def test_encodings_of_wide_units(head: bytes, encoding: str | None) -> None:
    assert encoding_of(head) == encoding


def test_a_recipe_names_all_such_sources_at_once_and_lets_them_be_lost(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CSV)
    (tmp_path / "good.jsonl").write_text(LINE)
    sources: dict[str, Any] = {
        "one": {"read": {"jsonl": "a.csv"}},
        "two": {"read": {"parquet": "a.csv"}, "allow_loss": 1},
        "three": {"read": {"warc": "a.csv"}, "steps": ["extract"]},
        "four": {"read": {"jsonl": "good.jsonl"}},
    }
    recipe = tmp_path / "r.yaml"
    recipe.write_text(json.dumps({"name": "r", "sources": sources}))
    with pytest.raises(UserError) as caught:
        load_recipe(recipe, inputs=True)
    first, second = str(caught.value).splitlines()
    assert "sources.one.read.jsonl: a.csv: no record in its first MiB: it begins with 'id,text" in first
    assert first.endswith("convert it to JSON Lines or Parquet, or set `allow_loss: 1` to go on without it")
    assert "sources.three.read.warc: a.csv: " in second
    for source in sources.values():
        source["allow_loss"] = 1
    recipe.write_text(json.dumps({"name": "r", "sources": sources}))
    assert load_recipe(recipe, inputs=True)
