"""The JSON Lines reader against its oracle, over any split and any compression."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.pipelines.contract.documents import SCHEMA, document_id
from corpusmill.pipelines.sources.framing import line_ranges
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.reader import Label
from tests.oracles.sources_archives import read_all
from tests.oracles.sources_jsonl import judge_file


def jsonl(**options: object) -> Jsonl:
    return Jsonl(files=["x"], **options)  # type: ignore[arg-type]


def test_columns_ids_and_meta(tmp_path: Path) -> None:
    record = {
        "id": "a-1",
        "text": 'Zeilen\n"und" é 😀\t\\',
        "url": "http://e.org/",
        "lang": "zh-CN",
        "source": "their name",
        "stars": 3,
        "meta": {"path": "src/a.py", "license": "MIT", "stars": 4, "deep": {"b": [1, None], "a": 1.5}},
    }
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record) + "\n")
    (row,) = read_all(jsonl(), path).rows
    assert list(row) == SCHEMA.names
    assert row["text"] == record["text"]
    assert row["id"] == document_id("a-1", str(record["text"]).encode())
    assert (row["source"], row["domain"]) == ("set", "domain")
    assert (row["url"], row["path"], row["license"], row["lang"]) == (
        "http://e.org/",
        "src/a.py",
        "MIT",
        "zh-CN",
    )
    assert row["repo"] is None
    expected = {
        "code_language": "python",
        "deep": {"a": 1.5, "b": [1, None]},
        "id": "a-1",
        "meta.stars": 4,
        "source": "their name",
        "stars": 3,
    }
    assert row["meta"] == json.dumps(expected, sort_keys=True, ensure_ascii=False)


def test_renamed_fields_and_odd_values(tmp_path: Path) -> None:
    records = [
        {"body": "x", "key": 7, "file_name": "b.rs", "lang": "Python"},
        {"body": "y", "lang": "de", "url": "\ud800", "n": float("nan"), "k": "ü\udfff"},
        {"body": "z", "key": None, "url": "u:1", "metadata": "no object", "meta": '{"repo": "r"}'},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    reader = jsonl(text_field="body", id_field="key", fields={"path": "file_name", "lang": None})
    rows = read_all(reader, path).rows
    assert [row["lang"] for row in rows] == [None] * 3
    assert rows[0]["path"] == "b.rs"
    assert rows[0]["id"] == document_id("7", b"x")
    assert json.loads(rows[0]["meta"]) == {"code_language": "rust", "key": 7, "lang": "Python"}
    assert rows[1]["url"] is None
    assert json.loads(rows[1]["meta"]) == {"k": "ü\udfff", "lang": "de", "n": "NaN", "url": "\ud800"}
    assert rows[2]["id"] == document_id("u:1", b"z")
    assert rows[2]["repo"] == "r"
    assert json.loads(rows[2]["meta"])["metadata"] == "no object"


def test_a_language_name_is_no_language_code(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "lang": "Python"}\n')
    (row,) = read_all(jsonl(), path).rows
    assert row["lang"] is None
    assert row["meta"] == '{"lang": "Python"}'


def test_unknown_column_is_refused() -> None:
    with pytest.raises(ValidationError, match="no column 'licence'"):
        jsonl(fields={"licence": "l"})


def test_every_fault_costs_its_own_line(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"text": "first"}',
        b"{",
        b"[1]",
        b'{"text": 5}',
        b'{"txt": ""}',
        b'{"text": "\xff"}',
        b'{"text": "a", "k": "\xff"}',
        b'{"text": "\\ud800"}',
        b'{"text": "\\u0000"}',
        b'{"text": "a\x00"}',
        b'{"text": "tab\there"}',
        b"  \r",
        b'{"text": "a"} x',
        b'{"text": ""}\r',
        b"[" * 100_000,
        b'{"text": "deep", "k": ' + b"[" * 100_000,
        b'{"text": "' + b"l" * 3000 + b'"}',
        b'{"text": "last"}',
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    found = read_all(jsonl(max_record_bytes=2000), path)
    assert found.texts == ["first", "", "last"]
    assert [lost.why for lost in found.quarantined] == [
        "bad_json",
        "bad_json",
        "no_text",
        "no_text",
        "bad_utf8",
        "bad_utf8",
        "bad_utf8",
        "binary",
        "bad_json",
        "bad_json",
        "bad_json",
        "too_large",
        "too_large",
        "too_large",
    ]
    starts = [sum(len(line) + 1 for line in lines[:i]) for i in range(len(lines))]
    assert found.quarantined[0].position == f"a.jsonl, byte {starts[1]}"
    assert found.quarantined[-1].position == f"a.jsonl, byte {starts[16]}"
    assert [lost.size for lost in found.quarantined][-1] == len(lines[16])
    assert all(len(lost.excerpt) <= 200 for lost in found.quarantined)


def test_nesting_at_every_depth_near_the_limit_never_escapes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    depths = range(100, 1100, 7)
    path.write_text("".join('{"text": "x", "k": ' + "[" * d + "]" * d + "}\n" for d in depths))
    found = read_all(jsonl(), path)
    assert len(found.rows) + found.whys["bad_json"] == len(depths)
    assert len(found.rows) > 10


STRINGS = st.text(
    st.characters(codec="utf-8") | st.sampled_from('"\\/\n\t\b\f\r\x01\x00 {}[]:,éß中😀'), max_size=12
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["text", "id", "te\\xt", "t", 'te"xt', "meta_"]) | STRINGS


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Mostly sound objects in any legal spelling; some cut, some with bytes changed."""
    pairs = draw(st.lists(st.tuples(KEYS, VALUES), max_size=4))
    pairs.append(("text", draw(STRINGS | VALUES)))
    pairs = draw(st.permutations(pairs))
    ascii_only = draw(st.booleans())
    space = draw(st.sampled_from(["", " ", "\t ", "\r"]))

    def dump(value: object) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    body = ",".join(f"{space}{dump(k)}{space}:{space}{dump(v)}{space}" for k, v in pairs)
    line = f"{space}{{{body}}}{space}".encode("utf-8", "surrogatepass").replace(b"\n", b" ")
    if draw(st.booleans()):
        line = line.replace(b"text", b"t\\u0065xt", 1)
    if draw(st.integers(0, 3)) == 0 and line:
        at = draw(st.integers(0, len(line) - 1))
        line = (
            line[:at] + draw(st.binary(max_size=2)).replace(b"\n", b"") + line[at + draw(st.integers(0, 2)) :]
        )
    return line


