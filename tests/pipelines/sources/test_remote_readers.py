"""Readers give of an object that is fetched as it is read what they give of a file.

Blocks are small here, so that every reader meets the end of what is there; what was not fetched lies in no
file that it could read by mistake.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import os
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from corpusmill.pipelines.contract import rooms
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.sources.reader import Batch, Label, Reader
from corpusmill.pipelines.storage.objects import blocks, lazy
from corpusmill.pipelines.storage.objects.cache import ObjectCache
from corpusmill.pipelines.storage.objects.lazy import ObjectPath
from corpusmill.pipelines.storage.objects.store import ObjectInfo

DRAW = random.Random(11)
TEXTS = [f"{number} " + DRAW.randbytes(150).hex() for number in range(1500)]
LINES = b"".join(json.dumps({"id": str(n), "text": text}).encode() + b"\n" for n, text in enumerate(TEXTS))


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), sink, row_group_size=50)
    return sink.getvalue()


def arrow() -> bytes:
    sink = io.BytesIO()
    table = pa.table({"text": TEXTS})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=40)
    return sink.getvalue()


def tar() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for number, text in enumerate(TEXTS):
            member = tarfile.TarInfo(f"project/{number}.py")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return sink.getvalue()


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, text in enumerate(TEXTS):
            archive.writestr(f"project/{number}.py", text)
    return sink.getvalue()


def warc_record(number: int, text: str) -> bytes:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>{text}</p>"
    return (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number:032x}>\r\n"
        f"WARC-Target-URI: https://a.example/{number}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"Content-Type: application/http\r\nContent-Length: {len(http)}\r\n\r\n{http}\r\n\r\n"
    ).encode()


def arc_record(number: int, text: str) -> bytes:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>{text}</p>"
    return f"https://a.example/{number} 1.2.3.4 20240101000000 text/html {len(http)}\n{http}\n".encode()


def arc() -> bytes:
    version = "1 0 test\nURL IP-address Archive-date Content-type Archive-length\n"
    head = f"filedesc://x.arc 0.0.0.0 20240101000000 text/plain {len(version)}\n{version}\n".encode()
    return head + b"".join(arc_record(number, text) for number, text in enumerate(TEXTS))


CASES: dict[str, tuple[str, dict[str, Any], str, Callable[[], bytes]]] = {
    "jsonl": ("jsonl", {"split_bytes": 65536}, "a.jsonl", lambda: LINES),
    "jsonl.gz": ("jsonl", {"split_bytes": 65536}, "a.jsonl.gz", lambda: gzip.compress(LINES)),
    "jsonl.zst": (
        "jsonl",
        {"split_bytes": 65536},
        "a.jsonl.zst",
        lambda: b"".join(zstandard.compress(LINES[at : at + 30_000]) for at in range(0, len(LINES), 30_000)),
    ),
    "csv": (
        "csv",
        {"split_bytes": 65536},
        "a.csv",
        lambda: b"text\n" + b"".join(f'"{text}"\n'.encode() for text in TEXTS),
    ),
    "warc.gz": (
        "warc",
        {"split_bytes": 65536},
        "a.warc.gz",
        lambda: b"".join(gzip.compress(warc_record(n, text)) for n, text in enumerate(TEXTS)),
    ),
    "arc": ("arc", {"split_bytes": 65536}, "a.arc", arc),
    "parquet": ("parquet", {"split_bytes": 65536}, "a.parquet", parquet),
    "arrow": ("arrow", {"split_bytes": 65536}, "a.arrow", arrow),
    "hugging_face": ("hugging_face", {"split_bytes": 65536}, "a.parquet", parquet),
    "tar": ("tar", {"split_bytes": 65536}, "a.tar", tar),
    "zip": ("zip", {"split_bytes": 65536}, "a.zip", zipped),
    "text": ("text", {}, "a.txt", lambda: "\n".join(TEXTS).encode()),
    "html": ("html", {}, "a.html", lambda: ("<p>" + "</p><p>".join(TEXTS)).encode()),
    "datatrove": ("datatrove", {"block": "datatrove.pipeline.readers.ParquetReader"}, "a.parquet", parquet),
}


@contextmanager
def fetched_as_read(cache: Path, name: str, data: bytes) -> Iterator[tuple[ObjectPath, list[int]]]:
    """The object in a cache that holds nothing of it yet, and the lengths of what is fetched."""
    lengths: list[int] = []

    def fetch(start: int, end: int) -> bytes:
        lengths.append(end - start)
        return data[start:end]

    info = ObjectInfo(f"s3://bucket/{name}", len(data), '"v"')
    with ObjectCache(cache, 2**30).lease(info, fetch) as found:
        yield ObjectPath.of(found, None), lengths


def made(batches: Iterator[Batch]) -> list[Any]:
    return [(batch.documents.table.to_pylist(), batch.removed, batch.quarantined) for batch in batches]


def test_every_reader_of_single_files_is_tried() -> None:
    found = {name: registry.find("pipelines", name) for name in rooms.names("pipelines")}
    readers = {name: kind for name, kind in found.items() if issubclass(kind, Reader)}
    remote = {name for name, kind in readers.items() if not kind.local_only}
    assert remote == {reader for reader, _, _, _ in CASES.values()}
    assert set(readers) - remote == {"cdx", "git", "tree"}


@pytest.mark.parametrize("case", CASES)
def test_an_object_is_read_as_a_file_is(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(lazy, "BLOCK_BYTES", 4096)
    name, options, file, make = CASES[case]
    if name == "datatrove" and importlib.util.find_spec("datatrove") is None:
        pytest.skip("datatrove is not installed")
    kind = registry.find("pipelines", name)
    assert issubclass(kind, Reader)
    reader, label, data = kind(files=["x"], **options), Label("source", "web"), make()
    (tmp_path / file).write_bytes(data)
    local = tmp_path / file
    splits = reader.index(local)
    with fetched_as_read(tmp_path / "index", file, data) as (path, _):
        assert reader.index(path) == splits
        assert reader.content_hash(path) == reader.content_hash(local)
    with fetched_as_read(tmp_path / "look", file, data) as (path, _):
        assert reader.look(path) == reader.look(local)
    assert splits
    for number, split in enumerate(splits):
        with fetched_as_read(tmp_path / str(number), file, data) as (path, lengths):
            read = made(reader.read(path, f"in/{file}", split, label))
            assert read == made(reader.read(local, f"in/{file}", split, label))
            assert 0 < sum(lengths) <= len(data)
    # `csv` and `hugging_face` look at the first MiB, which is all of this file.
    if name in ("jsonl", "warc", "arc", "tar", "zip", "parquet") and case != "jsonl.gz":
        assert len(splits) > 1
        with fetched_as_read(tmp_path / "last", file, data) as (path, lengths):
            made(reader.read(path, f"in/{file}", splits[-1], label))
            assert sum(lengths) < len(data) * 0.8, "a range of a file costs no more than that"
    with fetched_as_read(tmp_path / "whole", file, data) as (path, _):
        assert Path(os.fspath(path)).read_bytes() == data
