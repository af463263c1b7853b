"""What is told of a file's first records, and texts that lie inside mappings."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from corpusmill.pipelines.recipe.first_records import first_fault
from corpusmill.pipelines.sources.html import Html
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.parquet import Parquet
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.sources.tar import Tar
from corpusmill.pipelines.sources.text import Text
from corpusmill.pipelines.sources.tree import Tree
from corpusmill.pipelines.sources.warc import Warc
from tests.oracles.sources_archives import read_all

LONG = "The ferry leaves at nine and comes back in the evening."


def lines(*records: Any) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def fault(tmp_path: Path, reader: Reader, *contents: bytes) -> str | None:
    files = {f"{k}.x": str(tmp_path / f"{k}.x") for k in range(len(contents))}
    for name, content in zip(files, contents, strict=True):
        (tmp_path / name).write_bytes(content)
    return first_fault(reader, files)


def jsonl(**options: Any) -> Jsonl:
    return Jsonl(files=["x"], **options)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><p>" + LONG.encode(), "its format is html; read it with `read: {html: ...}`"),
        (lines({"content": LONG, "id": 3}),
         "no field `text`, but content (text of 55 characters), id (a number); write `text_field: content`"),
        (lines({"meta": {"doc": {"body": LONG}}, "lang": "en"}), "`text_field: meta.doc.body`"),
        (lines({"text": [LONG, LONG]}), "join the texts of `text` into one"),
        (
            lines({"messages": [{"role": "user", "content": LONG}]}),
            "write `text_field: messages` and `template: \"{role}: {content}\"`",
        ),
        (lines({"prompt": LONG, "text": None}), "write `text_field: prompt`"),
        (lines({"n": 1}, {"n": 2}), "name the field of the text with `text_field`"),
        (json.dumps([{"text": LONG}] * 3).encode(), "one JSON list, not one record a line"),
        (json.dumps([{"text": LONG}] * 3, indent=1).encode(), "jq -c '.[]' 0.x"),
        (json.dumps({"text": LONG}, indent=1).encode(), "goes over several lines"),
        (json.dumps({"rows": [{"text": LONG}]}).encode(), "jq -c '.rows[]' 0.x"),
        (lines(["a", "b"], ["c", "d"]), "lines are JSON lists"),
        (gzip.compress(lines({"content": LONG}), mtime=0), "write `text_field: content`"),
        (b"PAR1" + bytes(80) + b"PAR1", "its format is parquet; read it with `read: {parquet: ...}`"),
        (b"WARC/1.0\r\nWARC-Type: response\r\n", "its format is warc"),
        (b"%PDF-1.7\n", "its format is PDF, which no reader reads"),
        (b"PK\x03\x04" + bytes(40), "packed as zip; unpack it"),
        (lines({"con\x1btent": LONG}), "con?tent"),
        (lines({f"f{k}": k for k in range(40)}), "and 28 more"),
    ],
)  # fmt: skip
def test_faults_of_json_lines(tmp_path: Path, content: bytes, words: str) -> None:
    found = fault(tmp_path, jsonl(), content)
    assert found is not None
    assert found.startswith("0.x: ")
    assert words in found


@pytest.mark.parametrize(
    "contents",
    [
        (lines({"text": LONG}),),
        (lines({"text": ""}),),
        (b"", lines({"text": LONG})),  # empty files beside others
        (b"{broken\n" + lines({"text": LONG}),),
        (b"{broken\n" * 50 + lines({"text": LONG}),),
        (lines(*[{"n": k} for k in range(30)], {"text": LONG}),),
        (lines({"content": LONG}, {"text": LONG}),),  # one of the first records can be read
        (lines({"content": LONG}), lines({"text": LONG})),  # one of the first files can be read
        (gzip.compress(lines({"text": LONG}), mtime=0)[:30],),  # a damaged file
        (b'{"content": "' + b"a" * 2_000_000,),  # no whole line in what is looked at
        (b"\xef\xbb\xbf" + lines({"text": LONG}),),
    ],
)
def test_nothing_is_said_of_what_is_sound_or_cannot_be_told(
    tmp_path: Path, contents: tuple[bytes, ...]
) -> None:
    assert fault(tmp_path, jsonl(), *contents) is None


def parquet(*texts: str) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("reader", "contents"),
    [
        (Jsonl, (b"",)),
        (Jsonl, (b"\n\n", b"", gzip.compress(b"", mtime=0), b"\xef\xbb\xbf\n")),
        (Parquet, (parquet(), b"", parquet())),
        (Text, (b"", b" \n")),
        (Tree, (b"", b"")),
        (Html, (b"",)),
        (Warc, (b"", gzip.compress(b"\r\n", mtime=0))),
        (Tar, (bytes(10_240), b"")),
    ],
)
def test_a_source_of_nothing_but_empty_files(
    tmp_path: Path, reader: type[Reader], contents: tuple[bytes, ...]
) -> None:
    made = reader(files=["x"])
    assert (fault(tmp_path, made, *contents) or "").startswith("all of its files are empty")
    assert fault(tmp_path, made, *contents, b"{broken \0 anything") != fault(tmp_path, made, *contents)


def test_frames_that_need_a_dictionary_are_named_first(tmp_path: Path) -> None:
    records = [lines({"text": f"{LONG} {number}"}) for number in range(400)]
    dictionary = zstandard.train_dictionary(2048, records)
    packed = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"".join(records))
    found = fault(tmp_path, jsonl(), packed)
    assert found is not None
    assert "dictionaries in files of their own are not supported" in found
    assert found.endswith("recompress the file without a dictionary")
    whole = zstandard.compress(b"".join(records))
    assert fault(tmp_path, jsonl(), packed, whole) is None  # one of the files can be read
    assert fault(tmp_path, jsonl(), whole[:40], whole) is None  # damage decides nothing beside sound files
    assert "ends inside the zstd frame" in (fault(tmp_path, jsonl(), whole[:40]) or "")


def test_empty_files_do_not_hide_what_the_others_show(tmp_path: Path) -> None:
    found = fault(tmp_path, jsonl(), *[b""] * 5, lines({"content": LONG}))
    assert found is not None
    assert found.startswith("5.x: ")
    assert fault(tmp_path, Parquet(files=["x"]), parquet(), parquet("a text")) is None


def test_few_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    look = Jsonl.look

    def counted(self: Jsonl, path: Path) -> Any:
        seen.append(path.name)
        return look(self, path)

    monkeypatch.setattr(Jsonl, "look", counted)
    assert fault(tmp_path, jsonl(), *[lines({"content": LONG})] * 9) is not None
    assert seen == ["0.x", "1.x", "2.x"]


def test_columns_of_parquet(tmp_path: Path) -> None:
    table = pa.table({"body": [LONG], "n": [1], "deep": [{"text": LONG}]})
    pq.write_table(table, tmp_path / "a.parquet")
    files = {"a.parquet": str(tmp_path / "a.parquet")}
    found = first_fault(Parquet(files=["x"]), files)
    assert found is not None
    assert "no column of text `text`, but body (string), n (int64), deep (struct<text: string>)" in found
    for name in ("body", "deep.text"):
        assert first_fault(Parquet(files=["x"], text_field=name), files) is None
    assert first_fault(Parquet(files=["x"], text_field="n"), files) is not None


@pytest.mark.parametrize("reader", [Parquet, Warc, Tar])
def test_a_file_of_another_format(tmp_path: Path, reader: type[Reader]) -> None:
    assert fault(tmp_path, reader(files=["x"]), b"%PDF-1.7\n") is not None
    assert "begins with 'damaged'" in (fault(tmp_path, reader(files=["x"]), b"damaged") or "")
    assert "read: {jsonl: ...}" in (fault(tmp_path, reader(files=["x"]), lines({"text": LONG})) or "")
    assert fault(tmp_path, Text(files=["x"]), b"%PDF-1.7\n") is not None
    assert fault(tmp_path, Text(files=["x"]), b"plain text") is None


RECORDS = [
    {"id": "a", "metadata": {"content": LONG, "k": 1}, "n": 0},
    {"id": "b", "metadata": {"content": "short", "k": None}, "n": 1},
    {"id": "c", "metadata": {"content": None, "k": 2}, "n": 2},
]


def test_a_text_inside_mappings_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*RECORDS))
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    found = [
        read_all(Jsonl(files=["x"], text_field="metadata.content"), tmp_path / "a.jsonl"),
        read_all(Parquet(files=["x"], text_field="metadata.content"), tmp_path / "a.parquet"),
    ]
    for read in found:
        assert [row["text"] for row in read.rows] == [LONG, "short"]
        assert read.removed == []
        assert [lost.why for lost in read.quarantined] == ["no_text"]
    assert found[0].rows == found[1].rows
    assert json.loads(found[0].rows[0]["meta"]) == {"id": "a", "k": 1, "n": 0}


def test_a_field_of_that_very_name_goes_first(tmp_path: Path) -> None:
    record = {"a.b": "outer", "a": {"b": "inner"}, "c": {"d": {"e": "deep"}}}
    (tmp_path / "a.jsonl").write_bytes(lines(record))
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "a.parquet")
    for name, text, rest in (
        ("a.b", "outer", {key: record[key] for key in ("a", "c")}),
        ("c.d.e", "deep", {key: record[key] for key in ("a.b", "a")}),
    ):
        for reader, file in ((Jsonl, "a.jsonl"), (Parquet, "a.parquet")):
            (row,) = read_all(reader(files=["x"], text_field=name), tmp_path / file).rows
            assert row["text"] == text
            assert json.loads(row["meta"]) == rest