@settings(deadline=None, max_examples=150)
@given(st.lists(lines(), max_size=12), st.booleans())
def test_equals_the_oracle_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, many: list[bytes], end: bool
) -> None:
    path = tmp_path_factory.mktemp("j") / "a.jsonl"
    content = b"\n".join(many) + (b"\n" if end else b"")
    path.write_bytes(content)
    found = read_all(jsonl(fields={"path": None, "url": None}), path)
    judged = judge_file(content)
    assert found.texts == [value[0] for kind, value in judged if kind == "document"]
    assert [lost.why for lost in found.quarantined] == [why for kind, why in judged if kind == "quarantined"]
    for row, (_, (_, rest)) in zip(
        found.rows, [verdict for verdict in judged if verdict[0] == "document"], strict=True
    ):
        if not {"meta", "metadata", "repo", "license", "lang"} & set(rest):
            assert set(json.loads(row["meta"])) == set(rest)


def _content(sizes: list[int], seed: int) -> bytes:
    rows = [{"id": i, "text": f"{seed} {i} " + "ab\n" * size} for i, size in enumerate(sizes)]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _store(path: Path, content: bytes, how: str, frames: int) -> Path:
    cuts = [len(content) * i // frames for i in range(frames + 1)]
    parts = [content[a:b] for a, b in pairwise(cuts)]
    if how == "gz":
        path = path.with_suffix(".jsonl.gz")
        path.write_bytes(b"".join(gzip.compress(part, 1, mtime=0) for part in parts))
    elif how == "zst":
        path = path.with_suffix(".jsonl.zst")
        path.write_bytes(
            b"".join(zstandard.ZstdCompressor(write_checksum=True).compress(part) for part in parts)
        )
    else:
        path.write_bytes(content)
    return path


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 20_000), min_size=1, max_size=40),
    how=st.sampled_from(["plain", "gz", "zst"]),
    frames=st.integers(1, 6),
    split_bytes=st.integers(2**16, 2**19),
)
def test_any_splitting_gives_the_same_documents(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], how: str, frames: int, split_bytes: int
) -> None:
    content = _content(sizes, split_bytes)
    path = _store(tmp_path_factory.mktemp("j") / "a.jsonl", content, how, frames)
    found = read_all(jsonl(split_bytes=split_bytes), path)
    assert not found.faults
    assert found.texts == [json.loads(line)["text"] for line in content.splitlines()]
    ends = [0] + [split.end for split in found.splits]
    assert [split.start for split in found.splits] == ends[:-1]
    assert ends[-1] == len(content)
    if how == "plain":
        assert len(found.splits) >= len(content) // (split_bytes + 70_000)


