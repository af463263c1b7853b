"""A small sound file of every format that the readers know, for damaging."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from dataclasses import dataclass, field
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import zstandard

from corpusmill.pipelines.sources.reader import Reader

WORDS = ("harbour", "tide", "lantern", "signal", "keeper", "granite", "storm", "ledger", "chart", "fog")


@dataclass(frozen=True)
class Sample:
    """One sound file: its reader's name and options, its bytes, and what damage to it can be told by.

    `counted`: the format says how long its parts are or where it ends. `checksums`: every byte of a document
    is covered by one. `rows`: how many rows a Parquet file counts. `bounds`: where records or members begin,
    and the last one ends: without whole ones of them the file is a sound one of its format. `beside`: other
    files, by their names in the same folder, which stay sound.
    """

    reader: str
    suffix: str
    data: bytes
    documents: int
    counted: bool = True
    checksums: bool = False
    rows: int = 0
    bounds: tuple[int, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, bytes] = field(default_factory=dict)

    def write(self, path: Path, data: bytes) -> None:
        """Write `data`, damaged or not, to `path`, and what stands beside it."""
        path.write_bytes(data)
        for name, content in self.beside.items():
            (path.parent / name).write_bytes(content)


def reader_of(sample: Sample) -> Reader:
    """The sample's reader."""
    module = import_module(f"corpusmill.pipelines.sources.{sample.reader}")
    reader: Reader = getattr(module, sample.reader.capitalize())(files=["x"], **sample.options)
    return reader


def _texts(count: int) -> list[str]:
    draw = random.Random(41)
    return [f"Entry {n}: " + " ".join(draw.choices(WORDS, k=draw.randint(5, 60))) for n in range(count)]


def _lines(count: int) -> bytes:
    return b"".join(
        json.dumps({"id": str(n), "text": text, "url": f"http://a.example/{n}"}).encode() + b"\n"
        for n, text in enumerate(_texts(count))
    )


def _warc_record(kind: str, number: int, block: bytes, mime: str) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number:032d}>\r\n"
        f"WARC-Date: 2024-05-06T07:08:09Z\r\nWARC-Target-URI: http://a.example/{number}\r\n"
        f"Content-Type: {mime}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def _bounds(parts: list[bytes]) -> tuple[int, ...]:
    return tuple(accumulate(map(len, parts), initial=0))


def _page(text: str, coded: bool = False) -> bytes:
    body = f"<html><body><p>{text}</p></body></html>".encode()
    extra = "Content-Encoding: gzip\r\n" if coded else ""
    body = gzip.compress(body, mtime=0) if coded else body
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{extra}\r\n".encode() + body


def _pages(count: int) -> list[bytes]:
    mime = "application/http; msgtype=response"
    return [
        _warc_record("response", n, _page(text, n % 3 == 0), mime) for n, text in enumerate(_texts(count))
    ]


def _wet(count: int) -> list[bytes]:
    texts = enumerate(_texts(count))
    return [_warc_record("conversion", n, text.encode(), "text/plain") for n, text in texts]


def _arc(count: int) -> list[bytes]:
    parts = []
    for n, text in enumerate(_texts(count)):
        block = _page(text)
        parts.append(
            f"http://a.example/{n} 1.2.3.4 20240506070809 text/html {len(block)}\n".encode() + block + b"\n"
        )
    return parts