def test_one_huge_frame_has_few_splits_and_a_file_of_frames_many(tmp_path: Path) -> None:
    content = _content([20_000] * 120, 1)
    one = read_all(jsonl(split_bytes=2**16), _store(tmp_path / "one.jsonl", content, "gz", 1))
    many = read_all(jsonl(split_bytes=2**16), _store(tmp_path / "many.jsonl", content, "gz", 60))
    assert 8 <= len(one.splits) <= 32
    assert len(many.splits) > 40
    assert all(split.hint == (0, 0) for split in one.splits)
    assert one.texts == many.texts


def test_an_over_long_line_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    huge = b'{"text": "' + b"x" * 200_000_000 + b'"}\n'
    path.write_bytes(zstandard.ZstdCompressor().compress(b'{"text": "a"}\n' + huge + b'{"text": "b"}\n'))
    reader = jsonl(max_record_bytes=2**20)
    reader.warm()
    tracemalloc.start()
    try:
        found = read_all(reader, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.texts == ["a", "b"]
    assert [(lost.why, lost.size) for lost in found.quarantined] == [("too_large", len(huge) - 1)]
    assert peak < 60e6


def test_empty_lines_are_passed_over_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[bytes] = []
    add_line = Jsonl._add_line

    def counted(self: Jsonl, line: bytes, *others: Any) -> None:
        judged.append(line)
        add_line(self, line, *others)

    monkeypatch.setattr(Jsonl, "_add_line", counted)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n" * 100_000 + b'{"text":"a"}\n' + b"\n" * 100_000 + b"[\n\r\n" + b"\n" * 9)
    found = read_all(jsonl(), path)
    assert [row["text"] for row in found.rows] == ["a"]
    assert found.whys == {"bad_json": 1}
    assert "byte 200013" in found.quarantined[0].position
    assert judged == [b"[", b"\r"]


def test_batches_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": ""}\n' * 2500 + _content([500_000] * 8, 1))
    reader = jsonl()
    (split,) = reader.index(path)
    sizes = [len(batch.documents) for batch in reader.read(path, "n", split, Label("s", "d"))]
    assert sizes[:2] == [1000, 1000]
    assert max(sizes) == 1000
    assert len(sizes) >= 5


def test_block_size_is_no_part_of_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(_content([3, 70_000, 0, 200_000, 5] * 3, 2) + b'{"text": "end"}')
    whole = read_all(jsonl(max_record_bytes=500_000), path)
    monkeypatch.setattr(line_ranges, "BLOCK_BYTES", 1000)
    small = read_all(jsonl(max_record_bytes=500_000), path)
    assert whole.rows == small.rows
    assert [(x.why, x.position, x.size) for x in whole.quarantined] == [
        (x.why, x.position, x.size) for x in small.quarantined
    ]
    assert whole.quarantined


def test_real_sets_equal_the_oracle(data: Path) -> None:
    for name in (
        "code/code_packages.jsonl.zst",
        "broken/code_bad_bytes.jsonl.zst",
        "text/cc_c4_redpajama_samples.jsonl.zst",
    ):
        path = data / name
        content = (
            zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
        )
        judged = judge_file(content)
        found = read_all(jsonl(split_bytes=2**22), path)
        assert found.texts == [value[0] for kind, value in judged if kind == "document"]
        assert [lost.why for lost in found.quarantined] == [
            why for kind, why in judged if kind == "quarantined"
        ]
        assert len({row["id"] for row in found.rows}) == len(found.rows)