def _tar(count: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for n, text in enumerate(_texts(count)):
            info = tarfile.TarInfo(f"repo/{'long/' * 30 if n % 4 == 0 else ''}{n}.py")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def _zip(count: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, text in enumerate(_texts(count)):
            archive.writestr(zipfile.ZipInfo(f"repo/{n}.py", (2024, 5, 6, 7, 8, 10)), text)
    return out.getvalue()


def _members_of(data: bytes) -> tuple[int, ...]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return tuple(member.offset for member in archive)


def _table(count: int) -> pa.Table:
    draw = random.Random(43)
    texts = _texts(count)
    return pa.table(
        {
            "id": [str(n) for n in range(count)],
            "text": texts,
            "lang": [draw.choice(("en", "zh", None)) for _ in texts],
            "tags": [[word[:3] for word in text.split()[:4]] for text in texts],
            "when": pa.array([draw.randrange(2**60) for _ in texts], pa.timestamp("ns")),
        }
    )


def _parquet(count: int, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(_table(count), out, row_group_size=6, write_page_checksum=True, **options)
    return out.getvalue()


def _arrow(count: int, *, stream: bool, compression: str | None = None) -> bytes:
    out = io.BytesIO()
    table = _table(count)
    words = table.column("lang").dictionary_encode()
    table = table.set_column(2, "lang", words)
    options = ipc.IpcWriteOptions(compression=compression)
    with (ipc.new_stream if stream else ipc.new_file)(out, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=6)
    return out.getvalue()


def _csv(count: int) -> bytes:
    rows = enumerate(_texts(count))
    return b"id,text,n\n" + b"".join(f'{n},"{text},\n""so""",{n}\n'.encode() for n, text in rows)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def _zstd_with_dictionary(parts: list[bytes]) -> list[bytes]:
    """The dictionary's frame, and a frame of it for each part."""
    words = zstandard.train_dictionary(1024, [part[i:] for part in parts for i in range(0, 300, 10)])
    packer = zstandard.ZstdCompressor(dict_data=words, write_checksum=True)
    held = words.as_bytes()
    head = b"\x5d\x2a\x4d\x18" + len(held).to_bytes(4, "little") + held
    return [head, *map(packer.compress, parts)]


def _packed(reader: str, suffix: str, frames: list[bytes], count: int, **options: Any) -> Sample:
    """A file of compressed records, a frame each, before which a frame of a dictionary may stand."""
    first = len(frames) - count
    return Sample(
        reader,
        suffix,
        b"".join(frames),
        count,
        checksums=True,
        bounds=_bounds(frames)[first:],
        options=options,
    )


def _index(parts: list[bytes], file: str) -> bytes:
    """CDXJ of a .warc.gz of `parts`, a member each."""
    lengths = [len(_member(part)) for part in parts]
    rows = [
        {"url": f"http://a.example/{n}", "offset": offset, "length": length, "filename": file}
        for n, (offset, length) in enumerate(zip(accumulate(lengths, initial=0), lengths, strict=False))
    ]
    return "".join(f"example,a)/{n} 2024 {json.dumps(row)}\n" for n, row in enumerate(rows)).encode()


def _member(part: bytes) -> bytes:
    return gzip.compress(part, mtime=0)


_CODE = "# SPDX-License-Identifier: MIT\nimport os\n\n" + "\n".join(_texts(5)).replace("Entry", "x =")
_WET = {"kind": "conversion"}
SAMPLES: dict[str, Sample] = {
    "warc": Sample("warc", ".warc", b"".join(_pages(12)), 12, bounds=_bounds(_pages(12))),
    "warc.gz": _packed("warc", ".warc.gz", list(map(_member, _pages(12))), 12),
    "warc.zst": _packed("warc", ".warc.zst", list(map(_zstd, _pages(12))), 12),
    "warc.zst-own": _packed("warc", ".warc.zst", _zstd_with_dictionary(_pages(12)), 12),
    "cdx": Sample(
        "cdx",
        ".cdxj",
        _index(_pages(12), "a.warc.gz"),
        12,
        counted=False,
        beside={"a.warc.gz": b"".join(map(_member, _pages(12)))},
    ),
    "wet": Sample("warc", ".warc.wet", b"".join(_wet(12)), 12, bounds=_bounds(_wet(12)), options=_WET),
    "wet.gz": _packed("warc", ".warc.wet.gz", list(map(_member, _wet(12))), 12, **_WET),
    "arc": Sample("arc", ".arc", b"".join(_arc(12)), 12, bounds=_bounds(_arc(12))),
    "arc.gz": Sample("arc", ".arc.gz", gzip.compress(b"".join(_arc(12)), mtime=0), 12, checksums=True),
    "html": Sample("html", ".html", _page(_texts(1)[0]).split(b"\r\n\r\n")[1], 1, counted=False),
    "jsonl": Sample("jsonl", ".jsonl", _lines(15), 15, counted=False),
    "jsonl.gz": Sample("jsonl", ".jsonl.gz", gzip.compress(_lines(15), mtime=0), 15, checksums=True),
    "jsonl.zst": Sample("jsonl", ".jsonl.zst", _zstd(_lines(7)) + _zstd(_lines(15)), 22, checksums=True),
    "jsonl.bz2": Sample("jsonl", ".jsonl.bz2", bz2.compress(_lines(15)), 15, checksums=True),
    "jsonl.xz": Sample("jsonl", ".jsonl.xz", lzma.compress(_lines(15)), 15, checksums=True),
    "parquet": Sample("parquet", ".parquet", _parquet(24), 24, checksums=True, rows=24),
    "parquet-v2": Sample(
        "parquet",
        ".parquet",
        _parquet(24, data_page_version="2.0", compression="zstd", use_dictionary=False, data_page_size=200),
        24,
        checksums=True,
        rows=24,
    ),
    "arrow": Sample("arrow", ".arrow", _arrow(24, stream=False), 24),
    "arrow.lz4": Sample("arrow", ".arrow", _arrow(24, stream=False, compression="lz4"), 24),
    "arrow-stream": Sample("arrow", ".arrow", _arrow(24, stream=True), 24),
    "csv": Sample("csv", ".csv", _csv(15), 15, counted=False),
    "csv.gz": Sample("csv", ".csv.gz", gzip.compress(_csv(15), mtime=0), 15),
    "text": Sample("text", ".txt", "\n".join(_texts(4)).encode(), 1, counted=False),
    "text.gz": Sample(
        "text", ".txt.gz", gzip.compress("\n".join(_texts(4)).encode(), mtime=0), 1, checksums=True
    ),
    "tree": Sample("tree", ".py", _CODE.encode(), 1, counted=False),
    "tar": Sample("tar", ".tar", _tar(12), 12, bounds=_members_of(_tar(12))),
    "zip": Sample("zip", ".zip", _zip(12), 12),
    "tar.gz": Sample("tar", ".tar.gz", gzip.compress(_tar(12), mtime=0), 12, checksums=True),
}
